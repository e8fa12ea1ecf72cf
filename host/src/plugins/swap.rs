//! How a generation comes to serve, and how it goes.
//!
//! ```text
//!  load ── reserve ── topics, migrations ── save, start ── swap ── drain the old
//!    │        │                │                 │
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
    Blueprint, Check, Claim, Generation, Live,
    entries::{Entries, now_ms},
    folder::Source,
    load::{Loaded, Loader},
};

/// Components that are read, compiled and started at a time.
const LOADS: usize = 4;
/// How long triggers may take to see a swap before the old generation stops taking calls. They
/// need microseconds; one that is slower is told that the generation is gone, and asks again.
const SWAP_PAUSE: Duration = Duration::from_millis(50);

/// What everybody who follows a file works on.
pub(super) struct Shared {
    pub(super) loader: Loader,
    checks: Vec<Box<dyn Check>>,
    pub(super) live: watch::Sender<Arc<Live>>,
    /// Whether every file of the first scan has been tried.
    pub(super) ready: watch::Sender<bool>,
    entries: Mutex<Entries>,
    loads: Semaphore,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        loader: Loader,
        checks: Vec<Box<dyn Check>>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            loader,
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

    /// Load a file and let it take its plugin's place. Whatever comes of it, the caller settles
    /// the claims afterwards.
    pub(super) async fn replace(
        self: &Arc<Self>,
        path: &Path,
        source: &Source,
        number: u64,
    ) -> anyhow::Result<()> {
        let _permit = self.loads.acquire().await?;
        let begun = Instant::now();
        let Loaded { blueprint, code, compiled } = self.loader.load(source).await?;
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
        self.swap(path, &generation);
        tracing::info!(
            plugin = %generation.plugin,
            generation = number,
            version = generation.manifest().version.as_deref().unwrap_or("-"),
            compiled,
            "live in {} ms",
            begun.elapsed().as_millis()
        );
        if let Some(old) = old {
            self.watch_for_crashes(path.to_owned(), generation, old.clone(), saved);
            self.retire(old);
        }
        Ok(())
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

    /// The one moment in which a generation takes its place.
    pub(super) fn swap(&self, path: &Path, new: &Arc<Generation>) {
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        let old = entry.live.replace(new.clone());
        entry.failure = None;
        entry.since_ms = now_ms();
        self.publish(old.as_ref(), Some(new));
    }

    /// Take a plugin away whose file is gone.
    pub(super) fn remove(self: &Arc<Self>, path: &Path) {
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        entry.failure = None;
        let Some(old) = entry.live.take() else { return };
        self.publish(Some(&old), None);
        drop(entries);
        tracing::info!(plugin = %old.plugin, generation = old.number, "removed");
        self.retire(old);
    }

    /// Show the triggers what serves. The entries are locked, so swaps are shown in their order.
    fn publish(&self, old: Option<&Arc<Generation>>, new: Option<&Arc<Generation>>) {
        self.live.send_modify(|live| {
            let mut next = Live::clone(live);
            if let Some(old) = old {
                next.remove(old);
            }
            if let Some(new) = new {
                next.insert(new.clone());
            }
            *live = Arc::new(next);
        });
    }

    /// Let a generation that was replaced end its calls.
    pub(super) fn retire(&self, old: Arc<Generation>) {
        let grace = old.manifest().limits.deadline();
        self.tasks.spawn(async move {
            tokio::time::sleep(SWAP_PAUSE).await;
            old.drain(grace).await;
            tracing::debug!(plugin = %old.plugin, generation = old.number, "gone");
        });
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
