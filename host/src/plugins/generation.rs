//! One loaded version of a plugin.
//!
//! ```text
//!  loaded ── live ── draining ── gone
//!    └─ its code is dropped after the checks and mapped again at the first call, so that an
//!       installed plugin that nobody calls costs next to nothing
//! ```

use std::{
    collections::HashSet,
    ops::Sub,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use super::status::{Status, Version, VersionState};
use crate::{
    capabilities::{Dialect, Prepared, logging::Meter},
    manifest::Manifest,
    quantity::now_ms,
    runtime::{CallError, Code, Instances, Lease, Runtime, exports::Offered, instances::Limits},
    world::World,
};

/// All that is known of a component after its checks: enough to make a generation of it again.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// What it asked for.
    pub manifest: Manifest,
    /// What it exports.
    pub offered: Offered,
    /// The digest of its component.
    pub digest: blake3::Hash,
    /// What tells this version from others; see [`super::versions::digest`].
    pub version: blake3::Hash,
    /// The engine it runs on.
    pub dialect: Dialect,
}

impl Sub for Counts {
    type Output = Self;

    /// What came since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            calls: self.calls - earlier.calls,
            faults: self.faults - earlier.faults,
            errors: self.errors - earlier.errors,
        }
    }
}

/// What a guest may hand to the host in one call, unless its responses may be larger: somewhat
/// more than any capability takes. The same bytes may stand in a list many times, so that without
/// this limit a small guest makes large copies.
const TRANSFER: usize = 32 << 20;
/// What a response may have besides its body.
const MAX_HEAD: usize = 1 << 20;
/// The most connections with an instance each. Listeners have their own limits: this one only has to
/// be beyond them, since a version takes over what earlier ones let in.
const MAX_SOCKETS: u32 = 1 << 20;
/// Lines about failed calls, over time and at once.
const TOLD_A_SECOND: u32 = 50;
const TOLD_AT_ONCE: u32 = 500;

/// One loaded version of a plugin: its manifest, its code and its instances.
pub struct Generation {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Counts the generations of this plugin since the host started, from 1.
    pub number: u64,
    blueprint: Blueprint,
    claimed: HashSet<String>,
    runtime: Arc<Runtime>,
    prepared: Mutex<Option<Prepared>>,
    instances: OnceCell<Arc<Instances>>,
    /// Those that have a connection each, for as long as it lasts: longer than the generation.
    sockets: OnceCell<Arc<Instances>>,
    loaded_ms: u64,
    calls: AtomicU64,
    faults: AtomicU64,
    errors: AtomicU64,
    /// Calls that gave no answer, by [`CallError::KINDS`].
    unanswered: [AtomicU64; CallError::KINDS.len()],
    told: Meter,
    world: World,
}

/// Calls of a generation, and how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were begun.
    pub calls: u64,
    /// Those of them that trapped, hung or took too much memory.
    pub faults: u64,
    /// Those that failed in any way that is not the load's: faults, calls without an instance, and
    /// answers that are errors of the server.
    pub errors: u64,
}

impl Generation {
    /// A generation of a component whose code is in the cache.
    pub(super) fn new(
        number: u64,
        blueprint: Blueprint,
        claimed: HashSet<String>,
        runtime: Arc<Runtime>,
        prepared: Prepared,
    ) -> Self {
        Self {
            world: prepared.world.clone(),
            plugin: blueprint.manifest.name.as_str().into(),
            number,
            blueprint,
            claimed,
            runtime,
            prepared: Mutex::new(Some(prepared)),
            instances: OnceCell::new(),
            sockets: OnceCell::new(),
            loaded_ms: now_ms(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            unanswered: Default::default(),
            told: Meter::new(TOLD_A_SECOND, TOLD_AT_ONCE, Instant::now()),
        }
    }

    /// What it asked for.
    pub fn manifest(&self) -> &Manifest {
        &self.blueprint.manifest
    }

    /// The world that its guests see.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What it exports.
    pub fn offered(&self) -> Offered {
        self.blueprint.offered
    }

    /// All that is known of its component.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// What it alone may have: the [`super::Claim::thing`]s that were reserved for it.
    pub(super) fn claimed(&self) -> &HashSet<String> {
        &self.claimed
    }

    /// Borrow an instance for one call; see [`Instances::lend`]. [`CallError::Gone`] after the
    /// generation has drained: the live one takes the call.
    pub async fn lend(&self) -> Result<Lease, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.instances.get() {
            Some(instances) => instances.lend().await,
            None => Box::pin(self.instances()).await?.lend().await,
        }
    }

