//! `trellis build`: sources to components, one file a plugin with its manifest inside.
//!
//! ```text
//!  plugins/tracker/  plugin.toml ──────────────── manifest ──┐
//!                    Cargo.toml ── cargo ── component ───────┴── out/tracker.wasm
//! ```

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::{Hinted, output::Output};
use crate::manifest::{self, section};

mod encode;
pub(super) mod languages;
mod progress;
mod project;
pub(super) mod source;
mod toolchain;
mod world;

pub(super) use progress::Progress;
pub(super) use project::Project;
use source::Source;

/// Build plugins: one file each, with its manifest inside
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis build                             every plugin below `plugins`
  trellis build plugins/tracker --out out

A plugin is a folder with a plugin.toml. Its language is told by a file: Cargo.toml
(Rust, for wasm32-wasip2, which rustup adds if it is missing), plugin.ts, plugin.js,
plugin.py, go.mod or plugin.c. Compilers are pinned and installed once, into
~/.cache/trellis. One with a .wasm file is taken as it is.")]
pub(super) struct Arguments {
    /// Folders of plugins, or folders above them
    #[arg(default_value = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where the components go
    #[arg(long, default_value = "target/plugins", value_name = "DIR")]
    out: PathBuf,
}

/// A plugin that was built.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Built {
    /// Its name.
    pub(super) name: String,
    /// Its component.
    pub(super) file: PathBuf,
    /// Bytes of it.
    pub(super) size: usize,
    /// Whether it differs from what was there.
    pub(super) changed: bool,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let mut sources = Vec::new();
    for folder in &arguments.folders {
        sources.extend(source::find(folder)?);
    }
    if sources.is_empty() {
        let folders: Vec<_> = arguments.folders.iter().map(|f| f.display().to_string()).collect();
        let message = format!("there is no plugin below `{}`", folders.join("`, `"));
        return Err(Hinted::new(message, "a plugin is a folder with a `plugin.toml`").into());
    }
    let progress = Progress::new(output.error_style());
    let mut failed = 0;
    for source in &sources {
        match build(source, &arguments.out, &progress) {
            Ok(built) if output.json => output.json(&built)?,
            Ok(built) => output.text(&format!("{}\n", built.file.display()))?,
            Err(error) if sources.len() == 1 => {
                progress.clear();
                return Err(error);
            }
            Err(error) => {
                failed += 1;
                progress.failed(&super::error::report(&error, output.error_style()));
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => anyhow::bail!("{failed} of {} plugins could not be built", sources.len()),
    }
}

/// Build one plugin into `out`. A component that is the same as before is left alone, so that
/// a watching host does not load it again.
pub(super) fn build(source: &Source, out: &Path, progress: &Progress) -> anyhow::Result<Built> {
    let start = Instant::now();
    let manifest = manifest::read_file(&source.manifest())?;
    let component = match languages::of(&source.0) {
        Some(language) => {
            let project = Project { folder: &source.0, manifest: &manifest };
            (language.equip)(&project)?;
            (language.compile)(&project, progress)?
        }
        None => read(&source.component()?)?,
    };
    let whole = section::embed(&component, &manifest)
        .with_context(|| format!("`{}` cannot carry a manifest", source.0.display()))?;
    let file = out.join(format!("{}.wasm", manifest.name));
    let changed = fs::read(&file).ok().as_deref() != Some(&whole);
    if changed {
        write(&file, &whole).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    progress.done(&manifest.name, whole.len(), start.elapsed());
    Ok(Built { name: manifest.name, file, size: whole.len(), changed })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))
}

/// Write a file that others see whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut part = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(dir)?;
    part.write_all(bytes)?;
    part.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    part.persist(file).map(drop).map_err(|error| error.error)
}
