//! Compiled components on disk, and the threads that compile them.
//!
//! An AOT file is native code: whoever can write one owns the host. So the directory must belong
//! to the user that runs the host and be closed to everybody else. Files are named by the digest
//! of the component and the hash of the engine's settings, so a new wasmtime or other settings
//! never load an old file.

use std::{
    fs::{self, DirBuilder},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use wasmtime::{Engine, component::Component};

/// Where compiled components lie.
pub struct Cache {
    dir: PathBuf,
    compilers: Arc<rayon::ThreadPool>,
    timeout: Duration,
}

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

impl Cache {
    /// Open a directory, made if it is missing, with its compiler threads.
    pub fn open(dir: PathBuf, threads: usize, timeout: Duration) -> Result<Self, Error> {
        let io = |source| Error::Io { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        check_owner(&dir)?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = if threads == 0 { cores.div_ceil(2) } else { threads };
        let compilers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compiler-{index}"))
            .start_handler(|_| {
                // On Linux a process id of zero means the calling thread.
                let _ = rustix::process::setpriority_process(None, NICE);
            })
            .build()
            .map_err(|error| io(io::Error::other(error)))?;
        Ok(Self { dir, compilers: Arc::new(compilers), timeout })
    }

    /// The component, from its AOT file if there is one, else compiled and kept. `digest` names
    /// the bytes. Answers also whether it had to be compiled.
    pub async fn component(
        &self,
        engine: &Engine,
        digest: &blake3::Hash,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<(Component, bool), Error> {
        let path = self.path(engine, digest);
        if let Some(component) = open_file(engine, &path) {
            return Ok((component, false));
        }
        let native = self.compile(engine.clone(), bytes).await?;
        write(&path, &native).map_err(|source| Error::Io { path: path.clone(), source })?;
        let component = open_file(engine, &path)
            .ok_or_else(|| Error::Compile("its AOT file cannot be loaded again".into()))?;
        Ok((component, true))
    }

    /// The component from its AOT file, if there is one: the way back for code that was dropped.
    pub fn stored(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        open_file(engine, &self.path(engine, digest))
    }

    fn path(&self, engine: &Engine, digest: &blake3::Hash) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.dir.join(format!("{}-{:016x}.cwasm", digest.to_hex(), hasher.finish()))
    }

    /// Compile on the compiler threads. A compilation that takes too long is abandoned: it ends
    /// on its own thread, but nobody waits for it.
    async fn compile(
        &self,
        engine: Engine,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Vec<u8>, Error> {
        let (done, native) = tokio::sync::oneshot::channel();
        self.compilers.spawn(move || {
            let _ = done.send(engine.precompile_component(bytes.as_ref()));
        });
        match tokio::time::timeout(self.timeout, native).await {
            Ok(Ok(Ok(native))) => Ok(native),
            Ok(Ok(Err(error))) => Err(Error::Compile(format!("{error:#}"))),
            Ok(Err(_)) => Err(Error::Compile("the compiler panicked".into())),
            Err(_) => Err(Error::Timeout(self.timeout)),
        }
    }
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

/// Map an AOT file. One that is missing or broken is `None`; a broken one is removed.
fn open_file(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    #[allow(
        unsafe_code,
        reason = "the file is native code; the directory is ours alone, as `check_owner` saw, and \
                  files in it are written whole by `write`"
    )]
    let component = unsafe { Component::deserialize_file(engine, path) };
    match component {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled again: its AOT file is broken");
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// Write a file so that nobody sees a part of it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map(drop).map_err(|error| error.error)
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

    #[tokio::test]
    async fn a_component_is_compiled_once_and_again_when_its_file_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path()).unwrap();
        let engine = Engine::default();
        let digest = blake3::hash(EMPTY);
        assert!(cache.stored(&engine, &digest).is_none());
        assert!(cache.component(&engine, &digest, EMPTY).await.unwrap().1);
        assert!(!cache.component(&engine, &digest, EMPTY).await.unwrap().1);
        fs::write(cache.path(&engine, &digest), b"not native code").unwrap();
        assert!(cache.component(&engine, &digest, EMPTY).await.unwrap().1);
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("mode 777"), "{error}");
    }
}
