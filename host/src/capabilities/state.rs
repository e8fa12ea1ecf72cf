//! What every store holds: WASI, the capabilities' own state, and the limits of the plugin.

use std::{
    future::poll_fn,
    mem,
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

use super::{Instances, Prepared, fixed, logging::Stream};
use crate::observe::traces::Trace;

/// The most resources that a store has at a time, and the most handles to them: each takes memory
/// of the host's.
pub const MAX_RESOURCES: usize = 4096;
/// The most bytes of one set of fields that a guest puts together.
const MAX_FIELDS: usize = 64 << 10;

/// The most random bytes of one call: nothing interrupts the host while it makes them.
const MAX_RANDOM: u64 = 1 << 20;

/// The data of one store.
pub struct State {
    /// WASI 0.2 and 0.3: no files, no sockets; the environment is the plugin's configuration, and
    /// what the guest prints becomes lines of the log.
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
            call: Call::new(plugin, deadline),
            memory,
            own: Instances::new(prepared),
        }
    }
}

fn wasi(prepared: &Prepared) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder.max_random_size(MAX_RANDOM);
    if let Some(world) = prepared.world.as_fixed() {
        fixed::settle(&mut builder, world);
    }
    if let Some(config) = &prepared.config {
        for (name, value) in config.environment() {
            builder.env(name, value);
        }
    }
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
    /// It has waited since the last tick, and others had its thread meanwhile.
    pub waited: bool,
    /// For how long it ran before it last waited, since it began or had a turn.
    spent: Duration,
    /// Since when it runs; `None` when it goes on with a turn, whose beginning nobody noted.
    since: Option<Instant>,
    /// Identifies what caused the call: a request id, or topic, partition and offset.
    pub cause: String,
    /// The trace that it belongs to, if it is traced.
    pub trace: Option<Trace>,
}

impl Call {
    fn new(plugin: Arc<str>, deadline: Instant) -> Self {
        let since = Some(Instant::now());
        Self {
            plugin,
            deadline,
            waited: false,
            spent: Duration::ZERO,
            since,
            cause: String::new(),
            trace: None,
        }
    }

    /// Another call begins, which is interrupted at `deadline`.
    pub fn begin(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.waited = false;
        self.spent = Duration::ZERO;
        self.since = Some(Instant::now());
    }

    /// Whether it has had more of the processor than `turn` by now, however often it waited in
    /// between. Then it needs a turn to go on, and starts afresh with that.
    pub fn is_long(&mut self, now: Instant, turn: Duration) -> bool {
        let ran = self.since.map_or(turn, |since| self.spent + now.duration_since(since));
        let long = ran >= turn;
        if long {
            (self.spent, self.since) = (Duration::ZERO, None);
        }
        long
    }

    /// Note what caused the call, and the trace of that. The room for the text stays from call to
    /// call.
    pub fn caused_by(&mut self, cause: &str, trace: Option<Trace>) {
        self.cause.clear();
        self.cause.push_str(cause);
        self.trace = trace;
    }

    /// It has ended: nothing else is caused by the same.
    pub fn end(&mut self) {
        self.cause.clear();
        self.trace = None;
    }

    /// What is left until the deadline; host functions that wait, wait at most this long.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Wait for something outside of the guest. A guest that waits lets others run, so that it
    /// need not do so again at the next tick.
    pub async fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut pending = false;
        let done = poll_fn(|context| {
            let state = work.as_mut().poll(context);
            if state.is_pending() && !pending {
                pending = true;
                self.waited = true;
                self.spent += self.since.map_or(Duration::ZERO, |since| since.elapsed());
            }
            state
        })
        .await;
        if pending {
            self.since = Some(Instant::now());
        }
        done
    }
}

/// The linear memory of one store and what the host keeps for it, counted against what all
/// instances of the plugin share.
pub struct Memory {
    shared: Arc<AtomicUsize>,
    limit: usize,
    mine: usize,
    /// The part of `mine` that [`Memory::hold`] counted last.
    held: usize,
    exceeded: bool,
    overdrawn: bool,
}

