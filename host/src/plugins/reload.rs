//! The plugins of a directory, kept in step with it: start is a reload from the empty set.
//!
//! ```text
//!  scan ── diff ── load (several at a time, one a file) ── save, start ── swap ── drain the old
//!                     │                                        │
//!                     └──────── failure: the old one serves on, the reason is shown
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, bail};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Check, Generation, Live, Watch,
    folder::{Folder, Source},
    load::Loader,
    meters::Meters,
    status::{State, Status},
};

/// Components that are read, compiled and started at a time.
const LOADS: usize = 4;
/// How long triggers may take to see a swap before the old generation stops taking calls. They
/// need microseconds; one that is slower is told that the generation is gone, and asks again.
const SWAP_PAUSE: Duration = Duration::from_millis(50);
/// Failures that pass by themselves, a database that is away for example, are tried again after
/// this time, doubled each time ...
const RETRY: Duration = Duration::from_secs(1);
/// ... up to this.
const MAX_RETRY: Duration = Duration::from_secs(60);
/// How often idle instances are looked at, and after which time without a call they go.
const TRIM_EVERY: Duration = Duration::from_secs(10);
const TRIM_AGE: Duration = Duration::from_secs(60);
/// How long a new generation is watched for a crash loop, and how often.
const PROBATION: Duration = Duration::from_secs(30);
const PROBATION_LOOK: Duration = Duration::from_millis(250);
/// So many faults in a row of looks, and at least every second call: a crash loop.
const CRASHES: u64 = 5;

/// The plugins of one directory. Clones share it.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    loader: Loader,
    checks: Vec<Box<dyn Check>>,
    live: watch::Sender<Arc<Live>>,
    /// Whether every file of the first scan has been tried.
    ready: watch::Sender<bool>,
    entries: Mutex<BTreeMap<PathBuf, Entry>>,
    loads: Semaphore,
    /// Held while a generation takes its place, so that two cannot take the same one.
    swap: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    meters: Meters,
}

/// One file.
struct Entry {
    /// What is on disk; `None` once it is gone.
    wanted: Option<Source>,
    /// What the last attempt was made of.
    tried: Option<Source>,
    busy: bool,
    number: u64,
    live: Option<Arc<Generation>>,
    failure: Option<String>,
    since_ms: u64,
}

impl Plugins {
    /// No plugins yet. `checks` may refuse a generation before it goes live.
    pub fn new(loader: Loader, checks: Vec<Box<dyn Check>>, stopping: CancellationToken) -> Self {
        let shared = Shared {
            loader,
            checks,
            live: watch::Sender::default(),
            ready: watch::Sender::new(false),
            entries: Mutex::default(),
            loads: Semaphore::new(LOADS),
            swap: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stopping,
            meters: Meters::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What serves, as it changes.
    pub fn watch(&self) -> Watch {
        self.shared.live.subscribe()
    }

    /// Turns true once every file of the first scan has been tried.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.shared.ready.subscribe()
    }

    /// Follow a directory until the host stops.
    pub async fn run(&self, mut folder: Folder) {
        let mut first = true;
        self.shared.tasks.spawn(self.clone().tidy());
        while !self.shared.stopping.is_cancelled() {
            match folder.scan() {
                Ok(found) => self.reconcile(found),
                Err(error) => tracing::error!(%error, "the plugin directory cannot be read"),
            }
            if std::mem::take(&mut first) {
                self.shared.tasks.spawn(self.clone().report_ready());
            }
            tokio::select! {
                () = folder.changed() => {}
                () = self.shared.stopping.cancelled() => {}
            }
        }
    }

    /// End every generation: no new calls, those in progress get `grace`, then `stop` runs.
    pub async fn drain(&self, grace: Duration) {
        self.shared.tasks.close();
        let live = self.shared.live.send_replace(Arc::default());
        let drains = live.generations.iter().map(|generation| generation.drain(grace));
        futures_util::future::join_all(drains).await;
        self.shared.tasks.wait().await;
    }

    /// Every plugin as people see it, by name.
    pub fn status(&self) -> Vec<Status> {
        let entries = self.shared.entries();
        let mut status: Vec<_> = entries.iter().map(|(path, entry)| entry.status(path)).collect();
        status.sort_by(|a, b| a.name.cmp(&b.name));
        status
    }

    /// Write the gauges of all plugins, for a reader of metrics.
    pub fn write_gauges(&self) {
        self.shared.meters.write(&self.status());
    }

    /// Give memory back until the host stops: instances that nobody has used for a while, and
    /// idle ones at once when a call finds the pool of all plugins full.
    async fn tidy(self) {
        loop {
            let crowded = tokio::select! {
                () = self.shared.loader.runtime.pressure() => true,
                () = tokio::time::sleep(TRIM_EVERY) => false,
                () = self.shared.stopping.cancelled() => return,
            };
            let live = self.shared.live.borrow().clone();
            for instances in live.generations.iter().filter_map(|live| live.awake()) {
                if crowded {
                    instances.give_up_one();
                } else {
                    instances.trim(TRIM_AGE);
                }
            }
        }
    }

    /// Bring the entries in step with what is on disk.
    fn reconcile(&self, found: BTreeMap<PathBuf, Source>) {
        let mut entries = self.shared.entries();
        for (path, entry) in entries.iter_mut() {
            if !found.contains_key(path) {
                entry.wanted = None;
            }
        }
        for (path, source) in found {
            entries.entry(path).or_insert_with(Entry::new).wanted = Some(source);
        }
        for (path, entry) in entries.iter_mut() {
            if !entry.busy && entry.wanted != entry.tried {
                entry.busy = true;
                self.shared.tasks.spawn(self.clone().follow(path.clone()));
            }
        }
    }

    /// Bring one file's plugin in step with the file, until they are.
    async fn follow(self, path: PathBuf) {
        let mut pause = RETRY;
        loop {
            let Some((wanted, number)) = self.next_wanted(&path) else { return };
            let outcome = match &wanted {
                Some(source) => self.shared.replace(&path, source, number).await,
                None => {
                    self.shared.remove(&path).await;
                    continue;
                }
            };
            let Err(error) = outcome else { continue };
            let passing = is_passing(&error);
            self.shared.note_failure(&path, &error);
            if passing {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.shared.stopping.cancelled() => return,
                }
                pause = (pause * 2).min(MAX_RETRY);
                if let Some(entry) = self.shared.entries().get_mut(&path) {
                    entry.tried = None;
                }
            }
        }
    }

