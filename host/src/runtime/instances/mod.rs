//! The instances of one generation: made when needed, lent to one call at a time, kept for the
//! next call, thrown away after a trap.
//!
//! ```text
//!            queue (bounded)        slots (concurrency)
//!  lend ──▶ waiting ── permit ──▶ idle instance or a new one ──▶ Lease ── drop ──▶ idle
//!     └─ full: Overloaded                                          └─ broken: dropped
//! ```

use std::{
    mem,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, Semaphore};
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline};

use super::{
    CallError, Code,
    call::{DeadlinePassed, Overdrawn},
    exports::Exports,
};
use crate::capabilities::{MAX_RESOURCES, Prepared, State};

mod conduct;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod hostile;
mod lease;
mod stopwatch;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use conduct::Conduct;
pub use lease::Lease;
use lease::within;

/// What the instances of a generation may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory of all instances together, in bytes.
    pub memory: usize,
    /// What a guest may hand to the host in one call, in bytes.
    pub transfer: usize,
    /// The time a call may take, its wait for an instance included.
    pub timeout: Duration,
    /// Calls at a time.
    pub concurrency: u32,
    /// Calls that may wait.
    pub queue: u32,
    /// Whether an instance serves more than one call.
    pub reuse: bool,
    /// Calls after which an instance is replaced.
    pub max_calls: Option<u64>,
    /// Age at which an instance is replaced.
    pub max_age: Option<Duration>,
}

/// The instances of one generation.
pub struct Instances {
    plugin: Arc<str>,
    code: Arc<Code>,
    prepared: Arc<Prepared>,
    limits: Limits,
    idle: Mutex<Idle>,
    slots: Semaphore,
    conduct: Arc<Conduct>,
    waiting: AtomicU32,
    /// Who waits for `returned`: nobody but for the hooks and a drain.
    watchers: AtomicU32,
    lent: AtomicU32,
    memory: Arc<AtomicUsize>,
    /// Set when calls in progress must end now.
    interrupted: Arc<AtomicBool>,
    /// Wakes calls that wait, and so would not see `interrupted`.
    interrupts: Notify,
    ended: AtomicBool,
    returned: Notify,
}

/// Instances without a call, the last one used at the end. Boxed, because each call moves one.
type Idle = Vec<Box<Instance>>;

struct Instance {
    store: Store<State>,
    exports: Exports,
    born: Instant,
    /// When it was last lent.
    used: Instant,
    calls: u64,
    /// The first instance, which holds the state of the lifecycle hooks: never retired.
    lead: bool,
}

impl Instances {
    /// A pool without instances yet.
    pub fn new(plugin: Arc<str>, code: Arc<Code>, prepared: Prepared, limits: Limits) -> Arc<Self> {
        Arc::new(Self::with(plugin, code, Arc::new(prepared), limits, Arc::default()))
    }

    /// Another pool of the same generation, with limits of its own but for the memory, which the
    /// two share. It does not drain with this one.
    pub fn beside(&self, limits: Limits) -> Arc<Self> {
        let (plugin, code, prepared) =
            (self.plugin.clone(), self.code.clone(), self.prepared.clone());
        let mut beside = Self::with(plugin, code, prepared, limits, self.memory.clone());
        // One plugin waits for one turn at a time.
        beside.conduct = self.conduct.clone();
        Arc::new(beside)
    }

