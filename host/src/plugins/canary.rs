//! A candidate: a newer version that answers a part of the requests beside the one that serves.
//!
//! ```text
//!  dropped while there is a split ── candidate ─┬─ finished: it serves
//!                                               ├─ stopped: the version that serves is put back
//!                                               └─ it fails more: taken back by the host
//! ```

use std::{path::Path, sync::Arc};

use super::{Canary, Generation, Weights, load::Loaded, swap::Shared, versions::Arrival};
use crate::quantity::now_ms;

impl Shared {
    /// Let what was loaded answer a part of its plugin's requests.
    pub(super) async fn take_part(
        self: &Arc<Self>,
        path: &Path,
        loaded: Loaded,
        number: u64,
        weights: Weights,
    ) -> anyhow::Result<()> {
        let Loaded { blueprint, code, parcel, .. } = loaded;
        let (generation, _) = self.bring_up(path, blueprint, code, number).await?;
        self.keep(&generation, parcel, Arrival::Candidate).await;
        self.enter(path, &generation, weights);
        let Weights { live, candidate } = weights;
        tracing::info!(
            plugin = %generation.plugin,
            generation = number,
            version = generation.manifest().version.as_deref().unwrap_or("-"),
            "a candidate: requests are split {live} to {candidate}"
        );
        self.watch_candidate(path, &generation);
        Ok(())
    }

    fn enter(self: &Arc<Self>, path: &Path, new: &Arc<Generation>, weights: Weights) {
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        let canary = Arc::new(Canary { generation: new.clone(), weights });
        let old = entry.canary.replace(canary);
        entry.failure = None;
        entry.since_ms = now_ms();
        self.publish(None, entry);
        drop(entries);
        if let Some(old) = old {
            self.retire(path, old.generation.clone());
        }
    }

    /// Give the candidate another part of the requests, if there is one.
    pub(super) fn reweigh(&self, path: &Path, weights: Weights) {
        let mut entries = self.entries();
        let Some(entry) = entries.files.get_mut(path) else { return };
        entry.reweigh(weights);
        self.publish(None, entry);
    }

    /// Let the candidate go, which then drains.
    pub(super) fn withdraw(self: &Arc<Self>, path: &Path) -> Option<Arc<Generation>> {
        let mut entries = self.entries();
        let entry = entries.files.get_mut(path)?;
        let canary = entry.canary.take()?.generation.clone();
        entry.failure = None;
        entry.since_ms = now_ms();
        self.publish(None, entry);
        drop(entries);
        tracing::info!(plugin = %canary.plugin, generation = canary.number, "no candidate any more");
        self.retire(path, canary.clone());
        Some(canary)
    }

    /// Let the candidate take its plugin's place.
    pub(super) async fn promote(self: &Arc<Self>, path: &Path) -> anyhow::Result<()> {
        let canary = self.entries().canary(path).map(|canary| canary.generation.clone());
        let Some(canary) = canary else { return Ok(()) };
        let version = canary.version();
        self.alter(&canary.plugin, move |index| {
            index.split = None;
            index.serving = Some(version);
        })
        .await?;
        let old = self.swap(path, &canary);
        tracing::info!(plugin = %canary.plugin, generation = canary.number, "the candidate is live");
        if let Some(old) = old {
            self.watch_live(path, &canary, &old, None);
        }
        Ok(())
    }
}