    /// What to try next for a file, or `None` when it is in step; then nobody follows it.
    fn next_wanted(&self, path: &Path) -> Option<(Option<Source>, u64)> {
        let mut entries = self.shared.entries();
        let entry = entries.get_mut(path)?;
        if self.shared.stopping.is_cancelled() || entry.wanted == entry.tried {
            entry.busy = false;
            if entry.wanted.is_none() {
                entries.remove(path);
            }
            return None;
        }
        entry.tried = entry.wanted.clone();
        entry.number += 1;
        entry.since_ms = now_ms();
        Some((entry.wanted.clone(), entry.number))
    }

    async fn report_ready(self) {
        loop {
            if self.shared.entries().values().all(|entry| !entry.busy || entry.failure.is_some()) {
                self.shared.ready.send_replace(true);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }
}

impl Shared {
    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Load a file and let it take its plugin's place.
    async fn replace(
        self: &Arc<Self>,
        path: &Path,
        source: &Source,
        number: u64,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let _permit = self.loads.acquire().await?;
        let old = self.entries().get(path).and_then(|entry| entry.live.clone());
        let loaded = self.loader.load(source, number).await?;
        let compiled = loaded.compiled;
        let awake = old.as_ref().is_some_and(|old| old.awake().is_some());
        let offered = loaded.generation.offered();
        if awake || offered.lifecycle || offered.consumer.is_some() {
            loaded.generation.keep_awake(loaded.code).await?;
        }
        let generation = Arc::new(loaded.generation);
        self.check(&generation, path)?;
        let saved = match &old {
            Some(old) => old.save().await.context("the serving generation's `save` failed")?,
            None => None,
        };
        self.start(&generation, saved.clone()).await?;
        self.swap(path, &generation).await?;
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

    async fn start(&self, new: &Arc<Generation>, saved: Option<Vec<u8>>) -> anyhow::Result<()> {
        match new.start(saved).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => bail!("plugin `{}` refused to start: {reason}", new.plugin),
            Err(error) => Err(error).context("`start` failed"),
        }
    }

    /// Whether a generation may serve beside the others.
    fn check(&self, new: &Arc<Generation>, path: &Path) -> anyhow::Result<()> {
        let others: Vec<Arc<Generation>> = {
            let entries = self.entries();
            for (other, entry) in entries.iter().filter(|(other, _)| *other != path) {
                if entry.live.as_ref().is_some_and(|live| live.plugin == new.plugin) {
                    bail!(
                        "plugin `{}` is provided by {} already\nhint: change `name` in one of the two manifests",
                        new.plugin,
                        other.display()
                    );
                }
            }
            let others = entries.iter().filter(|(other, _)| *other != path);
            others.filter_map(|(_, entry)| entry.live.clone()).collect()
        };
        self.checks.iter().try_for_each(|check| check.check(new, &others))
    }

    /// The one moment in which a generation takes its place.
    async fn swap(&self, path: &Path, new: &Arc<Generation>) -> anyhow::Result<()> {
        let _one_at_a_time = self.swap.lock().await;
        self.check(new, path)?;
        if let Some(entry) = self.entries().get_mut(path) {
            entry.live = Some(new.clone());
            entry.failure = None;
            entry.since_ms = now_ms();
        }
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        let mut generations: Vec<_> =
            self.entries().values().filter_map(|entry| entry.live.clone()).collect();
        generations.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        self.live.send_replace(Arc::new(Live { generations }));
    }

    async fn remove(self: &Arc<Self>, path: &Path) {
        let _one_at_a_time = self.swap.lock().await;
        let old = self.entries().get_mut(path).and_then(|entry| {
            entry.failure = None;
            entry.live.take()
        });
        self.publish();
        if let Some(old) = old {
            tracing::info!(plugin = %old.plugin, generation = old.number, "removed");
            self.retire(old);
        }
    }

    /// Let a generation that was replaced end its calls.
    fn retire(&self, old: Arc<Generation>) {
        let grace = old.manifest().limits.deadline();
        self.tasks.spawn(async move {
            tokio::time::sleep(SWAP_PAUSE).await;
            old.drain(grace).await;
            tracing::debug!(plugin = %old.plugin, generation = old.number, "gone");
        });
    }

    fn note_failure(&self, path: &Path, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(path) else { return };
        let serving = entry.live.as_ref().map(|live| live.number);
        let plugin = entry.name(path);
        let repeated = entry.failure.as_ref() == Some(&reason);
        entry.failure = Some(reason.clone());
        entry.since_ms = now_ms();
        drop(entries);
        if !repeated {
            match serving {
                Some(generation) => {
                    tracing::error!(
                        plugin,
                        "not loaded, generation {generation} serves on: {reason}"
                    );
                }
                None => tracing::error!(plugin, "not loaded: {reason}"),
            }
        }
    }

    /// Go back to the generation before when the new one does nothing but crash.
    fn watch_for_crashes(
        self: &Arc<Self>,
        path: PathBuf,
        new: Arc<Generation>,
        old: Arc<Generation>,
        saved: Option<Vec<u8>>,
    ) {
        let (shared, blueprint) = (self.clone(), old.blueprint().clone());
        self.tasks.spawn(async move {
            let end = Instant::now() + PROBATION;
            while Instant::now() < end {
                tokio::select! {
                    () = tokio::time::sleep(PROBATION_LOOK) => {}
                    () = shared.stopping.cancelled() => return,
                }
                if !shared.is_live(&path, &new) {
                    return;
                }
                let (calls, faults) = new.counts();
                if faults >= CRASHES && faults * 2 >= calls {
                    let outcome = shared.revert(&path, &new, blueprint, saved).await;
                    if let Err(error) = outcome {
                        tracing::error!(plugin = %new.plugin, "crashes, and the version before cannot be started: {error:#}");
                    }
                    return;
                }
            }
        });
    }

    async fn revert(
        self: &Arc<Self>,
        path: &Path,
        crashed: &Arc<Generation>,
        blueprint: super::generation::Blueprint,
        saved: Option<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let number = {
            let mut entries = self.entries();
            let Some(entry) = entries.get_mut(path) else { return Ok(()) };
            entry.number += 1;
            entry.number
        };
        let generation = Arc::new(self.loader.generation(blueprint, number).await?);
        self.start(&generation, saved).await?;
        self.swap(path, &generation).await?;
        let (calls, faults) = crashed.counts();
        let error = anyhow::anyhow!(
            "generation {} crashed in {faults} of {calls} calls; the version before serves again",
            crashed.number
        );
        self.note_failure(path, &error);
        self.retire(crashed.clone());
        Ok(())
    }

    fn is_live(&self, path: &Path, generation: &Arc<Generation>) -> bool {
        let entries = self.entries();
        let live = entries.get(path).and_then(|entry| entry.live.as_ref());
        live.is_some_and(|live| Arc::ptr_eq(live, generation))
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            wanted: None,
            tried: None,
            busy: false,
            number: 0,
            live: None,
            failure: None,
            since_ms: now_ms(),
        }
    }

    fn name(&self, path: &Path) -> String {
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.live.as_ref().map_or_else(stem, |live| live.plugin.to_string())
    }

    fn status(&self, path: &Path) -> Status {
        let state = match (&self.failure, &self.live, self.busy) {
            (Some(_), _, _) => State::Failed,
            (None, Some(_), _) if self.wanted.is_none() => State::Draining,
            (None, Some(_), false) => State::Live,
            (None, _, _) => State::Loading,
        };
        let mut status = Status::new(self.name(path), state, self.since_ms);
        status.reason = self.failure.clone();
        status.file = Some(path.display().to_string());
        if let Some(live) = &self.live {
            live.describe(&mut status);
        }
        status
    }
}

/// Whether the same file may load later: the log or a database was away.
fn is_passing(error: &anyhow::Error) -> bool {
    let log = error.downcast_ref::<crate::backends::log::Error>();
    matches!(log, Some(crate::backends::log::Error::Unavailable(_)))
}

/// Now, in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
