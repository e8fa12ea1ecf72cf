//! The last versions of each plugin: what `trellis rollback` puts back, and what serves when the
//! file in the plugin directory must not.
//!
//! ```text
//!  plugins/NAME.json        its versions, oldest first; which served last; its split
//!  components/DIGEST.wasm   a component, once for all versions of all plugins that have it
//! ```
//! Both are written whole or not at all. A component is looked at again when it is read: one that
//! is not what its name says is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::quantity::Millis;
use crate::quantity::now_ms;

mod index;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use index::{Index, Kept, Unfound, short};

/// What a file is called before it has its name, with random letters after it.
const UNNAMED: &str = ".new-";
/// After this time without its file a plugin's versions are forgotten, at the next start.
const FORGOTTEN: Duration = Duration::from_secs(30 * 24 * 3600);

/// `[versions]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Versions of each plugin that are kept, the one that serves included; 1 to 100.
    pub keep: usize,
    /// Whether the host goes back by itself from a new version that fails more than the one before.
    pub revert: bool,
    /// How long after its swap a new version is compared with the one before; a candidate is for
    /// as long as there is a split.
    pub window: Millis,
    /// The calls that a version must have had before it is compared, 1 to 1,000,000.
    pub min_calls: u64,
    /// How many calls in a hundred may fail more than with the one before, 0 to 100.
    pub margin: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep: 5, revert: true, window: Millis(60_000), min_calls: 20, margin: 5 }
    }
}

/// A version as it is kept and put back.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The digest of its component.
    pub component: blake3::Hash,
    /// The component.
    pub bytes: Bytes,
    /// The text of its sidecar, if it has one.
    pub sidecar: Option<String>,
}

/// What tells versions apart: the digest of the component; with a sidecar that of both.
pub fn digest(component: &blake3::Hash, sidecar: Option<&str>) -> blake3::Hash {
    let Some(sidecar) = sidecar else { return *component };
    let mut hasher = blake3::Hasher::new();
    hasher.update(component.as_bytes()).update(sidecar.as_bytes()).finalize()
}

/// How a version came to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was dropped and serves: the newest.
    Dropped,
    /// It was dropped and is a candidate: the newest, but another one serves.
    Candidate,
    /// It was there before, at the start or put back: where it is in the order.
    Found,
}

/// Why a version was not kept or not found. The path is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The versions of all plugins. Whatever writes or reads a component blocks its thread.
pub struct Versions {
    dir: PathBuf,
    settings: Settings,
    all: Mutex<BTreeMap<String, Index>>,
    /// Held while files change, so that they follow in the order of the changes.
    writing: Mutex<()>,
}