impl Memory {
    /// A store's share; `shared` counts the bytes of all instances, `limit` caps their sum.
    pub fn new(shared: Arc<AtomicUsize>, limit: usize) -> Self {
        Self { shared, limit, mine: 0, held: 0, exceeded: false, overdrawn: false }
    }

    /// Whether a growth was refused since the store was made.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Whether the host keeps more than fits: the call must end.
    pub fn overdrawn(&self) -> bool {
        self.overdrawn
    }

    /// Count anew what the host keeps without having asked before, in all.
    pub fn hold(&mut self, bytes: usize) {
        let before = mem::take(&mut self.held);
        self.give_back(before);
        if self.take(bytes) {
            self.held = bytes;
        } else {
            (self.exceeded, self.overdrawn) = (true, true);
        }
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

    /// What lends further bytes of the plugin's memory, wherever it is carried.
    pub fn lender(&self) -> Lender {
        Lender { shared: self.shared.clone(), limit: self.limit }
    }

    /// The host has dropped bytes that were taken.
    pub fn give_back(&mut self, bytes: usize) {
        self.mine -= bytes;
        self.shared.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Lends bytes of a plugin's memory to what the host keeps for its guests.
#[derive(Clone)]
pub struct Lender {
    shared: Arc<AtomicUsize>,
    limit: usize,
}

impl Lender {
    /// Count bytes until the loan is dropped; `None` where they do not fit.
    pub fn lend(&self, bytes: usize) -> Option<Loan> {
        let before = self.shared.fetch_add(bytes, Ordering::Relaxed);
        // The loan exists first, so that what does not fit is taken back by its drop.
        let loan = Loan { shared: self.shared.clone(), bytes };
        (before.saturating_add(bytes) <= self.limit).then_some(loan)
    }
}

/// Bytes that something of the guest's takes in the host, counted until it is dropped: for what may
/// be dropped without the store being told.
pub struct Loan {
    shared: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.shared.fetch_sub(self.bytes, Ordering::Relaxed);
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

    #[test]
    fn what_the_host_holds_is_counted_anew_each_time_and_too_much_ends_the_call() {
        let shared: Arc<AtomicUsize> = Arc::default();
        let mut memory = Memory::new(shared.clone(), 100);
        assert!(memory.take(30));
        for held in [40, 70, 10] {
            memory.hold(held);
            assert_eq!(shared.load(Ordering::Relaxed), 30 + held);
        }
        assert!(!memory.overdrawn());
        memory.hold(71);
        assert!(memory.overdrawn() && memory.exceeded());
        drop(memory);
        assert_eq!(shared.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_loan_counts_until_it_is_dropped_and_what_does_not_fit_is_not_lent() {
        let shared: Arc<AtomicUsize> = Arc::default();
        let memory = Memory::new(shared.clone(), 100);
        let lender = memory.lender();
        let loan = lender.lend(60);
        assert!(loan.is_some() && lender.lend(41).is_none());
        assert_eq!(shared.load(Ordering::Relaxed), 60);
        drop(memory);
        assert_eq!(shared.load(Ordering::Relaxed), 60, "it outlives the store");
        drop(loan);
        assert_eq!(shared.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn only_a_wait_that_lets_others_run_counts_as_one() {
        let deadline = Instant::now();
        let mut call = Call::new("p".into(), deadline);
        assert_eq!(call.wait(async { 1 }).await, 1);
        assert!(!call.waited);
        call.wait(tokio::task::yield_now()).await;
        assert!(call.waited);
    }

    #[tokio::test]
    async fn waits_do_not_make_a_long_call_short() {
        let (now, turn) = (Instant::now(), Duration::from_millis(10));
        let mut call = Call::new("p".into(), now);
        assert!(!call.is_long(now, turn));
        for _ in 0..3 {
            // As if it had run for a while before each wait.
            call.since = Some(Instant::now() - turn / 2);
            call.wait(tokio::task::yield_now()).await;
        }
        assert!(call.is_long(Instant::now(), turn));
        assert!(call.is_long(Instant::now(), turn), "it goes on from turn to turn");
        call.wait(tokio::task::yield_now()).await;
        assert!(!call.is_long(Instant::now(), turn), "what it ran before its turn is paid for");
    }
}
