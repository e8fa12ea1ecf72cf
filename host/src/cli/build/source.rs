//! Where the sources of plugins are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::languages;
use crate::cli::Hinted;

/// How deep below a folder plugins are looked for.
const DEPTH: usize = 4;
/// Folders that hold what was built or fetched.
const NOT_SOURCES: &[&str] = &["target", "node_modules", "vendor"];

/// The folder of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Source(pub(in crate::cli) PathBuf);

/// The plugins in this folder or below it, by path.
pub(in crate::cli) fn find(folder: &Path) -> anyhow::Result<Vec<Source>> {
    let mut found = Vec::new();
    search(folder, DEPTH, &mut found)
        .with_context(|| format!("cannot look for plugins in `{}`", folder.display()))?;
    found.sort();
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<Source>) -> std::io::Result<()> {
    if folder.join("plugin.toml").is_file() {
        found.push(Source(folder.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let skipped = name.starts_with('.') || NOT_SOURCES.contains(&&*name);
        if depth > 0 && !skipped && entry.file_type()?.is_dir() {
            search(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

impl Source {
    /// Its manifest.
    pub(in crate::cli) fn manifest(&self) -> PathBuf {
        self.0.join("plugin.toml")
    }

    /// The one component in it, for plugins that something else builds.
    pub(in crate::cli) fn component(&self) -> anyhow::Result<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "wasm") {
                found.push(path);
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let message = format!("`{}` has nothing to build", self.0.display());
                let entries: Vec<_> =
                    languages::ALL.iter().map(|language| language.entry).collect();
                let hint = format!("put `{}` or a component `*.wasm` there", entries.join("`, `"));
                Err(Hinted::new(message, hint).into())
            }
            count => {
                let message = format!("`{}` has {count} components", self.0.display());
                Err(Hinted::new(message, "keep the one that is the plugin").into())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_found_below_a_folder_but_not_in_what_was_built() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["b", "deep/a", "target/c", ".hidden/d", "empty"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
            if folder != "empty" {
                fs::write(dir.path().join(folder).join("plugin.toml"), "").unwrap();
            }
        }
        let found = find(dir.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|source| source.0.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("b"), Path::new("deep/a")]);
        assert_eq!(find(&found[0].0).unwrap(), found[..1]);
        assert!(find(&dir.path().join("nowhere")).is_err());
    }
}
