//! Watches a new version for a while and takes it back where it fails more than the one before.
//!
//! After a swap it is compared with what the version before had come to; as a candidate, with what
//! the version that serves comes to meanwhile. What was taken back is remembered, also over a
//! restart, and not loaded again until an operator says so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Blueprint, Generation,
    generation::Counts,
    swap::{Shared, start},
    verdict::fails_more,
    versions::{Index, short},
};
use crate::quantity::now_ms;

/// How often it is looked how a version does.
const LOOK: Duration = Duration::from_millis(250);

/// A version and what it had come to when it was put on trial.
struct Tried {
    path: PathBuf,
    generation: Arc<Generation>,
    since: Counts,
}

impl Tried {
    fn new(path: &Path, generation: &Arc<Generation>) -> Self {
        let since = generation.counts();
        Self { path: path.to_owned(), generation: generation.clone(), since }
    }

    fn counts(&self) -> Counts {
        self.generation.counts() - self.since
    }

    /// What is said where it was taken back.
    fn reason(&self, other: Counts) -> String {
        let generation = &self.generation;
        let label = generation.manifest().version.as_deref().unwrap_or("-");
        let (digest, plugin, own) = (generation.version(), &generation.plugin, self.counts());
        format!(
            "version {label} ({}) failed in {} of {} calls, the one before in {} of {}; it was \
             taken back\nhint: drop another version, or try it again with `trellis reload {plugin}`",
            short(&digest),
            own.errors,
            own.calls,
            other.errors,
            other.calls,
        )
    }
}

impl Shared {
    /// Go back to the version before, which is `old`, when the one that took its place fails more.
    pub(super) fn watch_live(
        self: &Arc<Self>,
        path: &Path,
        new: &Arc<Generation>,
        old: &Generation,
        saved: Option<Vec<u8>>,
    ) {
        let settings = self.versions.settings();
        if !settings.revert {
            return;
        }
        let (tried, end) = (Tried::new(path, new), Instant::now() + settings.window.into());
        let (shared, before, usual) = (self.clone(), old.blueprint().clone(), old.counts());
        self.tasks.spawn(async move {
            while Instant::now() < end && shared.look_again().await {
                if !shared.is_live(&tried) {
                    return;
                }
                if !fails_more(tried.counts(), usual, shared.versions.settings()) {
                    continue;
                }
                // While a newer version is tried it is left to that one.
                let Some(number) = shared.entries().take_up(&tried.path) else { continue };
                let reason = tried.reason(usual);
                if let Err(error) = shared.revert(&tried, before, number, saved, reason).await {
                    let plugin = &tried.generation.plugin;
                    tracing::error!(%plugin, "fails, and the version before cannot be started: {error:#}");
                }
                shared.settle(&tried.path);
                return shared.follow(tried.path).await;
            }
        });
    }

    /// Let a candidate go when it fails more than the version that serves.
    pub(super) fn watch_candidate(self: &Arc<Self>, path: &Path, new: &Arc<Generation>) {
        let live = self.entries().live(path).cloned();
        let Some(live) = live.filter(|_| self.versions.settings().revert) else { return };
        let (shared, tried, live) = (self.clone(), Tried::new(path, new), Tried::new(path, &live));
        self.tasks.spawn(async move {
            while shared.look_again().await {
                if !shared.is_candidate(&tried) {
                    return;
                }
                let usual = live.counts();
                if fails_more(tried.counts(), usual, shared.versions.settings()) {
                    shared.withdraw(&tried.path);
                    let reason = tried.reason(usual);
                    shared.take_back(&tried, &live.generation.version(), reason).await;
                    return shared.settle(&tried.path);
                }
            }
        });
    }

    /// Wait until it is time to look; false once the host stops.
    async fn look_again(&self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => true,
            () = self.stopping.cancelled() => false,
        }
    }

    /// Let a new generation of the version before serve again.
    async fn revert(
        self: &Arc<Self>,
        tried: &Tried,
        before: Blueprint,
        number: u64,
        saved: Option<Vec<u8>>,
        reason: String,
    ) -> anyhow::Result<()> {
        let version = before.version.to_string();
        let generation = self.make(&tried.path, before, number).await?;
        start(&generation, saved).await?;
        self.swap(&tried.path, &generation);
        self.take_back(tried, &version, reason).await;
        Ok(())
    }

    /// Say and remember that a version was taken back, and that `serving` serves instead.
    async fn take_back(&self, tried: &Tried, serving: &str, reason: String) {
        let generation = &tried.generation;
        let (version, serving) = (generation.version(), serving.to_owned());
        let remember = {
            let reason = reason.clone();
            move |index: &mut Index| {
                index.refuse(&version, Some(reason));
                index.serving = Some(serving);
            }
        };
        if let Err(error) = self.alter(&generation.plugin, remember).await {
            tracing::warn!(plugin = %generation.plugin, "a restart would load it again: {error:#}");
        }
        tracing::error!(plugin = %generation.plugin, generation = generation.number, "{reason}");
        if let Some(entry) = self.entries().files.get_mut(&tried.path) {
            entry.failure = Some(reason);
            entry.since_ms = now_ms();
            entry.reverts += 1;
        }
    }

    fn is_live(&self, tried: &Tried) -> bool {
        let entries = self.entries();
        entries.live(&tried.path).is_some_and(|live| Arc::ptr_eq(live, &tried.generation))
    }

    fn is_candidate(&self, tried: &Tried) -> bool {
        let entries = self.entries();
        let canary = entries.canary(&tried.path);
        canary.is_some_and(|canary| Arc::ptr_eq(&canary.generation, &tried.generation))
    }
}
