//! Watches a new generation for a while: one that does nothing but crash is replaced by the one
//! before.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Blueprint, Generation,
    swap::{Shared, start},
};

/// How long a new generation is watched for a crash loop, and how often.
const PROBATION: Duration = Duration::from_secs(30);
const PROBATION_LOOK: Duration = Duration::from_millis(250);
/// So many faults in a row of looks, and at least every second call: a crash loop.
const CRASHES: u64 = 5;

impl Shared {
    /// Go back to the generation before when the new one does nothing but crash.
    pub(super) fn watch_for_crashes(
        self: &Arc<Self>,
        path: PathBuf,
        new: Arc<Generation>,
        old: Arc<Generation>,
        saved: Option<Vec<u8>>,
    ) {
        let (shared, blueprint) = (self.clone(), old.blueprint().clone());
        drop(old);
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
                if faults < CRASHES || faults * 2 < calls {
                    continue;
                }
                // While a newer version is tried it is left to that one.
                let Some(number) = shared.entries().take_up(&path) else { continue };
                let outcome = shared.revert(&path, &new, blueprint, number, saved).await;
                if let Err(error) = outcome {
                    tracing::error!(plugin = %new.plugin, "crashes, and the version before cannot be started: {error:#}");
                }
                shared.settle(&path);
                return shared.follow(path).await;
            }
        });
    }

    async fn revert(
        self: &Arc<Self>,
        path: &Path,
        crashed: &Arc<Generation>,
        blueprint: Blueprint,
        number: u64,
        saved: Option<Vec<u8>>,
    ) -> anyhow::Result<()> {
        let generation = self.make(path, blueprint, number).await?;
        start(&generation, saved).await?;
        self.swap(path, &generation);
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
        self.entries().live(path).is_some_and(|live| Arc::ptr_eq(live, generation))
    }
}
