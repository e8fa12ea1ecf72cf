//! Right inputs to begin with, and those that once went wrong: `tests/fuzz/corpus/TARGET`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The directory of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files below a directory whose names end so.
fn files(dir: &Path, end: &str) -> Result<Vec<Vec<u8>>> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" {
                dirs.push(path);
            } else if name.ends_with(end) {
                found.push(fs::read(&path)?);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What was put aside for a target: inputs that once went wrong, and samples.
pub fn corpus(target: &str) -> Result<Vec<Vec<u8>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    if dir.is_dir() { files(&dir, "") } else { Ok(Vec::new()) }
}

/// The manifests of all plugins here.
pub fn manifests() -> Result<Vec<Vec<u8>>> {
    let mut found = files(&root().join("plugins"), "plugin.toml")?;
    found.extend(files(&root().join("tests"), "plugin.toml")?);
    ensure!(!found.is_empty(), "no manifests are there");
    Ok(found)
}

/// The components that `tests/run` built.
pub fn components() -> Result<Vec<Vec<u8>>> {
    let dir = std::env::var_os("TRELLIS_TEST_COMPONENTS").context(
        "TRELLIS_TEST_COMPONENTS names no directory with components: run `tests/run`, which sets it",
    )?;
    let found = files(Path::new(&dir), ".wasm")?;
    ensure!(!found.is_empty(), "no components are in {}", Path::new(&dir).display());
    Ok(found)
}
