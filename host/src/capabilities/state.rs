//! What every store holds: WASI, the capabilities' own state, and the limits of the plugin.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use super::{Instances, Prepared, logging::Stream};

/// The most resources that a store has at a time, and the most handles to them: each takes memory
/// of the host's.
pub const MAX_RESOURCES: usize = 4096;
/// The most bytes of one set of fields that a guest puts together.
const MAX_FIELDS: usize = 64 << 10;

/// The data of one store.
pub struct State {
    /// WASI 0.2 and 0.3: no files, no sockets, no environment; what the guest prints becomes
    /// lines of the log.
    pub wasi: WasiCtx,
    /// The fields and sizes of wasi:http.
    pub http: WasiHttpCtx,
    /// Resources of every interface.
    pub table: ResourceTable,
    /// What the call in progress may take.
    pub call: Call,
    /// The plugin's memory, shared by its instances.
    pub memory: Memory,
    /// Each capability's own state.
    pub own: Instances,
}

impl State {
    /// The state of a new store, for its instantiation until `deadline`.
    pub fn new(plugin: Arc<str>, prepared: &Prepared, memory: Memory, deadline: Instant) -> Self {
        Self {
            wasi: wasi(prepared),
            http: http(),
            table: table(),
            call: Call { plugin, deadline, ticks: 0, waited: false, cause: String::new() },
            memory,
            own: Instances::new(prepared),
        }
    }
}

fn wasi(prepared: &Prepared) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    if let Some(log) = &prepared.logging {
        builder.stdout(Stream::stdout(log)).stderr(Stream::stderr(log));
    }
    builder.build()
}

fn http() -> WasiHttpCtx {
    let mut http = WasiHttpCtx::new();
    http.set_field_size_limit(MAX_FIELDS);
    http
}

fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_RESOURCES);
    table
}

/// The call that runs in a store.
#[derive(Clone, Debug)]
pub struct Call {
    /// The plugin.
    pub plugin: Arc<str>,
    /// When the call is interrupted.
    pub deadline: Instant,
    /// How often the clock has ticked while the guest ran, since it last waited.
    pub ticks: u32,
    /// It has waited since the last tick, and others had its thread meanwhile.
    pub waited: bool,
    /// Identifies what caused the call: a request id, or topic, partition and offset.
    pub cause: String,
}

impl Call {
    /// Note what caused the call. The room for it stays from call to call.
    pub fn caused_by(&mut self, cause: &str) {
        self.cause.clear();
        self.cause.push_str(cause);
    }

    /// What is left until the deadline; host functions that wait, wait at most this long.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Wait for something outside of the guest. A guest that waits lets others run, so that it
    /// need not do so again at the next tick.
    pub async fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let waited = &mut self.waited;
        poll_fn(|context| {
            let state = work.as_mut().poll(context);
            *waited |= state.is_pending();
            state
        })
        .await
    }
}

/// The linear memory of one store and what the host keeps for it, counted against what all
/// instances of the plugin share.
pub struct Memory {
    shared: Arc<AtomicUsize>,
    limit: usize,
    mine: usize,
    exceeded: bool,
}

impl Memory {
    /// A store's share; `shared` counts the bytes of all instances, `limit` caps their sum.
    pub fn new(shared: Arc<AtomicUsize>, limit: usize) -> Self {
        Self { shared, limit, mine: 0, exceeded: false }
    }

    /// Whether a growth was refused since the store was made.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Count bytes that the host keeps for the guest; whether they fit.
    pub fn take(&mut self, bytes: usize) -> bool {
        let before = self.shared.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.limit;
        if fits {
            self.mine += bytes;
        } else {
            self.shared.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// The host has dropped bytes that were taken.
    pub fn give_back(&mut self, bytes: usize) {
        self.mine -= bytes;
        self.shared.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.shared.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// The elements a table may have; each costs a pointer.
const MAX_TABLE_ELEMENTS: usize = 100_000;

impl wasmtime::ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The engine asks before it looks at the memory's own maximum.
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let fits = self.take(desired.saturating_sub(current));
        self.exceeded |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_wait_that_lets_others_run_counts_as_one() {
        let deadline = Instant::now();
        let mut call =
            Call { plugin: "p".into(), deadline, ticks: 3, waited: false, cause: "c".into() };
        assert_eq!(call.wait(async { 1 }).await, 1);
        assert!(!call.waited);
        call.wait(tokio::task::yield_now()).await;
        assert!(call.waited);
    }
}
