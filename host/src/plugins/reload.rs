//! The plugins of a directory, kept in step with it: start is a reload from the empty set.
//!
//! ```text
//!  folder ── difference ── follow (a task a file, while it is out of step)
//!                             └─ arrival: load ── swap: reserve, make, start, swap, drain the old
//! ```
//! A file is tried again when it changes, when what it failed for passes by itself, and when
//! another plugin gives up what it was refused for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Check, Versions, Watch,
    folder::Folder,
    load::{Loader, Unsettled},
    meters,
    status::Status,
    swap::Shared,
};
use crate::backends::{log, sql};

/// Failures that pass by themselves, a database that is away for example, are tried again after
/// this time, doubled each time ...
const RETRY: Duration = Duration::from_secs(1);
/// ... up to this.
const MAX_RETRY: Duration = Duration::from_secs(60);
/// Compiled code that no version has any more goes once it is so old.
const SWEEP_AGE: Duration = Duration::from_secs(24 * 3600);
/// How often idle instances are looked at, and after which time without a call they go.
const TRIM_EVERY: Duration = Duration::from_secs(10);
const TRIM_AGE: Duration = Duration::from_secs(60);

/// The plugins of one directory. Clones share it.
#[derive(Clone)]
pub struct Plugins {
    pub(super) shared: Arc<Shared>,
}

impl Plugins {
    /// No plugins yet. `checks` may refuse a generation before it goes live.
    pub fn new(
        loader: Loader,
        versions: Versions,
        checks: Vec<Box<dyn Check>>,
        stopping: CancellationToken,
    ) -> Self {
        Self { shared: Arc::new(Shared::new(loader, versions, checks, stopping)) }
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
        self.shared.tasks.spawn(self.clone().tidy());
        self.shared.tasks.spawn(self.clone().sweep());
        let mut found = folder.scan();
        if let Ok(first) = &found {
            self.shared.entries().expect(first);
        }
        self.shared.tell_if_ready(None);
        while !self.shared.stopping.is_cancelled() {
            match found {
                Ok(difference) => {
                    let idle = self.shared.entries().reconcile(difference);
                    self.shared.spawn(idle);
                }
                Err(error) => tracing::error!(%error, "the plugin directory cannot be read"),
            }
            found = tokio::select! {
                found = folder.changed() => found,
                () = self.shared.stopping.cancelled() => return,
            };
        }
    }

    /// End every generation: no new calls, those in progress get `grace`, then `stop` runs and
    /// gets `grace` as well. Generations that were replaced before have no more time than these.
    pub async fn drain(&self, grace: Duration) {
        self.shared.tasks.close();
        let live = self.shared.live.send_replace(Arc::default());
        let drains = live.all().map(|generation| generation.drain(grace, grace));
        let older = tokio::time::timeout(grace * 2, self.shared.tasks.wait());
        let (_, older) = futures_util::future::join(join_all(drains), older).await;
        if older.is_err() {
            tracing::warn!(after = ?grace * 2, "generations that were replaced are left to themselves");
        }
    }

    /// Every plugin as people see it, by name.
    pub fn status(&self) -> Vec<Status> {
        let entries = self.shared.entries();
        let mut status: Vec<_> =
            entries.files.iter().map(|(path, entry)| entry.status(path)).collect();
        drop(entries);
        status.sort_by(|a, b| a.name.cmp(&b.name));
        status
    }

    /// Write the numbers of all plugins and their generations, for a reader of metrics.
    pub fn write_numbers(&self) {
        let status = self.status();
        let entries = self.shared.entries();
        let generations: Vec<_> =
            entries.files.values().flat_map(|entry| entry.generations()).collect();
        drop(entries);
        meters::write_plugins(&status);
        generations.iter().for_each(|(one, _, weight)| meters::write_generation(one, *weight));
    }

    /// Once all was tried: forget the versions of plugins that have been gone for long, and remove
    /// compiled code that no version has.
    async fn sweep(self) {
        let mut ready = self.ready();
        tokio::select! {
            _ = ready.wait_for(|ready| *ready) => {}
            () = self.shared.stopping.cancelled() => return,
        }
        let present = self.status().into_iter().map(|status| status.name).collect();
        let used = self.shared.entries().components();
        let (versions, runtime) =
            (self.shared.versions.clone(), self.shared.loader.runtime.clone());
        let sweep = move || {
            versions.forget_absent(&present)?;
            let wanted = versions.components().union(&used).cloned().collect();
            anyhow::Ok(runtime.cache().sweep(&wanted, SWEEP_AGE)?)
        };
        let swept = tokio::task::spawn_blocking(sweep).await;
        if let Err(error) = swept.map_err(anyhow::Error::from).flatten() {
            tracing::warn!("what is not used any more is still there: {error:#}");
        }
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
            for instances in live.all().filter_map(|live| live.awake()) {
                if crowded {
                    instances.give_up_one();
                } else {
                    instances.trim(TRIM_AGE);
                }
            }
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, files: Vec<PathBuf>) {
        for path in files {
            self.tasks.spawn(self.clone().follow(path));
        }
    }

    /// Bring one file's plugin in step with the file, until they are. One task a file does this
    /// at a time: whoever took the file up.
    pub(super) async fn follow(self: Arc<Self>, path: PathBuf) {
        let mut pause = RETRY;
        while !self.stopping.is_cancelled() {
            let Some(attempt) = self.entries().next_attempt(&path) else { break };
            let bringing = async {
                match &attempt.source {
                    Some(source) => self.replace(&path, source, attempt.number).await,
                    None => {
                        self.remove(&path);
                        Ok(())
                    }
                }
            };
            let outcome = tokio::select! {
                outcome = bringing => outcome,
                // What is not live yet will not be.
                () = self.stopping.cancelled() => return,
            };
            match &outcome {
                Ok(()) => {}
                Err(error) if error.is::<Unsettled>() => tracing::info!("{error}"),
                Err(error) => self.note_failure(&path, error),
            }
            self.settle(&path);
            self.tell_if_ready(Some(&path));
            if outcome.is_err_and(|error| is_passing(&error)) {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stopping.cancelled() => return,
                }
                pause = (pause * 2).min(MAX_RETRY);
                self.entries().try_again(&path);
            }
        }
        // One that was gone before it was tried.
        self.tell_if_ready(Some(&path));
    }

    /// Free what an attempt has reserved in vain or given up, and try those who waited for it.
    pub(super) fn settle(self: &Arc<Self>, path: &Path) {
        let woken = self.entries().settle(path);
        self.spawn(woken);
    }
}

/// Whether the same file may load later: the log or a database was away.
fn is_passing(error: &anyhow::Error) -> bool {
    let log = error.downcast_ref::<log::Error>();
    let sql = error.downcast_ref::<sql::Error>();
    let migration = error.downcast_ref::<sql::MigrationError>();
    matches!(log, Some(log::Error::Unavailable(_)))
        || matches!(sql, Some(sql::Error::Unavailable(_)))
        || matches!(migration, Some(sql::MigrationError::Database(sql::Error::Unavailable(_))))
}
