//! The wasmtime engines and the clock that interrupts guests.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as Queue, Semaphore};
use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::lane::Lane;
use crate::{
    capabilities::Dialect,
    quantity::{Bytes, Millis},
};

/// `[runtime]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Instances of all plugins together that the pool has room for. Each reserves address
    /// space, not memory. Where the system refuses the space, instances are made on demand.
    pub instances: u32,
    /// The largest component that is read.
    pub max_component: Bytes,
    /// The longest a compilation may take.
    pub compile_timeout: Millis,
    /// Threads that compile a component; 0: half the cores, but two where there are two. They run
    /// at low priority. Two components are compiled at a time.
    pub compile_threads: usize,
    /// Compiled functions of large components that are kept on disk, so that the next version of
    /// one is compiled in part only; 0: none.
    pub function_cache: Bytes,
    /// The most memory that a plugin's manifest may ask for.
    pub max_memory: Bytes,
    /// The longest that it may let a call or a hook take.
    pub max_timeout: Millis,
    /// The most instances that it may ask for.
    pub max_concurrency: u32,
    /// The longest until running guests are looked at: the grain of deadlines. Where several run,
    /// it happens more often, so that none keeps a thread from the others.
    pub tick: Millis,
    /// Calls that run for longer than a tick at a time; 0: one fewer than there are cores, so
    /// that short calls always find one.
    pub long_calls: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            instances: 4000,
            max_component: Bytes(128 << 20),
            compile_timeout: Millis(120_000),
            compile_threads: 0,
            function_cache: Bytes(256 << 20),
            max_memory: Bytes(4 << 30),
            max_timeout: Millis(900_000),
            max_concurrency: 1000,
            tick: Millis(10),
            long_calls: 0,
        }
    }
}

/// How often guests are looked at while any run: for so long does the first piece of one that
/// computes for long keep others from its thread.
const BUSY: Duration = Duration::from_millis(2);
/// How often guests are looked at while some of them compute for long: then short calls wait for
/// parts of a tick only, wherever they are waiting.
pub const HURRY: Duration = Duration::from_micros(500);
/// For so long after the last turn was wanted.
pub const CALM: Duration = Duration::from_millis(250);
/// The largest linear memory that fits a slot of the pool.
const MAX_MEMORY: usize = 4 << 30;
/// The stack a call runs on. Only touched pages take memory.
const STACK: usize = 1 << 20;
/// The part of it that guest code may use; the rest is for host functions.
const WASM_STACK: usize = 512 << 10;

/// Make an engine, with a pool of instances if the address space can be had.
pub fn open(settings: &Settings, dialect: Dialect) -> wasmtime::Result<Engine> {
    let mut count = settings.instances;
    while count >= 64 {
        let mut config = config(dialect);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(count)));
        match Engine::new(&config) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::debug!(count, %error, "no pool of this size"),
        }
        count /= 4;
    }
    tracing::warn!(
        instances = settings.instances,
        "no address space for a pool of instances: they are made on demand, which is slower"
    );
    Engine::new(&config(dialect))
}

fn config(dialect: Dialect) -> Config {
    let mut config = Config::new();
    config.concurrency_support(dialect == Dialect::Concurrent);
    config.wasm_component_model_async(dialect == Dialect::Concurrent);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    // Only debuggers and profilers would read it, and every compilation and every load would pay
    // for it: wasmtime walks the stack by frame pointers.
    config.native_unwind_info(false);
    config.async_stack_size(STACK);
    config.max_wasm_stack(WASM_STACK);
    config
}

fn pool(count: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count);
    // A component written by people has a few core modules: the program and its adapters.
    pool.total_core_instances(count.saturating_mul(4));
    pool.max_core_instances_per_component(64);
    pool.max_memories_per_component(8);
    pool.max_tables_per_component(32);
    pool.total_memories(count.saturating_add(count / 4));
    pool.total_tables(count.saturating_mul(3));
    pool.total_stacks(count);
    pool.max_memory_size(MAX_MEMORY);
    pool.table_elements(100_000);
    pool.max_component_instance_size(8 << 20);
    pool.max_core_instance_size(8 << 20);
    pool.linear_memory_keep_resident(0);
    pool
}

