//! `trellis new`: the project of a plugin that builds at once.
//!
//! A project is a folder of `templates/LANGUAGE/KIND`, carried by the program. In contents and in
//! names of files `{{name}}` is the plugin's name; the ending `.template` keeps tools of this
//! repository from taking a file for theirs, and is left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use serde::Serialize;

use super::{
    Hinted, assets,
    build::{Project, languages},
    output::Output,
};
use crate::manifest;

/// Where the templates are.
const TEMPLATES: &str = "host/src/cli/new/templates";
const ENDING: &str = ".template";
const NAME: &str = "{{name}}";

/// Make the project of a plugin
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis new greeter                             answers HTTP, in Rust
  trellis new tally --lang python --kind consumer
  trellis new room --lang typescript --kind connection

Then `trellis dev NAME` builds it, serves it, and builds again what is saved.")]
pub(super) struct Arguments {
    /// The plugin's name: a-z, 0-9 and -, starting with a letter
    name: String,
    /// The language it is written in
    #[arg(long, default_value = languages::ALL[0].name, value_name = "LANGUAGE", value_parser = PossibleValuesParser::new(languages::ALL.iter().map(|language| language.name)))]
    lang: String,
    /// What runs it
    #[arg(long, value_enum, default_value_t = Kind::Http)]
    kind: Kind,
    /// Where the project goes [default: the plugin's name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What runs a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Requests
    Http,
    /// Messages of topics
    Consumer,
    /// Websockets, event streams and streams
    Connection,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    folder: PathBuf,
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let made = make(&arguments)?;
    if output.json {
        return Ok(output.json(&made)?);
    }
    let (style, folder) = (output.style(), made.folder.display());
    let mut text = format!("{} {folder}\n", style.green("made"));
    for file in &made.files {
        text += &format!("  {}\n", file.display());
    }
    Ok(output.text(&(text + &format!("\ntry   trellis dev {folder}\n")))?)
}

fn make(arguments: &Arguments) -> anyhow::Result<Made> {
    let Arguments { name, lang, kind, dir } = arguments;
    if !manifest::is_name(name) {
        let hint = "a name is 1 to 63 of a-z, 0-9 and -, and starts with a letter";
        return Err(Hinted::new(format!("`{name}` cannot be a plugin's name"), hint).into());
    }
    let folder = dir.clone().unwrap_or_else(|| name.into());
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        let message = format!("`{}` is there already", folder.display());
        return Err(Hinted::new(message, "choose another name, or a folder with `--dir`").into());
    }
    let kind = kind.to_possible_value().map(|kind| kind.get_name().to_owned()).unwrap_or_default();
    let mut files = Vec::new();
    for (path, bytes) in assets::below(&format!("{TEMPLATES}/{lang}/{kind}")) {
        files.push(write(&folder, path, bytes, name)?);
    }
    // Editors find the guest library before the first build.
    let language = languages::ALL.iter().find(|language| language.name == lang);
    if let Some(language) = language {
        let manifest = manifest::read_file(&folder.join("plugin.toml"))?;
        (language.equip)(&Project { folder: &folder, manifest: &manifest })?;
    }
    Ok(Made { name: name.clone(), folder, files })
}

/// Write one file of a template; answers where, from the project's folder.
fn write(folder: &Path, path: &str, bytes: &[u8], name: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(path.trim_end_matches(ENDING).replace(NAME, name));
    let text = String::from_utf8_lossy(bytes).replace(NAME, name);
    let file = folder.join(&path);
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        fs::write(&file, text)
    };
    write().with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn arguments(name: &str, lang: &str, kind: Kind, dir: &Path) -> Arguments {
        let dir = Some(dir.join("project"));
        Arguments { name: name.into(), lang: lang.into(), kind, dir }
    }

    #[test]
    fn every_language_has_a_project_of_every_kind_with_a_manifest_that_is_right() {
        for language in languages::ALL {
            for kind in Kind::value_variants() {
                let dir = tempfile::tempdir().unwrap();
                let made = make(&arguments("it", language.name, *kind, dir.path())).unwrap();
                let manifest = manifest::read_file(&made.folder.join("plugin.toml")).unwrap();
                assert_eq!(manifest.name, "it");
                let of = languages::of(&made.folder).map(|language| language.name);
                assert_eq!(of, Some(language.name), "{kind:?}");
                for file in &made.files {
                    let text = fs::read_to_string(made.folder.join(file)).unwrap();
                    assert!(!text.contains("{{") && !file.ends_with("template"), "{file:?}");
                }
                let runs = match kind {
                    Kind::Http => manifest.http.is_some(),
                    Kind::Consumer => !manifest.consume.is_empty(),
                    Kind::Connection => manifest.connect.is_some(),
                };
                assert!(runs, "{} {kind:?}", language.name);
            }
        }
    }

    #[test]
    fn a_wrong_name_and_a_folder_with_something_in_it_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refused = make(&arguments("No Name", "rust", Kind::Http, dir.path())).unwrap_err();
        assert!(refused.to_string().contains("`No Name` cannot be a plugin's name"));
        make(&arguments("it", "rust", Kind::Http, dir.path())).unwrap();
        let refused = make(&arguments("it", "rust", Kind::Http, dir.path())).unwrap_err();
        assert!(refused.to_string().ends_with("is there already"), "{refused}");
    }
}
