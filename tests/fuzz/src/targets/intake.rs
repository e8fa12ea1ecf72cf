//! A file in the plugin directory, on the way that every component goes: read, manifest, grants,
//! compiled, linked.

use std::{fs, path::PathBuf};

use anyhow::Result;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trellis::{
    backends::Backends,
    plugins::{
        folder::Source,
        grants::{DefaultGrant, Grants},
        load::Loader,
    },
    serve,
    settings::Settings,
};

use super::Door;
use crate::Verdict;

/// Compiled code of so many inputs is kept at most.
const KEPT: usize = 100;

/// The host's loader in a directory of its own.
pub struct Intake {
    runtime: Runtime,
    loader: Loader,
    file: PathBuf,
    cache: PathBuf,
    taken: usize,
    _dir: TempDir,
}

impl Intake {
    /// Set a loader up.
    pub fn open() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let settings = Settings {
            grants: Grants { default: DefaultGrant::Needs, ..Grants::default() },
            ..Settings::default()
        };
        let runtime = Runtime::new()?;
        let loader = runtime.block_on(async {
            let backends = Backends::open(&settings.backends, dir.path()).await?;
            serve::loader(&settings, &backends, dir.path()).await
        })?;
        let (file, cache) = (dir.path().join("input.wasm"), dir.path().join("cache"));
        Ok(Self { runtime, loader, file, cache, taken: 0, _dir: dir })
    }

    /// Room for more.
    fn forget_code(&self) {
        for entry in fs::read_dir(&self.cache).into_iter().flatten().flatten() {
            // What cannot be removed is removed with the directory.
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Door for Intake {
    fn feed(&mut self, input: &[u8]) -> Verdict {
        let written = fs::write(&self.file, input).and_then(|()| Source::at(self.file.clone()));
        let Ok(source) = written else { panic!("the input cannot be written") };
        match self.runtime.block_on(self.loader.load(&source)) {
            Ok(_) => {
                self.taken += 1;
                if self.taken.is_multiple_of(KEPT) {
                    self.forget_code();
                }
                Verdict::Taken
            }
            Err(error) => {
                let said = format!("{error:#}");
                assert!(!said.is_empty() && !said.contains("panicked"), "{said}");
                Verdict::Refused
            }
        }
    }
}
