//! One compilation: the component for whoever waits, then its file, then the functions for the next
//! version.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use metrics::counter;
use tempfile::NamedTempFile;
use tokio::sync::oneshot;
use wasmtime::{Engine, component::Component};

use super::{
    Compilers, Error, Fresh, UNNAMED,
    again::{self, Waiting, Waits},
    functions::{Functions, Session},
    hash, map,
};

/// How whoever waits is told.
type Done = oneshot::Sender<Result<Component, Error>>;

/// What it takes to compile a component, also when that is begun anew.
pub(super) struct Job<B> {
    pub engine: Engine,
    pub bytes: Arc<B>,
    /// The AOT file.
    pub path: PathBuf,
    pub fresh: Arc<Fresh>,
    /// Those of large components are kept.
    pub functions: Option<Arc<Functions>>,
    /// Begun once: a compilation that is begun again goes on with the functions that were made.
    pub session: OnceLock<Option<Arc<Session>>>,
    pub compilers: Arc<Compilers>,
    /// That somebody waits for this, until they are told.
    pub waits: Mutex<Option<Waits>>,
    pub waiting: Waiting,
}

impl<B: AsRef<[u8]> + Send + Sync + 'static> Job<B> {
    /// Compile, and look after what comes behind it.
    pub fn run(&self, done: Done) {
        if self.compile_and_keep(done) >= again::MANY {
            self.ask_again();
        }
    }

    /// Compile, tell whoever waits, and then look after the files. Answers how many functions are
    /// kept for the next version, none if nobody waited any longer.
    pub fn compile_and_keep(&self, done: Done) -> usize {
        let session = self.begin();
        let bytes = (*self.bytes).as_ref();
        let (component, file) = match compile(&self.engine, bytes, &self.path, session) {
            Ok(compiled) => compiled,
            Err(error) => {
                self.tell(done, Err(error));
                return 0;
            }
        };
        self.fresh.insert(self.path.clone(), component.clone());
        let was_awaited = self.tell(done, Ok(component));
        name(file, &self.path, &self.fresh);
        let kept = session.map_or(Ok(0), |session| session.keep()).unwrap_or_else(|error| {
            tracing::warn!(%error, "compiled functions are not kept for the next version");
            0
        });
        if was_awaited { kept } else { 0 }
    }

    /// Begin to take and to keep functions, if that can be done.
    fn begin(&self) -> Option<&Arc<Session>> {
        let session = self.session.get_or_init(|| {
            let session = self.functions.as_ref()?.session(hash(&self.engine));
            let told =
                |error| tracing::warn!(%error, "compiled without the functions of earlier versions");
            session.map_err(told).ok()
        });
        session.as_ref()
    }

    /// Whether anybody waited.
    fn tell(&self, done: Done, outcome: Result<Component, Error>) -> bool {
        drop(self.waits.lock().unwrap_or_else(PoisonError::into_inner).take());
        done.send(outcome).is_ok()
    }

    /// Make what the first change of a new interpreter would have to compile, once there is time.
    fn ask_again(&self) {
        let Some(functions) = self.functions.clone() else { return };
        let (engine, bytes, waiting) =
            (self.engine.clone(), self.bytes.clone(), self.waiting.clone());
        self.compilers.aside(move || {
            match again::ask(&engine, (*bytes).as_ref(), &functions, waiting) {
                Ok(counts) => tracing::debug!(?counts, "functions asked for again"),
                Err(error) => tracing::debug!(%error, "functions are not asked for again"),
            }
        });
    }
}

/// Compile into a file without its name, and map that.
fn compile(
    engine: &Engine,
    bytes: &[u8],
    path: &Path,
    session: Option<&Arc<Session>>,
) -> Result<(Component, NamedTempFile), Error> {
    let began = Instant::now();
    let native =
        precompile(engine, bytes, session).map_err(|error| Error::Compile(format!("{error:#}")))?;
    let compiled = began.elapsed();
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(UNNAMED).tempfile_in(dir)?;
        file.write_all(&native)?;
        Ok(file)
    };
    let file = write().map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let written = began.elapsed();
    let component = map(engine, file.path()).map_err(|error| {
        Error::Compile(format!("its AOT file cannot be loaded again: {error:#}"))
    })?;
    tracing::debug!(
        bytes = bytes.len(),
        native = native.len(),
        ?compiled,
        written = ?written - compiled,
        mapped = ?began.elapsed() - written,
        "compiled"
    );
    Ok((component, file))
}

/// Make native code, with what functions there are.
fn precompile(
    engine: &Engine,
    bytes: &[u8],
    session: Option<&Arc<Session>>,
) -> wasmtime::Result<Vec<u8>> {
    let Some(session) = session else { return engine.precompile_component(bytes) };
    let native = session.compiler(engine)?.precompile_component(bytes)?;
    let (reused, compiled) = session.take_counts();
    counter!("trellis_functions_reused_total").increment(reused);
    counter!("trellis_functions_compiled_total").increment(compiled);
    tracing::debug!(reused, compiled, "functions");
    Ok(native)
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
