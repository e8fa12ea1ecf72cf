//! What operators order: an earlier version back, a split, another try.
//!
//! ```text
//!  rollback ── an earlier version is put back into the plugin directory and serves
//!  split    ── the next version that is dropped gets a part of the requests
//!                └─ 0 of them left for the old one: it serves · 0 for it: the old one is put back
//!  reload   ── the file is tried again, also where the host took its version back
//! ```

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Plugins, Status, Weights,
    status::{Split, Version, VersionState},
    swap::Shared,
    versions::{Index, Kept, Unfound},
};

/// The largest weight.
const MAX_WEIGHT: u32 = 1_000_000;

/// Something to do with a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Put a version back: the one of this name or digest, else the one before.
    Rollback {
        /// The version in its manifest, or the beginning of its digest.
        to: Option<String>,
    },
    /// Split its requests.
    Split(Weights),
    /// Try its file again.
    Reload,
}

/// Why an order was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such plugin.
    #[error("plugin `{0}` is not installed")]
    Unknown(String),
    /// The version that is meant is not kept, or there are several.
    #[error("plugin `{plugin}`: {unfound}")]
    Unfound {
        /// The plugin.
        plugin: String,
        /// Why.
        unfound: Unfound,
    },
    /// The split makes no sense now.
    #[error("plugin `{plugin}` {reason}")]
    NoSplit {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: &'static str,
    },
    /// A weight is too large, or all are 0.
    #[error("weights are whole numbers up to {MAX_WEIGHT} and not both 0")]
    Weights,
    /// The plugin directory belongs to somebody else.
    #[error(
        "`{}` cannot be written: {reason}; let the host's user write it, or copy `{}` there \
         yourself", dir.display(), kept.display()
    )]
    Unwritable {
        /// The directory.
        dir: PathBuf,
        /// Where the component is kept.
        kept: PathBuf,
        /// Why.
        reason: String,
    },
    /// A version is being loaded.
    #[error("another version of it is being loaded; try again")]
    Busy,
    /// The version would not serve.
    #[error("{0}")]
    Failed(String),
}

impl Plugins {
    /// One plugin with its generations and the versions that are kept.
    pub fn detail(&self, plugin: &str) -> Option<Status> {
        let entries = self.shared.entries();
        let (path, entry) = entries.named(plugin)?;
        let (mut status, mut versions) = (entry.status(path), entry.versions());
        drop(entries);
        let Index { versions: kept, split, .. } = self.shared.versions.of(plugin);
        let waits = split.map(|weights| Split { weights, generation: None });
        status.split = status.split.or(waits);
        let shown = |kept: &Kept| versions.iter().any(|version| version.digest == kept.digest);
        let kept: Vec<_> = kept.into_iter().rev().filter(|kept| !shown(kept)).collect();
        versions.extend(kept.into_iter().map(Version::of));
        status.versions = versions;
        Some(status)
    }

    /// Carry out an order; how the plugin is then. It is carried out whole also where the caller
    /// stops waiting.
    pub async fn order(&self, plugin: &str, order: Order) -> Result<Status, Refused> {
        let unknown = || Refused::Unknown(plugin.to_owned());
        let path = self.shared.entries().named(plugin).map(|(path, _)| path.clone());
        let path = path.ok_or_else(unknown)?;
        let (shared, name) = (self.shared.clone(), plugin.to_owned());
        let work = async move {
            match order {
                Order::Rollback { to } => shared.roll_back(path, name, to).await,
                Order::Split(weights) => shared.split(path, name, weights).await,
                Order::Reload => shared.load_again(&path).await,
            }
        };
        let done = self.shared.tasks.spawn(work).await;
        done.map_err(|error| Refused::Failed(error.to_string()))??;
        self.detail(plugin).ok_or_else(unknown)
    }
}

impl Shared {
    async fn roll_back(
        self: Arc<Self>,
        path: PathBuf,
        plugin: String,
        to: Option<String>,
    ) -> Result<(), Refused> {
        let index = self.versions.of(&plugin);
        let found = match to {
            Some(text) => index.find(&text),
            None => self.version_before(&path, &index),
        };
        match found.cloned() {
            Ok(kept) => self.restore(path, plugin, kept).await,
            Err(unfound) => Err(Refused::Unfound { plugin, unfound }),
        }
    }

    /// The version before the one in the directory: where that was refused or is a candidate, the
    /// one that serves, else the one that came before that.
    fn version_before<'a>(&self, path: &Path, index: &'a Index) -> Result<&'a Kept, Unfound> {
        let entries = self.entries();
        let entry = entries.files.get(path);
        let live = entry.and_then(|entry| entry.live.as_ref()).map(|live| live.version());
        let unsettled =
            entry.is_some_and(|entry| entry.failure.is_some() || entry.canary.is_some());
        drop(entries);
        match live {
            Some(live) if unsettled => index.get(&live).ok_or(Unfound::NoEarlier),
            Some(live) => index.before(&live),
            None => index.served().ok_or(Unfound::NoEarlier),
        }
    }

    async fn split(
        self: Arc<Self>,
        path: PathBuf,
        plugin: String,
        weights: Weights,
    ) -> Result<(), Refused> {
        let Weights { live, candidate } = weights;
        if live.max(candidate) > MAX_WEIGHT || live.max(candidate) == 0 {
            return Err(Refused::Weights);
        }
        let failed = |error: anyhow::Error| Refused::Failed(format!("{error:#}"));
        let serving = self.entries().live(&path).map(|live| live.version());
        let has_candidate = self.entries().canary(&path).is_some();
        let Some(serving) = serving else {
            return Err(Refused::NoSplit { plugin, reason: "has no version that serves" });
        };
        match (live, candidate, has_candidate) {
            (1.., 1.., _) => {
                let set = self.alter(&plugin, move |index| index.split = Some(weights));
                set.await.map_err(failed)?;
                self.reweigh(&path, weights);
                Ok(())
            }
            (0, _, true) => self.promote(&path).await.map_err(failed),
            (_, _, true) => {
                let index = self.versions.of(&plugin);
                match index.get(&serving).cloned() {
                    Some(kept) => self.restore(path, plugin, kept).await,
                    None => Err(Refused::Unfound { plugin, unfound: Unfound::NoEarlier }),
                }
            }
            (_, _, false) => {
                let taken = self.alter(&plugin, |index| index.split.take());
                match taken.await.map_err(failed)? {
                    Some(_) => Ok(()),
                    None => Err(Refused::NoSplit { plugin, reason: "has no split to end" }),
                }
            }
        }
    }

    async fn load_again(self: Arc<Self>, path: &Path) -> Result<(), Refused> {
        self.until_idle(path).await?;
        if self.entries().insist(path) {
            self.tasks.spawn(self.clone().follow(path.to_owned()));
        }
        self.until_idle(path).await?;
        let entries = self.entries();
        match entries.files.get(path).and_then(|entry| entry.failure.clone()) {
            Some(reason) => Err(Refused::Failed(reason)),
            None => Ok(()),
        }
    }
}

impl Version {
    /// A version that is kept and not loaded.
    fn of(kept: Kept) -> Self {
        let state = match kept.refused {
            Some(_) => VersionState::Refused,
            None => VersionState::Kept,
        };
        Self {
            digest: kept.digest,
            state,
            reason: kept.refused,
            version: kept.version,
            loaded_ms: kept.arrived_ms,
            generation: None,
            weight: 0.0,
            calls: 0,
            errors: 0,
        }
    }
}