    /// Borrow an instance for one connection, until that ends. It is not waited for when the
    /// generation drains.
    pub async fn lend_socket(&self) -> Result<Lease, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let beside = async || {
            let limits = Limits { concurrency: MAX_SOCKETS, reuse: false, ..self.limits() };
            Ok::<_, CallError>(Box::pin(self.instances()).await?.beside(limits))
        };
        self.sockets.get_or_try_init(beside).await?.lend().await
    }

    /// Note that a call gave no answer, for the metrics and the comparison with other versions.
    pub fn note(&self, error: &CallError) {
        self.count(error);
        if error.is_fault() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if error.is_fault() || matches!(error, CallError::Unavailable { .. }) {
            self.note_bad_answer();
        }
    }

    /// Note that a call answered with an error of the server, or with what is no answer.
    pub fn note_bad_answer(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a failure may have a line in the log: whoever calls a plugin that always fails must
    /// not fill it. What is not told is counted, and [`Self::note`] has it in the metrics.
    pub fn tells(&self) -> bool {
        let verdict = self.told.admit(Instant::now());
        if let Some(untold) = verdict.report {
            tracing::warn!(plugin = %self.plugin, untold, "more calls failed than are logged");
        }
        verdict.admitted
    }

    fn count(&self, error: &CallError) {
        self.unanswered[error.number()].fetch_add(1, Ordering::Relaxed);
    }

    /// Its calls until now.
    pub fn counts(&self) -> Counts {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counts { calls: of(&self.calls), faults: of(&self.faults), errors: of(&self.errors) }
    }

    /// Calls that gave no answer, by kind.
    pub fn unanswered(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.unanswered.iter().map(|count| count.load(Ordering::Relaxed));
        CallError::KINDS.into_iter().zip(counts)
    }

    /// What tells its version from others, in hexadecimal.
    pub fn version(&self) -> String {
        self.blueprint.version.to_string()
    }

    /// As people are shown it among the plugin's versions.
    pub(super) fn as_version(&self, state: VersionState, weight: f64) -> Version {
        let Counts { calls, errors, .. } = self.counts();
        Version {
            digest: self.version(),
            state,
            reason: None,
            version: self.manifest().version.clone(),
            loaded_ms: self.loaded_ms,
            generation: Some(self.number),
            weight,
            calls,
            errors,
        }
    }

    /// The instances, if anybody has called yet.
    pub fn awake(&self) -> Option<&Arc<Instances>> {
        self.instances.get()
    }

    /// The instances; maps the code at the first call.
    pub(super) async fn instances(&self) -> Result<&Arc<Instances>, CallError> {
        self.instances
            .get_or_try_init(|| async {
                let Blueprint { dialect, digest, .. } = self.blueprint;
                let code = self.runtime.reload(dialect, &digest).await;
                let code = code.map_err(|error| self.unavailable(error))?;
                let code =
                    code.ok_or_else(|| self.unavailable("its compiled code has left the cache"))?;
                self.wake(code)
            })
            .await
    }

    /// Use this code, which was loaded for the checks, instead of mapping it again.
    pub(super) async fn keep_awake(&self, code: Code) -> Result<(), CallError> {
        self.instances.get_or_try_init(|| async { self.wake(code) }).await.map(drop)
    }

    fn wake(&self, code: Code) -> Result<Arc<Instances>, CallError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = prepared.take();
        let prepared = prepared.ok_or(CallError::Gone { plugin: self.plugin.to_string() })?;
        Ok(Instances::new(self.plugin.clone(), Arc::new(code), prepared, self.limits()))
    }

    /// What the first instance wants the next generation to have; `None` without the hook.
    pub(super) async fn save(&self) -> Result<Option<Vec<u8>>, CallError> {
        if !self.offered().lifecycle {
            return Ok(None);
        }
        let saving = async { self.lead().await?.save().await };
        saving.await.inspect_err(|error| self.count(error))
    }

    /// Run the first instance's `start`; the inner error is the plugin's own refusal.
    pub(super) async fn start(
        &self,
        saved: Option<Vec<u8>>,
    ) -> Result<Result<(), String>, CallError> {
        if !self.offered().lifecycle {
            return Ok(Ok(()));
        }
        let starting = async { self.lead().await?.start(saved).await };
        starting.await.inspect_err(|error| self.count(error))
    }

    /// The instance of the lifecycle hooks.
    async fn lead(&self) -> Result<Lease, CallError> {
        self.instances().await?.lend_lead(self.start_timeout()).await
    }

    /// Take no further calls, wait for those in progress, interrupt them after `grace`, and run
    /// `stop`, which may take as long as its manifest says, but no longer than `last`.
    pub(super) async fn drain(&self, grace: Duration, last: Duration) {
        // A generation that sleeps must not wake up any more.
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(instances) = self.instances.get() else { return };
        instances.drain(grace).await;
        if self.offered().lifecycle
            && let Err(error) = instances.stop(self.start_timeout().min(last)).await
        {
            self.count(&error);
            tracing::warn!(plugin = %self.plugin, generation = self.number, %error, "`stop` failed");
        }
    }

    /// Fill in what people are shown of it.
    pub(super) fn describe(&self, status: &mut Status) {
        let manifest = self.manifest();
        let topics = manifest.consume.iter().flat_map(|table| &table.topics);
        status.generation = Some(self.number);
        status.version = manifest.version.clone();
        status.digest = Some(self.blueprint.digest.to_string());
        status.routes = manifest.routes();
        status.consumes = topics.cloned().collect();
        status.needs = manifest.needs.clone();
        Counts { calls: status.calls, faults: status.faults, errors: status.errors } =
            self.counts();
        if let Some(instances) = self.awake() {
            let sockets = self.sockets.get().map_or(0, |sockets| sockets.lent());
            status.lent = instances.lent() + sockets;
            status.instances = instances.idle_count() as u32 + status.lent;
            status.memory = instances.memory() as u64;
        }
    }

    fn start_timeout(&self) -> Duration {
        self.manifest().limits.start_timeout.into()
    }

    fn limits(&self) -> Limits {
        let Manifest { limits, http, .. } = self.manifest();
        let response = http.as_ref().map_or(0, |http| http.max_response.as_usize());
        Limits {
            memory: limits.memory.as_usize(),
            transfer: TRANSFER.max(response.saturating_add(MAX_HEAD)),
            timeout: limits.timeout.into(),
            concurrency: limits.concurrency,
            queue: limits.queue,
            reuse: limits.reuse.unwrap_or_else(|| self.offered().reusable()),
            max_calls: limits.max_calls,
            max_age: limits.max_age.map(Duration::from),
        }
    }

    fn unavailable(&self, reason: impl ToString) -> CallError {
        CallError::Unavailable { plugin: self.plugin.to_string(), reason: reason.to_string() }
    }
}
