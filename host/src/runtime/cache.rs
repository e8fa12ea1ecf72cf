//! Compiled components on disk, and the threads that compile them.
//!
//! ```text
//!  bytes ── compile ── temporary file ── map ──▶ Component
//!                           └── sync, rename to its name
//! ```
//! Nobody waits for the disk: code runs from the temporary file until that is safe and has its
//! name. All of it happens on the compilers' threads, away from those that serve.
//!
//! An AOT file is native code: whoever can write one owns the host. So the directory must belong
//! to the user that runs the host and be closed to everybody else. Files are named by the digest
//! of the component and the hash of the engine's settings, so a new wasmtime or other settings
//! never load an old file.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tempfile::NamedTempFile;
use tokio::sync::oneshot;
use wasmtime::{Engine, component::Component};

/// Where compiled components lie.
pub struct Cache {
    dir: PathBuf,
    compilers: rayon::ThreadPool,
    timeout: Duration,
    fresh: Arc<Fresh>,
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
    /// It took too long.
    #[error("compiling took longer than {0:?}; raise `[runtime] compile-timeout`")]
    Timeout(Duration),
}

/// How much lower than the serving threads' the compilers' priority is, in steps of `nice`.
const NICE: i32 = 10;
/// What a file is called before it has its name, with random letters after it.
const UNNAMED: &str = ".unnamed-";
/// That takes as long as a disk needs to sync. A file that is older was left behind by a host
/// that was killed; a younger one may be another host's, which uses the same cache.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// So many components are kept without files. More than a few there are only where files cannot
/// be named, on a disk that fails; then the oldest go, which are the least likely to be live.
const MAX_FRESH: usize = 64;

impl Cache {
    /// Open a directory, made if it is missing, with its compiler threads.
    pub fn open(dir: PathBuf, threads: usize, timeout: Duration) -> Result<Self, Error> {
        let io = |source| Error::Io { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        check_owner(&dir)?;
        remove_left_behind(&dir).map_err(io)?;
        let threads = if threads == 0 { some_threads() } else { threads };
        let compilers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compiler-{index}"))
            .start_handler(|_| {
                // On Linux a process id of zero means the calling thread.
                let _ = rustix::process::setpriority_process(None, NICE);
            })
            // A panic has been reported, and whoever waits is told. Unhandled it would end the
            // host.
            .panic_handler(drop)
            .build()
            .map_err(|error| io(io::Error::other(error)))?;
        Ok(Self { dir, compilers, timeout, fresh: Arc::default() })
    }

    /// The component from its AOT file, if there is one. `digest` names the bytes it was compiled
    /// from. Reads the disk.
    pub fn stored(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        let path = self.path(engine, digest);
        // Looked up first: one that is not fresh any more has its file.
        let fresh = self.fresh.get(&path);
        fresh.or_else(|| open_file(engine, &path))
    }

    /// Compile a component and keep its AOT file. A compilation that takes too long is abandoned:
    /// it ends on its own thread, but nobody waits for it.
    pub async fn compile(
        &self,
        engine: &Engine,
        digest: &blake3::Hash,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Component, Error> {
        let (path, fresh, engine) = (self.path(engine, digest), self.fresh.clone(), engine.clone());
        let (done, compiled) = oneshot::channel();
        self.compilers.spawn(move || match compile(&engine, bytes.as_ref(), &path) {
            Ok((component, file)) => {
                fresh.insert(path.clone(), component.clone());
                let _ = done.send(Ok(component));
                name(file, &path, &fresh);
            }
            Err(error) => drop(done.send(Err(error))),
        });
        match tokio::time::timeout(self.timeout, compiled).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::Compile("the compiler panicked".into())),
            Err(_) => Err(Error::Timeout(self.timeout)),
        }
    }

    fn path(&self, engine: &Engine, digest: &blake3::Hash) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{}-{:016x}.cwasm", digest.to_hex(), hasher.finish()))
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

/// Compile into a file without its name, and map that.
fn compile(
    engine: &Engine,
    bytes: &[u8],
    path: &Path,
) -> Result<(Component, NamedTempFile), Error> {
    let native =
        engine.precompile_component(bytes).map_err(|error| Error::Compile(format!("{error:#}")))?;
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(UNNAMED).tempfile_in(dir)?;
        file.write_all(&native)?;
        Ok(file)
    };
    let file = write().map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let component = map(engine, file.path()).map_err(|error| {
        Error::Compile(format!("its AOT file cannot be loaded again: {error:#}"))
    })?;
    Ok((component, file))
}

