//! `trellis check`: what a component exports, imports and needs, and why it would be refused.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::output::{Output, Style, needs};
use crate::{
    capabilities::Needs,
    manifest::{Manifest, section},
    plugins::{
        folder::Source,
        grants::{DefaultGrant, Grants},
        load,
    },
    runtime::inspect::{self, Surface},
    settings,
};

/// Show what a component is and whether a host would refuse it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis check out/tracker.wasm
  trellis check out/tracker.wasm --settings /etc/trellis.toml    with the operator's grants

The exit code is 0 when the component would be loaded, 1 when not.")]
pub(super) struct Arguments {
    /// The component; a manifest `NAME.toml` beside it wins over the one inside
    file: PathBuf,
    /// The settings whose grants are looked at; without them all needs count as granted
    #[arg(long, env = "TRELLIS_SETTINGS", hide_env_values = true, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// What was found.
#[derive(Serialize)]
pub(super) struct Report {
    name: String,
    /// Where the manifest came from.
    manifest: String,
    exports: Vec<String>,
    imports: Vec<String>,
    routes: Vec<String>,
    consumes: Vec<String>,
    needs: Needs,
    refusals: Vec<String>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let file = &arguments.file;
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let surface = inspect::surface(&bytes)
        .with_context(|| format!("`{}` is no component", file.display()))?;
    let source = Source::at(file.clone())?;
    let manifest = load::manifest(&bytes, &source)?;
    let grants = match &arguments.settings {
        Some(path) => settings::load(Some(path), std::env::vars(), &[])?.settings.grants,
        None => Grants { default: DefaultGrant::Needs, ..Grants::default() },
    };
    let report = Report::new(surface, manifest, origin(&source, &bytes), &grants);
    match output.json {
        true => output.json(&report)?,
        false => output.text(&report.show(output.style()))?,
    }
    match report.refusals.len() {
        0 => Ok(()),
        1 => anyhow::bail!("`{}` would be refused", file.display()),
        count => anyhow::bail!("`{}` would be refused for {count} reasons", file.display()),
    }
}

/// Where its manifest comes from.
fn origin(source: &Source, bytes: &[u8]) -> String {
    match &source.sidecar {
        Some(sidecar) => sidecar.display().to_string(),
        None if section::find(bytes).is_some() => "inside the component".to_owned(),
        None => "none, so the default".to_owned(),
    }
}

impl Report {
    fn new(surface: Surface, manifest: Manifest, origin: String, grants: &Grants) -> Self {
        let refusals = grants.refusals(&manifest, &surface.imports);
        Self {
            refusals: refusals.map(|refusal| refusal.to_string()).collect(),
            name: manifest.name,
            manifest: origin,
            exports: surface.exports,
            imports: surface.imports,
            routes: manifest.http.map(|http| http.routes).unwrap_or_default(),
            consumes: manifest.consume.into_iter().flat_map(|consume| consume.topics).collect(),
            needs: manifest.needs,
        }
    }

    pub(super) fn show(&self, style: Style) -> String {
        let needs = needs(&self.needs);
        let mut text = format!("plugin    {}\nmanifest  {}\n", self.name, self.manifest);
        let lists = [
            ("exports", &self.exports),
            ("imports", &self.imports),
            ("routes", &self.routes),
            ("consumes", &self.consumes),
            ("needs", &needs),
        ];
        for (title, items) in lists {
            for (index, item) in items.iter().enumerate() {
                let title = if index == 0 { title } else { "" };
                text += &format!("{title:<9} {item}\n");
            }
        }
        for line in self.refusals.iter().flat_map(|refusal| refusal.lines()) {
            text += &match line.strip_prefix("hint:") {
                Some(hint) => format!("{}{hint}\n", style.green("hint:")),
                None => format!("{} {line}\n", style.red("refused:")),
            };
        }
        if self.refusals.is_empty() {
            text += &format!("{}\n", style.green("would be loaded"));
        }
        text
    }
}
