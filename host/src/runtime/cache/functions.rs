//! Compiled functions, kept for the next version of a large component.
//!
//! A plugin in Python or JavaScript carries its interpreter, and a new version of it is another
//! program for the same one: nearly every function is what it was. The compiler asks for each by
//! the digest of all that its code follows from, and what is new goes into one file a compilation.
//!
//! ```text
//!  compiler ── key ──▶ Session ── in memory: what this compilation has made
//!                          └───── packs on disk: what earlier ones have made
//!            kept ─▶ one more pack; the least recently used go beyond the limit
//! ```
//! Some functions are compiled again although they are the same: the compiler (wasmtime 48) leaves a
//! trace of what it compiled before in what it makes the digest of, and which function that was is
//! chance. Each of them has a few such digests; once all are kept nothing is compiled again. That
//! costs time, nothing else.
//!
//! They lie beside the AOT files and are trusted for the same reasons. A file belongs to an engine
//! by its name; one that is broken is removed, and its functions are compiled again.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use wasmtime::{CacheStore, Engine, InstanceAllocationStrategy};

mod pack;

use pack::{Key, Pack, Place};

use super::again::Waiting;

/// How a file of functions ends, after the hash of its engine and a digest.
const ENDING: &str = ".functions";
/// So many files are kept, whatever their size: each is open.
const MAX_PACKS: usize = 128;

/// The functions that are kept in a directory.
#[derive(Debug)]
pub(super) struct Functions {
    dir: PathBuf,
    /// Bytes of all files.
    limit: u64,
    known: Mutex<Known>,
}

/// What is open of the files.
#[derive(Debug, Default)]
struct Known {
    packs: BTreeMap<String, Arc<Pack>>,
    functions: HashMap<(u64, Key), (Arc<Pack>, Place)>,
}

/// What one compilation takes, and what it adds.
pub(super) struct Session {
    functions: Arc<Functions>,
    /// The hash of the engine.
    scope: u64,
    /// Whom it gives way to, if nobody waits for it.
    gives_way: Option<Waiting>,
    made: Mutex<Made>,
    reused: AtomicU64,
    compiled: AtomicU64,
}

#[derive(Default)]
struct Made {
    functions: HashMap<Key, Vec<u8>>,
    bytes: u64,
}

impl Functions {
    /// The functions of this directory, in files of at most `limit` bytes together.
    pub(super) fn new(dir: PathBuf, limit: u64) -> Self {
        Self { dir, limit, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begin a compilation for an engine, of which `scope` is the hash. Reads the disk.
    pub(super) fn session(self: &Arc<Self>, scope: u64) -> io::Result<Arc<Session>> {
        self.begin(scope, None)
    }

    /// The same for a compilation that nobody waits for: it unwinds once somebody waits for
    /// another.
    pub(super) fn aside(
        self: &Arc<Self>,
        scope: u64,
        waiting: Waiting,
    ) -> io::Result<Arc<Session>> {
        self.begin(scope, Some(waiting))
    }

    fn begin(self: &Arc<Self>, scope: u64, gives_way: Option<Waiting>) -> io::Result<Arc<Session>> {
        self.look(scope)?;
        Ok(Arc::new(Session {
            functions: self.clone(),
            scope,
            gives_way,
            made: Mutex::default(),
            reused: AtomicU64::new(0),
            compiled: AtomicU64::new(0),
        }))
    }

    /// Open what has come for an engine, and forget what is gone: another host may use the same
    /// directory.
    fn look(&self, scope: u64) -> io::Result<()> {
        let there: BTreeMap<String, _> = self.list()?.into_iter().collect();
        let mut known = self.lock();
        known.retain(|name| there.contains_key(name));
        let prefix = format!("{scope:016x}-");
        for name in there.into_keys() {
            if !name.starts_with(&prefix) || known.packs.contains_key(&name) {
                continue;
            }
            let path = self.dir.join(&name);
            match Pack::open(&path, name) {
                Ok((pack, places)) => known.add(scope, pack, places),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => remove_broken(&path, &error),
            }
        }
        Ok(())
    }

    /// All files by name, with what the file system says of them.
    fn list(&self) -> io::Result<Vec<(String, fs::Metadata)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            // Another host may have removed it.
            if let (true, Ok(found)) = (name.ends_with(ENDING), entry.metadata()) {
                all.push((name, found));
            }
        }
        Ok(all)
    }

