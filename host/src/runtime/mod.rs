//! The only driver of wasmtime: compiles components, lends their instances, runs their calls.
//!
//! Plugins and triggers enter here. A component becomes [`Code`] (compiled, linked, its exports
//! known); a generation puts [`Instances`] around it; a trigger takes a [`Lease`] of one and
//! calls an export, and whatever goes wrong comes back as a [`CallError`].
//!
//! ```text
//!  bytes ── cache (AOT file) ── Code ── Instances ── Lease ── call ── answer
//!              compilers         pre      pool        slot    epoch, deadline
//! ```

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use wasmtime::{Engine, component::Linker};

use crate::capabilities::{Capabilities, Dialect, State};

pub mod cache;
pub mod call;
pub mod code;
pub mod compilers;
pub mod engine;
pub mod exports;
pub mod inspect;
pub mod instances;
mod lane;
mod trap;

pub use call::CallError;
pub use code::Code;
pub use engine::Settings;
pub use instances::{Instances, Lease};

/// The engines with everything linked that a component may import.
pub struct Runtime {
    settings: Settings,
    /// For all components but those of WASI 0.3; a call costs a third of the other's.
    plain: Linked,
    /// For components of WASI 0.3, made when the first one comes.
    concurrent: OnceLock<Linked>,
    cache: cache::Cache,
    ticker: engine::Ticker,
    /// Told when the pool of an engine is full and a call waits for a place in it.
    pressure: Arc<Notify>,
}

/// An engine and its linker.
struct Linked {
    engine: Engine,
    linker: Linker<State>,
}

impl Runtime {
    /// Make the first engine and open the cache of compiled code.
    pub fn open(settings: Settings, cache: cache::Cache) -> wasmtime::Result<Arc<Self>> {
        let ticker = engine::Ticker::start(settings.tick.into(), settings.long_calls);
        let plain = link(&settings, Dialect::Plain, &ticker)?;
        let pressure = Arc::default();
        Ok(Arc::new(Self { settings, plain, concurrent: OnceLock::new(), cache, ticker, pressure }))
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where compiled code lies.
    pub fn cache(&self) -> &cache::Cache {
        &self.cache
    }

    /// Wait until a call waits for a place in a full pool: idle instances should be given up.
    pub async fn pressure(&self) {
        self.pressure.notified().await;
    }

    fn linked(&self, dialect: Dialect) -> wasmtime::Result<&Linked> {
        match dialect {
            Dialect::Plain => Ok(&self.plain),
            Dialect::Concurrent => match self.concurrent.get() {
                Some(linked) => Ok(linked),
                None => {
                    let linked = link(&self.settings, dialect, &self.ticker)?;
                    Ok(self.concurrent.get_or_init(|| linked))
                }
            },
        }
    }
}

fn link(
    settings: &Settings,
    dialect: Dialect,
    ticker: &engine::Ticker,
) -> wasmtime::Result<Linked> {
    let engine = engine::open(settings, dialect)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    if dialect == Dialect::Concurrent {
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    }
    Capabilities::link(&mut linker, dialect)?;
    ticker.watch(&engine);
    Ok(Linked { engine, linker })
}
