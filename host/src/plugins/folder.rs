//! The plugin directory: `<name>.wasm` files, each perhaps with a sidecar `<name>.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::changes::Changes;

/// A directory that is watched for components.
pub struct Folder {
    dir: PathBuf,
    changes: Changes,
}

/// A component on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `<name>.wasm`
    pub wasm: PathBuf,
    /// `<name>.toml`, if it is there.
    pub sidecar: Option<PathBuf>,
    stamp: (Stamp, Option<Stamp>),
}

/// Tells two states of a file apart: device, inode, size, time of change.
type Stamp = (u64, u64, u64, i64, i64);

impl Source {
    /// A component outside a watched directory.
    pub fn at(wasm: PathBuf) -> io::Result<Self> {
        let sidecar = Some(wasm.with_extension("toml")).filter(|path| path.is_file());
        let of_sidecar = sidecar.as_deref().map(stamp).transpose()?;
        Ok(Self { stamp: (stamp(&wasm)?, of_sidecar), wasm, sidecar })
    }

    /// The file's name without `.wasm`.
    pub fn stem(&self) -> &str {
        self.wasm.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

impl Folder {
    /// Watch a directory, which may be missing still. What is there must be a directory that can
    /// be read.
    pub fn open(dir: PathBuf) -> anyhow::Result<Self> {
        match fs::read_dir(&dir) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("the plugin directory `{}` is not there yet", dir.display());
            }
            Err(error) => bail!(
                "the plugin directory `{}` cannot be read: {error}\nhint: name a directory with \
                 `--plugins`, and let the host's user read it",
                dir.display()
            ),
        }
        let dir = std::path::absolute(&dir)?;
        let mut changes = Changes::new(false)?;
        changes.watch(&[dir.clone()].into());
        Ok(Self { dir, changes })
    }

    /// Wait until something in the directory, or behind a link in it, has changed. Cancel safe.
    pub async fn changed(&mut self) {
        self.changes.next().await;
    }

    /// The components that are there and not being written, by file. A missing directory has
    /// none.
    pub fn scan(&mut self) -> io::Result<BTreeMap<PathBuf, Source>> {
        let mut found = BTreeMap::new();
        let mut watched: BTreeSet<PathBuf> = [self.dir.clone()].into();
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.changes.watch(&watched);
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if !is_component(&path) || self.is_open(&path) {
                continue;
            }
            self.add_link_targets(&path, &mut watched);
            // A file that went away between the listing and now is simply not there.
            if let Ok(source) = Source::at(path.clone()) {
                found.insert(path, source);
            }
        }
        self.changes.watch(&watched);
        Ok(found)
    }

    fn is_open(&self, wasm: &Path) -> bool {
        let sidecar = wasm.with_extension("toml");
        [wasm, &sidecar].into_iter().any(|path| {
            let target = fs::canonicalize(path).unwrap_or_default();
            self.changes.is_open(path) || self.changes.is_open(&target)
        })
    }

    /// What a link points at changes in its own directory.
    fn add_link_targets(&self, path: &Path, watched: &mut BTreeSet<PathBuf>) {
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if is_link && let Ok(target) = fs::canonicalize(path) {
            watched.extend(target.parent().map(Path::to_owned));
        }
    }
}

/// `*.wasm`, but for hidden files and editors' leftovers.
fn is_component(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".wasm") && !name.starts_with('.') && path.is_file()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use super::*;

    async fn until(folder: &mut Folder, done: impl Fn(&BTreeMap<PathBuf, Source>) -> bool) {
        let wait = async {
            while !done(&folder.scan().unwrap()) {
                folder.changed().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap();
    }

    #[tokio::test]
    async fn a_half_written_file_is_not_there_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        let mut file = fs::File::create(dir.path().join("a.wasm")).unwrap();
        file.write_all(b"\0asm").unwrap();
        until(&mut folder, BTreeMap::is_empty).await;
        drop(file);
        until(&mut folder, |found| found.len() == 1).await;
        fs::remove_file(dir.path().join("a.wasm")).unwrap();
        until(&mut folder, BTreeMap::is_empty).await;
    }

    #[tokio::test]
    async fn a_link_follows_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("v1.wasm");
        fs::write(&target, "one").unwrap();
        let link = dir.path().join("a.wasm");
        symlink(&target, &link).unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        let before = folder.scan().unwrap();
        assert_eq!(before.len(), 1);
        fs::write(&target, "version two").unwrap();
        until(&mut folder, |found| *found != before && found.len() == 1).await;
    }

    #[tokio::test]
    async fn a_rename_over_a_file_and_a_new_sidecar_are_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, "one").unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        let first = folder.scan().unwrap();
        fs::write(dir.path().join(".a.tmp"), "two").unwrap();
        fs::rename(dir.path().join(".a.tmp"), &path).unwrap();
        until(&mut folder, |found| *found != first).await;
        let second = folder.scan().unwrap();
        fs::write(dir.path().join("a.toml"), "name = \"a\"").unwrap();
        let has_sidecar = |found: &Source| found.sidecar.is_some();
        until(&mut folder, |found| found.get(&path).is_some_and(has_sidecar) && *found != second)
            .await;
    }
}