    fn get(&self, scope: u64, key: &Key) -> Option<Vec<u8>> {
        let (pack, place) = self.lock().functions.get(&(scope, *key)).cloned()?;
        match pack.read(key, place) {
            Ok(code) => Some(code),
            Err(error) => {
                self.lock().retain(|name| name != pack.name);
                remove_broken(&self.dir.join(&pack.name), &error);
                None
            }
        }
    }

    /// Note which files were of use, the most useful last, and remove those that nobody has used
    /// for longest where all are too many or too large.
    fn shrink(&self) -> io::Result<()> {
        let mut used: Vec<_> =
            self.lock().packs.values().map(|pack| (pack.take_hits(), pack.clone())).collect();
        used.retain(|(hits, _)| *hits > 0);
        used.sort_by_key(|(hits, _)| *hits);
        for (_, pack) in used {
            pack.touch()?;
        }
        let mut all = self.list()?;
        all.sort_by_key(|(_, found)| std::cmp::Reverse(found.modified().ok()));
        let mut bytes = 0;
        for (number, (name, found)) in all.into_iter().enumerate() {
            bytes += found.len();
            if bytes > self.limit || number >= MAX_PACKS {
                self.lock().retain(|kept| kept != name);
                // Another host may have done so.
                let _ = fs::remove_file(self.dir.join(name));
            }
        }
        Ok(())
    }
}

impl Known {
    fn add(&mut self, scope: u64, pack: Pack, places: Vec<(Key, Place)>) {
        let pack = Arc::new(pack);
        let places = places.into_iter().map(|(key, place)| ((scope, key), (pack.clone(), place)));
        self.functions.extend(places);
        self.packs.insert(pack.name.clone(), pack);
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let before = self.packs.len();
        self.packs.retain(|name, _| keep(name));
        if self.packs.len() < before {
            self.functions.retain(|_, (pack, _)| keep(&pack.name));
        }
    }
}

impl Session {
    /// An engine like this one that takes its functions from here. It only compiles.
    pub(super) fn compiler(self: &Arc<Self>, like: &Engine) -> wasmtime::Result<Engine> {
        let mut config = like.config().clone();
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        config.enable_incremental_compilation(self.clone())?;
        Engine::new(&config)
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many functions were there already, and how many had to be compiled, since the last time
    /// somebody asked.
    pub(super) fn take_counts(&self) -> (u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        (take(&self.reused), take(&self.compiled))
    }

    /// Keep what was made, and tell how many functions were kept. Writes the disk.
    pub(super) fn keep(&self) -> io::Result<usize> {
        let mut made = std::mem::take(&mut *self.lock()).functions;
        {
            // Another compilation may have kept some of them.
            let known = self.functions.lock();
            made.retain(|key, _| !known.functions.contains_key(&(self.scope, *key)));
        }
        let written = (!made.is_empty()).then(|| self.write(&made)).transpose()?;
        self.functions.shrink()?;
        let packs = &self.functions.lock().packs;
        let is_there = written.is_some_and(|name| packs.contains_key(&name));
        Ok(if is_there { made.len() } else { 0 })
    }

    /// Write a file; its name is the answer.
    fn write(&self, made: &HashMap<Key, Vec<u8>>) -> io::Result<String> {
        let dir = &self.functions.dir;
        let mut file = tempfile::Builder::new().prefix(super::UNNAMED).tempfile_in(dir)?;
        let functions = made.iter().map(|(key, code)| (key, code.as_slice()));
        pack::write(file.as_file_mut(), functions)?;
        let name = format!("{:016x}-{:016x}{ENDING}", self.scope, fastrand::u64(..));
        let path = dir.join(&name);
        file.persist(&path)?;
        let (pack, places) = Pack::open(&path, name.clone())?;
        self.functions.lock().add(self.scope, pack, places);
        Ok(name)
    }
}

impl CacheStore for Session {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        if let Some(waiting) = &self.gives_way {
            waiting.give_way();
        }
        let key = key.try_into().ok()?;
        let made = self.lock().functions.get(&key).cloned();
        let code = made.or_else(|| self.functions.get(self.scope, &key));
        if code.is_some() {
            self.reused.fetch_add(1, Ordering::Relaxed);
        }
        code.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let Ok(key) = key.try_into() else { return false };
        let mut made = self.lock();
        // More than is kept is not worth its memory.
        let bytes = made.bytes + code.len() as u64;
        if bytes > self.functions.limit {
            return false;
        }
        made.bytes = bytes;
        made.functions.insert(key, code);
        true
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("scope", &self.scope).finish_non_exhaustive()
    }
}

fn remove_broken(path: &Path, error: &io::Error) {
    tracing::warn!(path = %path.display(), %error, "compiled again: its functions are broken");
    let _ = fs::remove_file(path);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
