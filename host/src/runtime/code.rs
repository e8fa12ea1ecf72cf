//! A component, compiled and linked: ready to be instantiated.

use std::sync::Arc;

use tokio::sync::Notify;
use wasmtime::component::{Component, InstancePre};

use super::{
    Runtime, cache,
    engine::Turns,
    exports::{Indices, Offered},
};
use crate::capabilities::{Dialect, State};

/// Compiled code with everything that is looked up once.
pub struct Code {
    pub(super) pre: InstancePre<State>,
    pub(super) indices: Indices,
    /// See [`Runtime::pressure`].
    pub(super) pressure: Arc<Notify>,
    /// What long calls wait for.
    pub(super) turns: Arc<Turns>,
}

/// Why a component cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not compiled.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// Its imports or exports do not have the types the host knows.
    #[error("does not fit this host: {0}")]
    Link(String),
}

impl Code {
    /// Which contracts the component exports.
    pub fn offered(&self) -> Offered {
        self.indices.offered()
    }
}

impl Runtime {
    /// Compile and link a component. Answers also whether it had to be compiled, or came from
    /// the cache.
    pub async fn load(
        self: &Arc<Self>,
        dialect: Dialect,
        digest: &blake3::Hash,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<(Code, bool), Error> {
        if let Some(code) = self.reload(dialect, digest).await? {
            return Ok((code, false));
        }
        let engine = &self.linked(dialect).map_err(link_error)?.engine;
        let component = self.cache.compile(engine, digest, bytes).await?;
        let code = self.aside(move |runtime| runtime.link(dialect, &component)).await?;
        Ok((code, true))
    }

    /// Map and link a component whose AOT file is in the cache; `None` when it is not.
    pub async fn reload(
        self: &Arc<Self>,
        dialect: Dialect,
        digest: &blake3::Hash,
    ) -> Result<Option<Code>, Error> {
        let digest = *digest;
        let map = move |runtime: &Self| {
            let linked = runtime.linked(dialect).map_err(link_error)?;
            let component = runtime.cache.stored(&linked.engine, &digest);
            component.map(|component| runtime.link(dialect, &component)).transpose()
        };
        self.aside(map).await
    }

    /// Do something that takes its time on a thread that serves nobody.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let runtime = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&runtime)).await;
        done.map_err(|error| Error::Link(error.to_string()))?
    }

    fn link(&self, dialect: Dialect, component: &Component) -> Result<Code, Error> {
        let linked = self.linked(dialect).map_err(link_error)?;
        let indices = Indices::of(component).map_err(link_error)?;
        let pre = linked.linker.instantiate_pre(component).map_err(link_error)?;
        let (pressure, turns) = (self.pressure.clone(), self.ticker.turns().clone());
        Ok(Code { pre, indices, pressure, turns })
    }
}

fn link_error(error: wasmtime::Error) -> Error {
    Error::Link(format!("{error:#}"))
}
