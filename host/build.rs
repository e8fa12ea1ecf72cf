//! Puts into the program what projects of plugins are made of: the contracts, the guest libraries
//! and the templates of `trellis new`, each file under its path in the source tree.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

/// The folders, from the root of the source tree.
const FOLDERS: &[&str] = &["wit", "plugins/sdk", "host/src/cli/new/templates"];
/// Single files.
const FILES: &[&str] = &["Cargo.toml", "README.md", "host/settings.toml"];
/// What builds, interpreters and checkers leave in them, besides folders that begin with a dot.
const MADE: &[&str] = &["target", "node_modules", "__pycache__"];

fn main() -> io::Result<()> {
    let host = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = host.parent().unwrap_or(&host);
    let mut files: Vec<_> = FILES.iter().map(PathBuf::from).collect();
    for folder in FOLDERS {
        collect(root, Path::new(folder), &mut files)?;
    }
    files.sort();
    let mut text = "&[\n".to_owned();
    for file in files {
        // Debug output of a path is a string literal.
        let _ = writeln!(text, "    ({file:?}, include_bytes!({:?})),", root.join(&file));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("assets.rs"), text + "]\n")
}

/// The files below a folder. Cargo looks at the folders themselves for new ones.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", root.join(folder).display());
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if MADE.iter().any(|made| *made == name) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() && name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            // What a link leads to is there under its own path.
            files.push(path);
        }
    }
    Ok(())
}