/// Give an AOT file its name once all of it is on the disk: whoever finds it finds it whole.
fn name(file: NamedTempFile, path: &Path, fresh: &Fresh) {
    let named = file.as_file().sync_data().and_then(|()| Ok(file.persist(path).map(drop)?));
    match named {
        Ok(()) => fresh.remove(path),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled code is kept in memory alone");
        }
    }
}

/// Half the cores; both where there are two: the one that somebody waits for is soon done.
fn some_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    cores.div_ceil(2).max(2).min(cores)
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
                  files in it are whole: `compile` has just written it, or `name` named it"
    )]
    unsafe {
        Component::deserialize_file(engine, path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn open(dir: &Path) -> Result<Cache, Error> {
        Cache::open(dir.to_owned(), 1, Duration::from_secs(60))
    }

    /// The only compiler is free again when the file has its name.
    fn until_named(cache: &Cache) {
        cache.compilers.install(|| assert!(cache.fresh.lock().is_empty()));
    }

    /// What is in the directory.
    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(dir).unwrap().map(name);
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_component_is_there_at_once_and_again_after_its_file_was_broken() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        let engine = Engine::default();
        let digest = blake3::hash(EMPTY);
        assert!(cache.stored(&engine, &digest).is_none());
        for _ in 0..2 {
            cache.compile(&engine, &digest, EMPTY).await.unwrap();
            assert!(cache.stored(&engine, &digest).is_some());
            until_named(&cache);
            assert!(cache.stored(&engine, &digest).is_some());
            assert_eq!(names(dir.path()).len(), 1);
            fs::write(cache.path(&engine, &digest), b"not native code").unwrap();
            assert!(cache.stored(&engine, &digest).is_none());
        }
    }

    #[tokio::test]
    async fn what_is_no_component_does_not_compile_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        let bytes = b"\0asm\x0d\0\x01\0\xff";
        let outcome = cache.compile(&Engine::default(), &blake3::hash(bytes), bytes).await;
        assert!(matches!(outcome, Err(Error::Compile(_))));
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn a_component_that_several_compile_at_once_is_stored_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().to_owned(), 4, Duration::from_secs(60)).unwrap();
        let (engine, digest) = (Engine::default(), blake3::hash(EMPTY));
        let compile = |_| cache.compile(&engine, &digest, EMPTY);
        for outcome in futures_util::future::join_all((0..16).map(compile)).await {
            outcome.unwrap();
        }
        // Waits for the compilers, which end when all that they do has ended.
        let (fresh, path) = (cache.fresh.clone(), cache.path(&engine, &digest));
        cache.compilers.broadcast(|_| ());
        assert!(fresh.lock().is_empty());
        assert_eq!(names(dir.path()), [path.file_name().unwrap().to_str().unwrap()]);
        assert!(cache.stored(&engine, &digest).is_some());
    }

    #[tokio::test]
    async fn components_whose_files_cannot_be_named_are_kept_in_memory_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        let engine = Engine::default();
        let digests: Vec<_> = (0..=MAX_FRESH).map(|n| blake3::hash(&n.to_le_bytes())).collect();
        for digest in &digests {
            // No file can take the place of a directory.
            fs::create_dir(cache.path(&engine, digest)).unwrap();
            cache.compile(&engine, digest, EMPTY).await.unwrap();
        }
        cache.compilers.install(|| ());
        assert!(cache.stored(&engine, &digests[0]).is_none());
        assert!(digests[1..].iter().all(|digest| cache.stored(&engine, digest).is_some()));
        assert!(names(dir.path()).iter().all(|name| name.ends_with(".cwasm")));
        // What can be named again is.
        fs::remove_dir(cache.path(&engine, &digests[1])).unwrap();
        cache.compile(&engine, &digests[1], EMPTY).await.unwrap();
        cache.compilers.install(|| assert_eq!(cache.fresh.lock().len(), MAX_FRESH - 1));
    }

    #[tokio::test]
    async fn a_compiler_that_panics_takes_nobody_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        cache.compilers.spawn(|| panic!("a bug"));
        let digest = blake3::hash(EMPTY);
        cache.compile(&Engine::default(), &digest, EMPTY).await.unwrap();
    }

    #[test]
    fn files_that_were_left_behind_without_names_are_removed_once_nobody_can_be_at_them() {
        let dir = tempfile::tempdir().unwrap();
        let hour_ago = std::time::SystemTime::now() - LEFT_BEHIND - Duration::from_secs(1);
        let files = [".unnamed-old", ".unnamed-new", "0-1.cwasm", "of another"];
        for name in files {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(hour_ago).unwrap();
        }
        fs::write(dir.path().join(".unnamed-new"), "").unwrap();
        open(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [".unnamed-new", "0-1.cwasm", "of another"]);
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("mode 777"), "{error}");
    }
}
