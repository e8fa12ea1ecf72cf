//! What becomes of a version that was dropped.
//!
//! ```text
//!  load ─┬─ it takes its plugin's place                 the rule
//!        ├─ it gets a part of the requests              where the operator split them
//!        ├─ the candidate goes                          where it is the version that serves
//!        └─ nothing                                     where the host took it back before
//! ```
//! Where the file in the directory must not serve and nothing else does, as after a start, the
//! version that served last is put up from what is kept.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};

use super::{
    Blueprint, Weights,
    folder::Source,
    swap::Shared,
    versions::{Arrival, Index},
};

/// What becomes of it.
enum Course {
    Swap,
    Candidate(Weights),
    /// Whatever beside the version that serves gets requests gets none any more.
    Withdraw,
    Refuse(String),
}

impl Shared {
    /// Load a file and let come of it what should. Whatever that is, the caller settles the claims
    /// afterwards.
    pub(super) async fn replace(
        self: &Arc<Self>,
        path: &Path,
        source: &Source,
        number: u64,
    ) -> anyhow::Result<()> {
        let insisted = self.entries().take_insistence(path);
        let loaded = {
            // Not for longer: one that takes its time to start must not keep others from it.
            let _permit = self.loads.acquire().await?;
            self.loader.load(source).await?
        };
        let plugin = loaded.blueprint.manifest.name.clone();
        let version = loaded.blueprint.version.to_string();
        if insisted {
            self.alter(&plugin, move |index| index.refuse(&version, None)).await?;
        }
        match self.course(path, &loaded.blueprint) {
            Course::Swap => self.take_over(path, loaded, number, Arrival::Dropped).await,
            Course::Candidate(weights) => match self.serve_kept(path, &loaded.blueprint).await {
                Ok(()) => self.take_part(path, loaded, number, weights).await,
                Err(error) => {
                    tracing::warn!(plugin, "the version before is not there: {error:#}");
                    self.take_over(path, loaded, number, Arrival::Dropped).await
                }
            },
            Course::Withdraw => {
                self.withdraw(path);
                Ok(())
            }
            Course::Refuse(reason) => {
                if let Err(error) = self.serve_kept(path, &loaded.blueprint).await {
                    tracing::warn!(plugin, "the version before is not there: {error:#}");
                }
                bail!(reason)
            }
        }
    }

    fn course(&self, path: &Path, new: &Blueprint) -> Course {
        let (plugin, version) = (&new.manifest.name, new.version.to_string());
        let index = self.versions.of(plugin);
        if let Some(reason) = index.refusal(&version) {
            return Course::Refuse(reason.to_owned());
        }
        let Index { serving, split, .. } = index;
        let entries = self.entries();
        let live = entries.live(path).filter(|live| *live.plugin == **plugin);
        let serving = live.map(|live| live.version()).or(serving);
        match (split, serving) {
            (Some(weights), Some(serving)) if serving != version => Course::Candidate(weights),
            (Some(_), Some(_)) if entries.canary(path).is_some() => Course::Withdraw,
            _ => Course::Swap,
        }
    }

    /// Where nothing serves, put up the version that served last instead of this one.
    async fn serve_kept(self: &Arc<Self>, path: &Path, instead: &Blueprint) -> anyhow::Result<()> {
        if self.entries().live(path).is_some() {
            return Ok(());
        }
        let index = self.versions.of(&instead.manifest.name);
        let version = instead.version.to_string();
        let served = index.served().filter(|served| served.digest != version);
        let kept = match served {
            Some(served) => served,
            None => index.before(&version)?,
        };
        let (versions, kept) = (self.versions.clone(), kept.clone());
        let parcel = tokio::task::spawn_blocking(move || versions.parcel(&kept)).await?;
        let parcel = parcel.context("the version that served before cannot be read")?;
        let loaded = self.loader.load_kept(parcel, path).await?;
        let number = self.entries().next_number(path);
        self.take_over(path, loaded, number, Arrival::Found).await
    }

    /// Change what is known of a plugin's versions, away from the threads that serve.
    pub(super) async fn alter<T: Send + 'static>(
        &self,
        plugin: &str,
        change: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (versions, plugin) = (self.versions.clone(), plugin.to_owned());
        let changed = tokio::task::spawn_blocking(move || versions.change(&plugin, change));
        Ok(changed.await??)
    }
}
