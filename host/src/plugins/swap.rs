//! How a generation comes to serve, and how it goes.
//!
//! ```text
//!  load ── reserve ── topics, migrations ── save, start ── swap ── drain the old
//!    │        │                │                 │           └─ kept, and on trial
//!    └────────┴────────────────┴─────────────────┴─ failure: the old one serves on
//! ```

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Blueprint, Check, Claim, Generation, Live, Versions,
    entries::{Entries, Entry},
    load::{Loaded, Loader},
    versions::{Arrival, Parcel},
};
use crate::quantity::now_ms;
use crate::runtime::Code;

/// Components that are read and compiled at a time.
const LOADS: usize = 4;
/// How long triggers may take to see a swap before the old generation stops taking calls. They
/// need microseconds; one that is slower is told that the generation is gone, and asks again.
const SWAP_PAUSE: Duration = Duration::from_millis(50);

/// What everybody who follows a file works on.
pub(super) struct Shared {
    pub(super) loader: Loader,
    pub(super) versions: Arc<Versions>,
    checks: Vec<Box<dyn Check>>,
    pub(super) live: watch::Sender<Arc<Live>>,
    /// Whether every file of the first scan has been tried.
    pub(super) ready: watch::Sender<bool>,
    entries: Mutex<Entries>,
    pub(super) loads: Semaphore,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        loader: Loader,
        versions: Versions,
        checks: Vec<Box<dyn Check>>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            loader,
            versions: Arc::new(versions),
            checks,
            live: watch::Sender::default(),
            ready: watch::Sender::new(false),
            entries: Mutex::default(),
            loads: Semaphore::new(LOADS),
            tasks: TaskTracker::new(),
            stopping,
        }
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After an attempt on this file, or the first scan: tell if that was the last of them.
    pub(super) fn tell_if_ready(&self, path: Option<&Path>) {
        if self.entries().all_tried(path) {
            self.ready.send_replace(true);
        }
    }

    /// Let what was loaded take its plugin's place.
    pub(super) async fn take_over(
        self: &Arc<Self>,
        path: &Path,
        loaded: Loaded,
        number: u64,
        arrival: Arrival,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let Loaded { blueprint, code, compiled, parcel } = loaded;
        let (generation, saved) = self.bring_up(path, blueprint, code, number).await?;
        let old = self.swap(path, &generation);
        tracing::info!(
            plugin = %generation.plugin,
            generation = number,
            version = generation.manifest().version.as_deref().unwrap_or("-"),
            compiled,
            "live in {} ms",
            begun.elapsed().as_millis()
        );
        // Where nothing served, the host has just started: what it finds is not new.
        let arrival = if old.is_some() { arrival } else { Arrival::Found };
        self.keep(&generation, parcel, arrival).await;
        if let (Some(old), Arrival::Dropped) = (old, arrival) {
            self.watch_live(path, &generation, &old, saved);
        }
        Ok(())
    }

    /// Make a generation of what was loaded and run its `start`: all but the swap. Answers also
    /// what the generation that serves has saved for it.
    pub(super) async fn bring_up(
        &self,
        path: &Path,
        blueprint: Blueprint,
        code: Code,
        number: u64,
    ) -> anyhow::Result<(Arc<Generation>, Option<Vec<u8>>)> {
        let generation = self.make(path, blueprint, number).await?;
        let old = self.entries().live(path).cloned();
        let awake = old.as_ref().is_some_and(|old| old.awake().is_some());
        let offered = generation.offered();
        if awake || offered.lifecycle || offered.consumer.is_some() {
            generation.keep_awake(code).await?;
        }
        let saved = match &old {
            Some(old) => old.save().await.context("the serving generation's `save` failed")?,
            None => None,
        };
        start(&generation, saved.clone()).await?;
        Ok((generation, saved))
    }

    /// Reserve what a component claims, then make a generation of it. What is reserved stays so
    /// until the claims are settled, so nobody else can take it before the swap.
    pub(super) async fn make(
        &self,
        path: &Path,
        blueprint: Blueprint,
        number: u64,
    ) -> anyhow::Result<Arc<Generation>> {
        let mut claims = vec![Claim::name(&blueprint.manifest.name)];
        for check in &self.checks {
            claims.extend(check.claims(&blueprint)?);
        }
        let things = claims.iter().map(|claim| claim.thing.clone()).collect();
        let plugin = blueprint.manifest.name.as_str().into();
        self.entries().claims.reserve(path, &plugin, claims)?;
        Ok(Arc::new(self.loader.generation(blueprint, things, number).await?))
    }

    /// The one moment in which a generation takes its place. Answers the one before, which drains
    /// from now on, as does a candidate that there was.
    pub(super) fn swap(
        self: &Arc<Self>,
        path: &Path,
        new: &Arc<Generation>,
    ) -> Option<Arc<Generation>> {
        let mut entries = self.entries();
        let entry = entries.files.get_mut(path)?;
        let old = entry.live.replace(new.clone());
        let canary = entry.canary.take().map(|canary| canary.generation.clone());
        entry.failure = None;
        entry.since_ms = now_ms();
        self.publish(old.as_ref(), entry);
        drop(entries);
        for gone in old.iter().chain(canary.iter().filter(|canary| !Arc::ptr_eq(canary, new))) {
            self.retire(path, gone.clone());
        }
        old
    }

    /// Take a plugin away whose file is gone.
    pub(super) fn remove(self: &Arc<Self>, path: &Path) {
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        entry.failure = None;
        let canary = entry.canary.take().map(|canary| canary.generation.clone());
        let Some(old) = entry.live.take() else { return };
        self.publish(Some(&old), entry);
        drop(entries);
        tracing::info!(plugin = %old.plugin, generation = old.number, "removed");
        for gone in canary.into_iter().chain([old]) {
            self.retire(path, gone);
        }
    }

    /// Show the triggers what serves instead of `old`. The entries are locked, so swaps are shown
    /// in their order.
    pub(super) fn publish(&self, old: Option<&Arc<Generation>>, now: &Entry) {
        self.live.send_modify(|live| {
            let mut next = Live::clone(live);
            if let Some(old) = old {
                next.remove(old);
            }
            if let Some(new) = &now.live {
                next.insert(new.clone(), now.canary.clone());
            }
            *live = Arc::new(next);
        });
    }

    /// Let a generation that was replaced end its calls.
    pub(super) fn retire(self: &Arc<Self>, path: &Path, old: Arc<Generation>) {
        let grace = old.manifest().limits.deadline();
        let (shared, path) = (self.clone(), path.to_owned());
        self.entries().drains(&path, &old, false);
        self.tasks.spawn(async move {
            tokio::time::sleep(SWAP_PAUSE).await;
            old.drain(grace, Duration::MAX).await;
            shared.entries().drains(&path, &old, true);
            tracing::debug!(plugin = %old.plugin, generation = old.number, "gone");
        });
    }

    /// Keep what a generation was made of. Where that cannot be, it serves all the same.
    pub(super) async fn keep(&self, generation: &Generation, parcel: Parcel, arrival: Arrival) {
        let (versions, plugin) = (self.versions.clone(), generation.plugin.clone());
        let label = generation.manifest().version.clone();
        let keep = move || versions.keep(&plugin, &parcel, label.as_deref(), arrival);
        let outcome = tokio::task::spawn_blocking(keep).await;
        match outcome.map_err(anyhow::Error::from).and_then(|kept| Ok(kept?)) {
            Ok(gone) => self.forget(gone).await,
            Err(error) => {
                tracing::warn!(plugin = %generation.plugin, "not kept for a rollback: {error:#}");
            }
        }
    }

    /// Remove the compiled code of components that no version has any more.
    async fn forget(&self, gone: Vec<blake3::Hash>) {
        let in_use = self.entries().components();
        let runtime = self.loader.runtime.clone();
        let gone = gone.into_iter().filter(move |digest| !in_use.contains(&digest.to_string()));
        let forget = move || gone.for_each(|digest| drop(runtime.cache().forget(&digest)));
        // What is left behind is swept at a later start.
        let _ = tokio::task::spawn_blocking(forget).await;
    }

    pub(super) fn note_failure(&self, path: &Path, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        let serving = entry.live.as_ref().map(|live| live.number);
        let plugin = entry.name(path);
        let repeated = entry.failure.as_ref() == Some(&reason);
        entry.failure = Some(reason.clone());
        entry.since_ms = now_ms();
        drop(entries);
        if repeated {
            return;
        }
        match serving {
            Some(generation) => {
                tracing::error!(plugin, "not loaded, generation {generation} serves on: {reason}");
            }
            None => tracing::error!(plugin, "not loaded: {reason}"),
        }
    }
}

/// Run the hook of a generation that is about to serve.
pub(super) async fn start(new: &Generation, saved: Option<Vec<u8>>) -> anyhow::Result<()> {
    match new.start(saved).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => bail!("plugin `{}` refused to start: {reason}", new.plugin),
        Err(error) => Err(error).context("`start` failed"),
    }
}
