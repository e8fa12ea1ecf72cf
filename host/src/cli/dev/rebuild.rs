//! Builds again what was saved.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::announce::Written;
use crate::{
    cli::{
        build::{self, Progress, source, source::Source},
        error,
    },
    manifest,
    plugins::changes::{Changes, Settled},
};

/// Where components go, in the data directory.
pub(super) const OUT: &str = "dev";

/// What follows within this time belongs to the same save.
const SAVE: Duration = Duration::from_millis(15);

/// The plugins of a folder, kept in step with their sources.
pub(super) struct Rebuild {
    folder: PathBuf,
    /// The data directory: it may be inside of the folder.
    data: PathBuf,
    out: PathBuf,
    progress: Progress,
    written: Arc<Written>,
}

impl Rebuild {
    pub(super) fn new(
        folder: PathBuf,
        data: &Path,
        progress: Progress,
        written: Arc<Written>,
    ) -> io::Result<Self> {
        let folder = std::path::absolute(folder)?;
        let data = std::path::absolute(data)?;
        Ok(Self { folder, out: data.join(OUT), data, progress, written })
    }

    /// Build these, and take away what belongs to no plugin any more. One that does not build
    /// keeps its last component, and what is wrong is shown.
    pub(super) fn all(&self, sources: &[Source]) {
        for source in sources {
            match build::build(source, &self.out, &self.progress) {
                Ok(built) if built.changed => self.written.note(&built.name),
                Ok(_) => {}
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Follow the sources until the host stops.
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut changes = Changes::new(true)?;
        changes.watch(&[self.folder.clone()].into());
        let this = Arc::new(self);
        this.remove_orphans();
        loop {
            let settled = tokio::select! {
                settled = all_of_a_save(&mut changes) => settled,
                () = shutdown.cancelled() => return Ok(()),
            };
            let this = this.clone();
            // Cargo is waited for, which would hold up a serving thread.
            tokio::task::spawn_blocking(move || this.build_changed(&settled)).await?;
        }
    }

    fn build_changed(&self, settled: &Settled) {
        match source::find(&self.folder) {
            Ok(sources) => {
                let changed = affected(&sources, &self.folder, &self.data, settled);
                self.all(&changed);
                if !changed.is_empty() {
                    self.remove_orphans();
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&self, error: &anyhow::Error) {
        self.progress.failed(&error::report(error, self.progress.style()));
    }

    /// Remove the components of plugins whose folders are gone. While a manifest cannot be read
    /// nobody knows whose component is whose, and all stay.
    fn remove_orphans(&self) {
        let Ok(sources) = source::find(&self.folder) else { return };
        let names = sources.iter().map(|source| manifest::read_file(&source.manifest()));
        let Ok(names) =
            names.map(|read| Ok(read?.name)).collect::<Result<BTreeSet<_>, manifest::Problem>>()
        else {
            return;
        };
        for entry in fs::read_dir(&self.out).into_iter().flatten().flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|ending| ending == "wasm") && !names.contains(stem) {
                // It may be gone already.
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// What has changed, with what follows at once: an editor writes a file, moves it, and sets its mode.
async fn all_of_a_save(changes: &mut Changes) -> Settled {
    let mut all = changes.next().await;
    while let Ok(more) = timeout(SAVE, changes.next()).await {
        match (&mut all, more) {
            (Settled::Paths(all), Settled::Paths(more)) => all.extend(more),
            _ => all = Settled::Everything,
        }
    }
    all
}

/// The plugins to build again. A file outside of every plugin's folder, a library that they
/// share, concerns all of them.
fn affected(sources: &[Source], folder: &Path, data: &Path, settled: &Settled) -> Vec<Source> {
    let Settled::Paths(paths) = settled else { return sources.to_vec() };
    let written = |path: &&PathBuf| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        !path.starts_with(data) && !is_made(below)
    };
    let paths: Vec<&PathBuf> = paths.iter().filter(written).collect();
    let inside = |path: &Path| sources.iter().any(|source| path.starts_with(&source.0));
    if paths.iter().any(|path| !inside(path)) {
        return sources.to_vec();
    }
    let touched = |source: &&Source| paths.iter().any(|path| path.starts_with(&source.0));
    sources.iter().filter(touched).cloned().collect()
}

/// Whether a path is what a build made, not what somebody wrote.
fn is_made(path: &Path) -> bool {
    path.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        (part.starts_with('.') && part.len() > 2)
            || part == "target"
            || part == "node_modules"
            || part == "__pycache__"
            || part == "Cargo.lock"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(paths: &[&str]) -> Vec<String> {
        let sources = ["/p/a", "/p/b"].map(|path| Source(path.into()));
        let settled = Settled::Paths(paths.iter().map(PathBuf::from).collect());
        let affected = affected(&sources, Path::new("/p"), Path::new("/p/a/data"), &settled);
        affected.iter().map(|source| source.0.display().to_string()).collect()
    }

    #[test]
    fn only_what_changed_is_built_again() {
        assert_eq!(built(&["/p/a/src/lib.rs"]), ["/p/a"]);
        assert_eq!(built(&["/p/a/plugin.toml", "/p/b/x.sql"]), ["/p/a", "/p/b"]);
        assert_eq!(built(&["/p/sdk/src/lib.rs"]), ["/p/a", "/p/b"]);
    }

    #[test]
    fn what_a_build_writes_starts_no_build() {
        let none = Vec::<String>::new();
        assert_eq!(built(&["/p/a/target/debug/x", "/p/a/.git/index", "/p/b/Cargo.lock"]), none);
        assert_eq!(built(&["/p/a/data/dev/a.wasm", "/p/a/.trellis/wit/plugin.wit"]), none);
        assert_eq!(built(&["/p/a/__pycache__", "/p/a/__pycache__/plugin.cpython-314.pyc"]), none);
    }
}
