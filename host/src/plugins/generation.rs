//! One loaded version of a plugin.
//!
//! ```text
//!  loaded ── live ── draining ── gone
//!    └─ its code is dropped after the checks and mapped again at the first call, so that an
//!       installed plugin that nobody calls costs next to nothing
//! ```

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use crate::{
    capabilities::{Dialect, Prepared},
    manifest::Manifest,
    runtime::{CallError, Code, Instances, Lease, Runtime, exports::Offered, instances::Limits},
};

/// One loaded version of a plugin: its manifest, its code and its instances.
pub struct Generation {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Counts the generations of this plugin since the host started, from 1.
    pub number: u64,
    /// What it asked for.
    pub manifest: Manifest,
    /// What it exports.
    pub offered: Offered,
    /// The digest of its component.
    pub digest: blake3::Hash,
    /// The engine it runs on.
    pub dialect: Dialect,
    runtime: Arc<Runtime>,
    prepared: Mutex<Option<Prepared>>,
    instances: OnceCell<Arc<Instances>>,
    calls: AtomicU64,
    faults: AtomicU64,
}

impl Generation {
    /// A generation whose component has been compiled and checked.
    pub(super) fn new(
        number: u64,
        manifest: Manifest,
        offered: Offered,
        digest: blake3::Hash,
        dialect: Dialect,
        runtime: Arc<Runtime>,
        prepared: Prepared,
    ) -> Self {
        Self {
            plugin: manifest.name.as_str().into(),
            number,
            manifest,
            offered,
            digest,
            dialect,
            runtime,
            prepared: Mutex::new(Some(prepared)),
            instances: OnceCell::new(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }

    /// Borrow an instance for one call; see [`Instances::lend`]. [`CallError::Gone`] after the
    /// generation has drained: the live one takes the call.
    pub async fn lend(&self) -> Result<Lease, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.instances.get() {
            Some(instances) => instances.lend().await,
            None => self.instances().await?.lend().await,
        }
    }

    /// Note how a call ended, for the watch over crash loops.
    pub fn note(&self, error: &CallError) {
        if error.is_fault() {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls that were begun, and those that trapped, hung or took too much memory.
    pub fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.faults.load(Ordering::Relaxed))
    }

    /// The instances, if anybody has called yet.
    pub fn awake(&self) -> Option<&Arc<Instances>> {
        self.instances.get()
    }

    /// The instances; maps the code at the first call.
    pub(super) async fn instances(&self) -> Result<&Arc<Instances>, CallError> {
        self.instances
            .get_or_try_init(|| async {
                let (runtime, dialect, digest) = (self.runtime.clone(), self.dialect, self.digest);
                let code = tokio::task::spawn_blocking(move || runtime.reload(dialect, &digest))
                    .await
                    .map_err(|error| self.unavailable(error))?
                    .map_err(|error| self.unavailable(error))?
                    .ok_or_else(|| self.unavailable("its compiled code has left the cache"))?;
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
        let prepared = prepared.take().ok_or_else(|| self.unavailable("it has ended"))?;
        let limits = self.limits();
        Ok(Instances::new(self.plugin.clone(), Arc::new(code), prepared, limits))
    }

    fn limits(&self) -> Limits {
        let limits = &self.manifest.limits;
        Limits {
            memory: limits.memory.as_usize(),
            timeout: limits.timeout.into(),
            concurrency: limits.concurrency,
            queue: limits.queue,
            reuse: limits.reuse.unwrap_or_else(|| self.offered.reusable()),
            max_calls: limits.max_calls,
            max_age: limits.max_age.map(Duration::from),
        }
    }

    fn unavailable(&self, reason: impl ToString) -> CallError {
        CallError::Unavailable { plugin: self.plugin.to_string(), reason: reason.to_string() }
    }
}
