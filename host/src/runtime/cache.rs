//! Compiled components on disk, and how they come to be compiled.
//!
//! ```text
//!  bytes ── compile ── temporary file ── map ──▶ Component
//!              │            └── sync, rename to its name
//!              └── functions that an earlier version had, too, where it is large
//! ```
//! Nobody waits for the disk: code runs from the temporary file until that is safe and has its
//! name. All of it happens on the threads of the compilers.
//!
//! An AOT file is native code: whoever can write one owns the host. So the directory must belong
//! to the user that runs the host and be closed to everybody else. Files are named by the digest
//! of the component and the hash of the engine's settings, so a new wasmtime or other settings
//! never load an old file.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, DirBuilder, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use wasmtime::{Engine, component::Component};

use super::compilers::{self, Compilers};
use crate::quantity::Bytes;

mod again;
mod functions;
mod job;

use again::Waiting;
use functions::Functions;
use job::Job;

/// Where compiled components lie.
pub struct Cache {
    dir: PathBuf,
    compilers: Arc<Compilers>,
    waiting: Waiting,
    fresh: Arc<Fresh>,
    functions: Option<Arc<Functions>>,
}

/// Components whose files do not have their names yet, with the names. The newest come last.
#[derive(Default)]
struct Fresh(Mutex<VecDeque<(PathBuf, Component)>>);

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else could put native code there.
    #[error("cache directory `{path}` {problem}; files in it run as native code")]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The directory or a file in it.
    #[error("cannot use the cache at `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// wasmtime refused the component.
    #[error("does not compile: {0}")]
    Compile(String),
    /// The compiler gave no answer.
    #[error(transparent)]
    NoAnswer(#[from] compilers::Error),
}

/// What a file is called before it has its name, with random letters after it.
const UNNAMED: &str = ".unnamed-";
/// That takes as long as a disk needs to sync. A file that is older was left behind by a host
/// that was killed; a younger one may be another host's, which uses the same cache.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// So many components are kept without files. More than a few there are only where files cannot
/// be named, on a disk that fails; then the oldest go, which are the least likely to be live.
const MAX_FRESH: usize = 64;
/// From this size on what a version shares with the one before is worth looking for: to compile a
/// smaller one takes about as long as to open the files.
const LARGE: usize = 128 << 10;

impl Cache {
    /// Open a directory, made if it is missing. `threads` compile a component; 0: as many as fit
    /// the machine.
    pub fn open(dir: PathBuf, threads: usize, timeout: Duration) -> Result<Self, Error> {
        let io = |source| Error::Io { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        check_owner(&dir)?;
        remove_left_behind(&dir).map_err(io)?;
        let compilers = Arc::new(Compilers::new(threads, timeout));
        let waiting = Waiting::default();
        Ok(Self { dir, compilers, waiting, fresh: Arc::default(), functions: None })
    }

    /// Keep so many bytes of the functions of large components, too, for the versions that come
    /// after them; 0: none.
    pub fn with_functions(self, limit: Bytes) -> Self {
        let functions = (limit.0 > 0).then(|| Arc::new(Functions::new(self.dir.clone(), limit.0)));
        Self { functions, ..self }
    }

    /// The component from its AOT file, if there is one. `digest` names the bytes it was compiled
    /// from. Reads the disk.
    pub fn stored(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        let path = self.path(engine, digest);
        // Looked up first: one that is not fresh any more has its file.
        let fresh = self.fresh.get(&path);
        fresh.or_else(|| open_file(engine, &path))
    }

    /// Compile a component and keep its AOT file, once there is a turn. A compilation that takes
    /// too long from then on is abandoned.
    pub async fn compile(
        &self,
        engine: &Engine,
        digest: &blake3::Hash,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Component, Error> {
        let size = bytes.as_ref().len();
        let job = self.job(engine, digest, bytes);
        self.compilers.run(size, move |done| job.run(done)).await?
    }

    fn job<B: AsRef<[u8]>>(&self, engine: &Engine, digest: &blake3::Hash, bytes: B) -> Job<B> {
        let is_large = bytes.as_ref().len() >= LARGE;
        Job {
            engine: engine.clone(),
            bytes: Arc::new(bytes),
            path: self.path(engine, digest),
            fresh: self.fresh.clone(),
            functions: self.functions.clone().filter(|_| is_large),
            session: OnceLock::new(),
            compilers: self.compilers.clone(),
            waits: Mutex::new(Some(self.waiting.enter())),
            waiting: self.waiting.clone(),
        }
    }

    /// Remove the AOT files of a component that is not wanted any more. Code that is in use stays
    /// mapped. Writes the disk.
    pub fn forget(&self, digest: &blake3::Hash) -> io::Result<()> {
        self.remove(|named, _| named == digest.to_hex().as_str())
    }

    /// Remove the AOT files that nobody has used to make a version that is kept, `wanted` by
    /// digest, and that are older than this. Writes the disk.
    pub fn sweep(&self, wanted: &BTreeSet<String>, age: Duration) -> io::Result<()> {
        self.remove(|named, found| {
            let written = found.modified().ok().and_then(|written| written.elapsed().ok());
            !wanted.contains(named) && written.is_some_and(|written| written > age)
        })
    }

    /// Remove the files of which this is true: the digest in the name, and the file.
    fn remove(&self, unwanted: impl Fn(&str, &Metadata) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest =
                name.to_str().and_then(|name| name.strip_suffix(".cwasm")?.split_once('-'));
            // Another one may have gone meanwhile.
            let (Some((digest, _)), Ok(found)) = (digest, entry.metadata()) else { continue };
            if unwanted(digest, &found) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &blake3::Hash) -> PathBuf {
        self.dir.join(format!("{}-{:016x}.cwasm", digest.to_hex(), hash(engine)))
    }
}

impl Fresh {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(PathBuf, Component)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, path: &Path) -> Option<Component> {
        let all = self.lock();
        all.iter().find(|(known, _)| known == path).map(|(_, component)| component.clone())
    }

    fn insert(&self, path: PathBuf, component: Component) {
        let mut all = self.lock();
        all.retain(|(known, _)| *known != path);
        all.push_back((path, component));
        if all.len() > MAX_FRESH {
            all.pop_front();
        }
    }

    fn remove(&self, path: &Path) {
        self.lock().retain(|(known, _)| known != path);
    }
}

/// What tells an engine from those that its code does not run on.
fn hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// The directory must be ours alone.
fn check_owner(dir: &Path) -> Result<(), Error> {
    let unsafe_dir = |problem: String| Error::Unsafe { path: dir.to_owned(), problem };
    let found = fs::metadata(dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(unsafe_dir(format!("belongs to user {}, not {user}", found.uid())));
    }
    if found.mode() & 0o022 != 0 {
        let mode = found.mode() & 0o777;
        return Err(unsafe_dir(format!(
            "may be written by others (mode {mode:03o}); chmod it 700"
        )));
    }
    Ok(())
}

/// Remove what hosts did not come to name.
fn remove_left_behind(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(UNNAMED) {
            continue;
        }
        // Another host may have named or removed it meanwhile.
        let written = entry.metadata().and_then(|found| found.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Map an AOT file. One that is missing or broken is `None`; a broken one is removed.
fn open_file(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    match map(engine, path) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled again: its AOT file is broken");
            let _ = fs::remove_file(path);
            None
        }
    }
}

fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    #[allow(
        unsafe_code,
        reason = "the file is native code; the directory is ours alone, as `check_owner` saw, and \
                  files in it are whole: `job::compile` has just written it, or `job::name` named it"
    )]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