/// One thread that moves the epoch of every engine on. A guest looks at the epoch at each loop
/// and call, and then at its deadline.
///
/// It also deals out [`Turns`], and keeps the [`Lane`] going.
pub struct Ticker {
    engines: Arc<Mutex<Vec<EngineWeak>>>,
    turns: Arc<Turns>,
    /// Dropped to end the thread.
    _stop: mpsc::Sender<()>,
}

/// So many turns a tick, each the right of a long call to go on for a tick. What a turn is not
/// taken for in its tick is lost, and a call that waits for something else holds none.
pub struct Turns {
    /// How long a turn is, which is also after how much of the processor a call counts as long.
    pub length: Duration,
    dealt: Semaphore,
    /// Whether anybody has wanted one since the last tick.
    wanted: AtomicBool,
    /// What those pass through who have taken long.
    pub lane: Lane,
}

impl Turns {
    fn new(length: Duration, count: usize) -> Self {
        Self {
            length,
            dealt: Semaphore::new(count),
            wanted: AtomicBool::new(false),
            lane: Lane::default(),
        }
    }

    /// Deal out anew what was taken; whether anybody has wanted a turn.
    fn deal(&self, count: usize) -> bool {
        self.dealt.add_permits(count.saturating_sub(self.dealt.available_permits()));
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Wait for a turn. The calls of one generation stand in one `queue`, whose first stands in
    /// line with the first of the others: many calls of one plugin get no more than one of another.
    pub async fn take(&self, queue: &Queue<()>) {
        let _first = queue.lock().await;
        self.wanted.store(true, Ordering::Relaxed);
        // Never closed.
        if let Ok(turn) = self.dealt.acquire().await {
            turn.forget();
        }
    }
}

impl Ticker {
    /// Start ticking.
    pub fn start(every: Duration, long_calls: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let a_tick = if long_calls == 0 { (cores - 1).max(1) } else { long_calls };
        let (stop, stopped) = mpsc::channel::<()>();
        let engines: Arc<Mutex<Vec<EngineWeak>>> = Arc::default();
        let turns = Arc::new(Turns::new(every, a_tick));
        let (ticked, turned) = (engines.clone(), turns.clone());
        let tick = move || {
            let (mut pause, mut wanted) = (every, None);
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                for engine in ticked.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    engine.upgrade().iter().for_each(Engine::increment_epoch);
                }
                let (now, ticked) = (Instant::now(), turned.lane.tick());
                if turned.deal(a_tick) || ticked.someone_waits {
                    wanted = Some(now);
                }
                pause = match wanted {
                    Some(last) if now - last < CALM => HURRY.min(every),
                    _ if ticked.someone_ran => BUSY.min(every),
                    _ => every,
                };
            }
        };
        if let Err(error) = thread::Builder::new().name("epochs".into()).spawn(tick) {
            tracing::error!(%error, "no thread for deadlines: guests that loop are not interrupted");
        }
        Self { engines, turns, _stop: stop }
    }

    /// Tick this engine too.
    pub fn watch(&self, engine: &Engine) {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// The turns of long calls.
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{BoxFuture, FutureExt, poll_immediate};

    use super::*;

    #[tokio::test]
    async fn many_calls_of_one_plugin_get_no_more_turns_than_one_of_another() {
        let turns = Turns::new(Duration::from_millis(10), 0);
        let (crowd, one) = (Queue::new(()), Queue::new(()));
        let mut waiting: Vec<BoxFuture<'_, ()>> =
            (0..10).map(|_| turns.take(&crowd).boxed()).collect();
        waiting.push(turns.take(&one).boxed());
        let mut taken = Vec::new();
        for _ in 0..3 {
            for (number, call) in waiting.iter_mut().enumerate() {
                if !taken.contains(&number) && poll_immediate(call).await == Some(()) {
                    taken.push(number);
                }
            }
            turns.dealt.add_permits(1);
            tokio::task::yield_now().await;
        }
        assert_eq!(taken, [0, 10], "the crowd's second comes after the other's first");
    }
}