impl Versions {
    /// Open a directory, made if it is missing. An index that cannot be read is left out: its
    /// plugin begins anew.
    pub fn open(dir: PathBuf, settings: Settings) -> Result<Self, Error> {
        for below in ["plugins", "components"] {
            let path = dir.join(below);
            fs::create_dir_all(&path)
                .and_then(|()| remove_left_behind(&path))
                .map_err(|source| Error { path, source })?;
        }
        let path = dir.join("plugins");
        let all = read_indexes(&path).map_err(|source| Error { path, source })?;
        Ok(Self { dir, settings, all: Mutex::new(all), writing: Mutex::default() })
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is known of a plugin's versions.
    pub fn of(&self, plugin: &str) -> Index {
        self.all().get(plugin).cloned().unwrap_or_default()
    }

    /// Keep a version that serves or is a candidate, called `label` in its manifest. Answers the
    /// components that are kept no longer.
    pub fn keep(
        &self,
        plugin: &str,
        parcel: &Parcel,
        label: Option<&str>,
        arrival: Arrival,
    ) -> Result<Vec<blake3::Hash>, Error> {
        let _writing = lock(&self.writing);
        let path = self.component(&parcel.component.to_string());
        let there = fs::metadata(&path).is_ok_and(|found| found.len() == parcel.bytes.len() as u64);
        if !there {
            write_whole(&path, &parcel.bytes, true)?;
        }
        let kept = Kept {
            digest: digest(&parcel.component, parcel.sidecar.as_deref()).to_string(),
            component: parcel.component.to_string(),
            version: label.map(str::to_owned),
            sidecar: parcel.sidecar.clone(),
            arrived_ms: now_ms(),
            refused: None,
        };
        let keep = self.settings.keep;
        // Where a power cut undoes this, the version is found again at the start: thousands of
        // plugins need not wait for the disk.
        let dropped = self.alter(plugin, false, |index| {
            index.arrive(kept, arrival);
            index.prune(keep)
        })?;
        Ok(self.clear(dropped))
    }

    /// Change what is known of a plugin's versions; nothing is changed where that cannot be
    /// written.
    pub fn change<T>(
        &self,
        plugin: &str,
        change: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, Error> {
        let _writing = lock(&self.writing);
        self.alter(plugin, true, change)
    }

    /// A version that is kept, whole.
    pub fn parcel(&self, kept: &Kept) -> Result<Parcel, Error> {
        let path = self.component(&kept.component);
        let read = fs::read(&path).and_then(|bytes| match blake3::hash(&bytes) {
            component if component.to_string() == kept.component => Ok((component, bytes.into())),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is broken")),
        });
        let (component, bytes) = read.map_err(|source| Error { path, source })?;
        Ok(Parcel { component, bytes, sidecar: kept.sidecar.clone() })
    }

    /// Where the component of a version is kept.
    pub fn path(&self, kept: &Kept) -> PathBuf {
        self.component(&kept.component)
    }

    /// The digests of all components that are kept.
    pub fn components(&self) -> BTreeSet<String> {
        let all = self.all();
        all.values().flat_map(Index::components).map(str::to_owned).collect()
    }

    /// Forget plugins whose files have been gone for long; `present` are those that are there.
    pub fn forget_absent(&self, present: &BTreeSet<String>) -> Result<(), Error> {
        let _writing = lock(&self.writing);
        let before = now_ms().saturating_sub(FORGOTTEN.as_millis() as u64);
        let is_old = |(name, index): &(&String, &Index)| {
            !present.contains(*name) && index.changed_ms < before
        };
        let old: Vec<String> =
            self.all().iter().filter(is_old).map(|(name, _)| name.clone()).collect();
        for name in old {
            let path = self.index(&name);
            fs::remove_file(&path).map_err(|source| Error { path, source })?;
            let index = self.all().remove(&name);
            self.clear(index.map(|index| index.versions).unwrap_or_default());
        }
        Ok(())
    }

    fn alter<T>(
        &self,
        plugin: &str,
        durable: bool,
        change: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, Error> {
        let before = self.of(plugin);
        let mut index = before.clone();
        let answer = change(&mut index);
        if index != before {
            index.changed_ms = now_ms();
            let text = serde_json::to_vec(&index)
                .map_err(|error| Error { path: self.index(plugin), source: error.into() })?;
            write_whole(&self.index(plugin), &text, durable)?;
            self.all().insert(plugin.to_owned(), index);
        }
        Ok(answer)
    }

    /// Remove the components of versions that were dropped, unless another version has them.
    fn clear(&self, dropped: Vec<Kept>) -> Vec<blake3::Hash> {
        let kept = self.components();
        let gone: BTreeSet<String> = dropped.into_iter().map(|old| old.component).collect();
        let gone = gone.difference(&kept).filter_map(|digest| {
            // What is left behind takes room and does no harm.
            let _ = fs::remove_file(self.component(digest));
            blake3::Hash::from_hex(digest).ok()
        });
        gone.collect()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Index>> {
        lock(&self.all)
    }

    fn index(&self, plugin: &str) -> PathBuf {
        self.dir.join("plugins").join(format!("{plugin}.json"))
    }

    fn component(&self, digest: &str) -> PathBuf {
        self.dir.join("components").join(format!("{digest}.wasm"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_indexes(dir: &Path) -> io::Result<BTreeMap<String, Index>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let index = fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match index {
            Ok(index) => drop(all.insert(name, index)),
            Err(error) => {
                tracing::warn!(plugin = name, path = %path.display(), %error, "earlier versions are not known");
            }
        }
    }
    Ok(all)
}

/// Write a file that others see whole or not at all; a durable one also after a power cut.
fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::Builder::new().prefix(UNNAMED).tempfile_in(dir)?;
        file.write_all(bytes)?;
        if durable {
            file.as_file().sync_data()?;
        }
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| Error { path: path.to_owned(), source })
}

/// Remove what a host that was killed did not come to name.
fn remove_left_behind(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNNAMED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
