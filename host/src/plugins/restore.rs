//! Puts an earlier version back into the plugin directory and lets it serve.
//!
//! ```text
//!  written beside ── loaded, started, swapped ── renamed into place
//!        └──────────────────┴─ failure: neither the directory nor what serves has changed
//! ```
//! So the directory stays the truth: after a restart the same version serves. The component and
//! its sidecar are two files, renamed one after the other; nobody follows the directory meanwhile.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::NamedTempFile;

use super::{
    folder::Source,
    orders::Refused,
    swap::Shared,
    versions::{Arrival, Kept, Parcel},
};

/// How long an order waits for a version that is being tried, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// A component and its sidecar that wait for their names.
struct Staged {
    path: PathBuf,
    wasm: NamedTempFile,
    sidecar: Option<NamedTempFile>,
}

impl Staged {
    /// Write both beside where they belong, under names that the directory's followers pass over.
    fn write(path: &Path, parcel: &Parcel) -> io::Result<Self> {
        let wasm = write_hidden(path, &parcel.bytes)?;
        let sidecar = parcel.sidecar.as_ref();
        let sidecar = sidecar.map(|text| write_hidden(path, text.as_bytes())).transpose()?;
        Ok(Self { path: path.to_owned(), wasm, sidecar })
    }

    /// Give them their names.
    fn put(self) -> io::Result<Source> {
        let beside = self.path.with_extension("toml");
        self.wasm.persist(&self.path).map_err(|error| error.error)?;
        match self.sidecar {
            Some(sidecar) => drop(sidecar.persist(&beside).map_err(|error| error.error)?),
            None => match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        File::open(dir)?.sync_all()?;
        Source::at(self.path)
    }
}

fn write_hidden(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let readable = Permissions::from_mode(0o644);
    let mut file =
        tempfile::Builder::new().prefix(".restored-").permissions(readable).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    Ok(file)
}

impl Shared {
    /// Put a version back that is kept. A split ends with it.
    pub(super) async fn restore(
        self: Arc<Self>,
        path: PathBuf,
        plugin: String,
        kept: Kept,
    ) -> Result<(), Refused> {
        let number = self.hold(&path).await?;
        let outcome = self.put_back(&path, &plugin, kept, number).await;
        self.settle(&path);
        self.tasks.spawn(self.clone().follow(path));
        outcome
    }

    /// Take a file up once nobody follows it: the number for its next generation.
    async fn hold(&self, path: &Path) -> Result<u64, Refused> {
        let hold = async {
            loop {
                if let Some(number) = self.entries().take_up(path) {
                    return number;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, hold).await.map_err(|_| Refused::Busy)
    }

    /// Wait until nobody follows a file any more.
    pub(super) async fn until_idle(&self, path: &Path) -> Result<(), Refused> {
        let idle = async {
            while !self.entries().is_idle(path) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, idle).await.map_err(|_| Refused::Busy)
    }

    async fn put_back(
        self: &Arc<Self>,
        path: &Path,
        plugin: &str,
        kept: Kept,
        number: u64,
    ) -> Result<(), Refused> {
        let failed = |error: &anyhow::Error| Refused::Failed(format!("{error:#}"));
        let unwritable = |error: io::Error| Refused::Unwritable {
            dir: path.parent().unwrap_or(Path::new(".")).to_owned(),
            kept: self.versions.path(&kept),
            reason: error.to_string(),
        };
        let permit = self.loads.acquire().await.map_err(|_| Refused::Busy)?;
        let (parcel, staged) = self.stage(path, &kept).await.map_err(|error| failed(&error))?;
        let staged = staged.map_err(unwritable)?;
        let live = self.entries().live(path).map(|live| live.version());
        if live.as_ref() == Some(&kept.digest) {
            self.withdraw(path);
        } else {
            let loaded = self.loader.load_kept(parcel, path).await;
            let loaded = loaded.map_err(|error| failed(&error))?;
            drop(permit);
            let taken = self.take_over(path, loaded, number, Arrival::Found).await;
            taken.map_err(|error| failed(&error))?;
        }
        let put = tokio::task::spawn_blocking(move || staged.put()).await;
        let source =
            put.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(unwritable)?;
        self.entries().put_back(path, source);
        let digest = kept.digest.clone();
        let noted = self.alter(plugin, move |index| {
            index.split = None;
            index.refuse(&digest, None);
        });
        noted.await.map_err(|error| failed(&error))
    }

    /// Read a version, and write it beside where it belongs.
    async fn stage(
        &self,
        path: &Path,
        kept: &Kept,
    ) -> anyhow::Result<(Parcel, io::Result<Staged>)> {
        let (versions, path, kept) = (self.versions.clone(), path.to_owned(), kept.clone());
        let stage = move || {
            let parcel = versions.parcel(&kept)?;
            let staged = Staged::write(&path, &parcel);
            anyhow::Ok((parcel, staged))
        };
        tokio::task::spawn_blocking(stage).await?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parcel(sidecar: Option<&str>) -> Parcel {
        Parcel {
            component: blake3::hash(b"one"),
            bytes: "one".into(),
            sidecar: sidecar.map(str::to_owned),
        }
    }

    #[test]
    fn a_version_is_put_back_with_its_sidecar_or_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, beside) = (dir.path().join("a.wasm"), dir.path().join("a.toml"));
        fs::write(&path, "two").unwrap();
        fs::write(&beside, "two").unwrap();
        let staged = Staged::write(&path, &parcel(None)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two", "nothing has changed yet");
        let source = staged.put().unwrap();
        assert!(source.is_current() && source.sidecar.is_none() && !beside.exists());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let source = Staged::write(&path, &parcel(Some("name"))).unwrap().put().unwrap();
        assert!(source.is_current() && source.sidecar == Some(beside.clone()));
        assert_eq!(fs::read(&beside).unwrap(), b"name");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o400, 0o400, "others than the host may read it as umask allows");
    }

    #[test]
    fn what_was_staged_in_vain_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Staged::write(&dir.path().join("a.wasm"), &parcel(Some("name"))).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