    fn with(
        plugin: Arc<str>,
        code: Arc<Code>,
        prepared: Arc<Prepared>,
        limits: Limits,
        memory: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            conduct: Conduct::new(code.turns.clone()),
            plugin,
            code,
            prepared,
            limits,
            idle: Mutex::default(),
            slots: Semaphore::new(limits.concurrency.max(1) as usize),
            waiting: AtomicU32::new(0),
            watchers: AtomicU32::new(0),
            lent: AtomicU32::new(0),
            memory,
            interrupted: Arc::default(),
            interrupts: Notify::new(),
            ended: AtomicBool::new(false),
            returned: Notify::new(),
        }
    }

    /// Borrow an instance for one call. Waits in the bounded queue while all are taken.
    pub async fn lend(self: &Arc<Self>) -> Result<Lease, CallError> {
        let now = Instant::now();
        let deadline = now + self.limits.timeout;
        let slot = self.slot(deadline).await?;
        if self.conduct.owes() {
            Box::pin(self.conduct.repay()).await;
        }
        let idle = self.idle().pop();
        let mut instance = match idle {
            Some(instance) => instance,
            // Boxed: what it takes to make an instance would be moved about with every call.
            None => Box::pin(self.instantiate(deadline, false)).await?,
        };
        instance.used = now;
        Ok(Lease::new(slot, instance, deadline))
    }

    /// Borrow the first instance, for the lifecycle hooks; made now if there is none, for
    /// example because it trapped.
    pub async fn lend_lead(self: &Arc<Self>, timeout: Duration) -> Result<Lease, CallError> {
        let deadline = Instant::now() + timeout;
        let _watches = self.watch();
        loop {
            let slot = self.slot(deadline).await?;
            let found = {
                let mut idle = self.idle();
                let at = idle.iter().position(|instance| instance.lead);
                at.map(|at| idle.remove(at))
            };
            match found {
                Some(lead) => {
                    return Ok(Lease::new(slot, lead, deadline));
                }
                None if self.lent.load(Ordering::Acquire) == 1 => {
                    let lead = self.instantiate(deadline, true).await?;
                    return Ok(Lease::new(slot, lead, deadline));
                }
                None => {
                    // Told of by itself, so listen behind it, and look once more.
                    drop(slot);
                    let returned = self.returned.notified();
                    if self.lent.load(Ordering::SeqCst) > 0 && !self.has_lead() {
                        let waiting = tokio::time::timeout_at(deadline.into(), returned);
                        waiting.await.map_err(|_| self.late(timeout))?;
                    }
                }
            }
        }
    }

    /// Take no further calls and wait until those in progress have ended; after `grace` they
    /// are interrupted. Afterwards only [`Self::lend_lead`] of a caller that holds a slot works.
    pub async fn drain(&self, grace: Duration) {
        self.ended.store(true, Ordering::SeqCst);
        if tokio::time::timeout(grace, self.quiet()).await.is_err() {
            tracing::warn!(plugin = %self.plugin, ?grace, "calls were interrupted: they outlived the drain");
            self.interrupted.store(true, Ordering::SeqCst);
            self.interrupts.notify_waiters();
            self.quiet().await;
            self.interrupted.store(false, Ordering::SeqCst);
        }
    }

    /// Open again for the last hook, `stop`, and nothing else.
    pub async fn stop(self: &Arc<Self>, timeout: Duration) -> Result<(), CallError> {
        if !self.has_lead() {
            return Ok(());
        }
        self.ended.store(false, Ordering::SeqCst);
        let lead = self.lend_lead(timeout).await;
        self.ended.store(true, Ordering::SeqCst);
        lead?.stop().await
    }

    /// Drop instances that nobody has used for `age`, but for the lead.
    pub fn trim(&self, age: Duration) {
        let old: Idle = {
            let mut idle = self.idle();
            idle.extract_if(.., |instance| !instance.lead && instance.used.elapsed() > age)
                .collect()
        };
        drop(old);
    }

    /// Drop one idle instance; whether there was one.
    pub fn give_up_one(&self) -> bool {
        let one = {
            let mut idle = self.idle();
            let at = idle.iter().position(|instance| !instance.lead);
            at.map(|at| idle.remove(at))
        };
        one.is_some()
    }

    /// Calls in progress.
    pub fn lent(&self) -> u32 {
        self.lent.load(Ordering::Relaxed)
    }

    /// Instances that wait for a call.
    pub fn idle_count(&self) -> usize {
        self.idle().len()
    }

    /// Linear memory in use, in bytes.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn has_lead(&self) -> bool {
        self.idle().iter().any(|instance| instance.lead)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Be told of `returned`; called before the look at what is waited for.
    fn watch(&self) -> Decrement<'_> {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        Decrement(&self.watchers)
    }

    async fn quiet(&self) {
        let _watches = self.watch();
        loop {
            let returned = self.returned.notified();
            if self.lent.load(Ordering::SeqCst) == 0 {
                return;
            }
            returned.await;
        }
    }

    /// Wait for the right to run a call.
    async fn slot(self: &Arc<Self>, deadline: Instant) -> Result<Slot, CallError> {
        let permit = match self.slots.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let queued = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _waits = Decrement(&self.waiting);
                if queued >= self.limits.queue {
                    return Err(CallError::Overloaded { plugin: self.plugin.to_string(), queued });
                }
                let wait = tokio::time::timeout_at(deadline.into(), self.slots.acquire());
                match Box::pin(wait).await {
                    Ok(Ok(permit)) => permit,
                    Ok(Err(_)) => return Err(self.gone()),
                    Err(_) => return Err(self.late(self.limits.timeout)),
                }
            }
        };
        permit.forget();
        // First be counted, then look whether the generation has ended: `drain` does it the
        // other way round, so one of the two sees the other.
        self.lent.fetch_add(1, Ordering::SeqCst);
        let slot = Slot(self.clone());
        if self.ended.load(Ordering::SeqCst) { Err(self.gone()) } else { Ok(slot) }
    }

    async fn instantiate(&self, deadline: Instant, lead: bool) -> Result<Box<Instance>, CallError> {
        loop {
            match self.try_instantiate(deadline, lead).await {
                Ok(instance) => return Ok(Box::new(instance)),
                Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                    // Idle instances of other plugins are given up; until then this call waits.
                    self.code.pressure.notify_one();
                    if Instant::now() >= deadline {
                        return Err(self.late(self.limits.timeout));
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(error) if error.is::<DeadlinePassed>() => {
                    return Err(self.late(self.limits.timeout));
                }
                Err(error) => {
                    return Err(CallError::Unavailable {
                        plugin: self.plugin.to_string(),
                        reason: format!("{error:#}"),
                    });
                }
            }
        }
    }

    async fn try_instantiate(&self, deadline: Instant, lead: bool) -> wasmtime::Result<Instance> {
        let memory = crate::capabilities::Memory::new(self.memory.clone(), self.limits.memory);
        let state = State::new(self.plugin.clone(), &self.prepared, memory, deadline);
        let mut store = Store::new(self.code.pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(self.limits.transfer);
        store.set_max_component_handles(MAX_RESOURCES);
        let (interrupted, conduct) = (self.interrupted.clone(), self.conduct.clone());
        store.epoch_deadline_callback(move |mut store| {
            let State { call, memory, .. } = store.data_mut();
            if memory.overdrawn() {
                return Err(Overdrawn.into());
            }
            let now = Instant::now();
            if interrupted.load(Ordering::Relaxed) || now >= call.deadline {
                return Err(DeadlinePassed.into());
            }
            let waited = mem::take(&mut call.waited);
            // The plain `Yield` wakes itself at once and starves the timers of tokio.
            if call.is_long(now, conduct.turn()) {
                return Ok(UpdateDeadline::YieldCustom(1, Box::pin(conduct.clone().next_turn())));
            }
            // One that has just waited has let others run.
            if waited {
                return Ok(UpdateDeadline::Continue(1));
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store.set_epoch_deadline(1);
        let instance = {
            let instantiated = pin!(self.code.pre.instantiate_async(&mut store));
            let instantiated = pin!(self.conduct.oversee(instantiated));
            within(deadline, instantiated).await.ok_or(DeadlinePassed)??
        };
        let exports = self.code.indices.load(&mut store, &instance)?;
        let now = Instant::now();
        Ok(Instance { store, exports, born: now, used: now, calls: 0, lead })
    }

    fn keep(&self, instance: Box<Instance>) {
        let worn = !self.limits.reuse
            || self.limits.max_calls.is_some_and(|most| instance.calls >= most)
            || self.limits.max_age.is_some_and(|most| instance.born.elapsed() >= most);
        if worn && !instance.lead {
            return;
        }
        self.idle().push(instance);
    }

    fn gone(&self) -> CallError {
        CallError::Gone { plugin: self.plugin.to_string() }
    }

    fn late(&self, limit: Duration) -> CallError {
        CallError::Deadline { plugin: self.plugin.to_string(), limit }
    }
}

struct Decrement<'a>(&'a AtomicU32);

impl Drop for Decrement<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to run one call.
struct Slot(Arc<Instances>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lent.fetch_sub(1, Ordering::SeqCst);
        self.0.slots.add_permits(1);
        if self.0.watchers.load(Ordering::SeqCst) > 0 {
            self.0.returned.notify_waiters();
        }
    }
}
