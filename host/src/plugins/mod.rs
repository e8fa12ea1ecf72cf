//! What is installed: finds plugins on disk, makes generations of them, swaps and drains them.
//!
//! Triggers enter here: they watch [`Live`], the set of generations that serve, and lend
//! instances of them. Nothing here knows what a trigger does with an instance.

use std::sync::Arc;

use tokio::sync::watch;

mod alone;
mod arrival;
mod canary;
pub mod changes;
pub mod claims;
pub mod contracts;
mod entries;
pub mod folder;
pub mod generation;
pub mod grants;
pub mod load;
mod meters;
pub mod orders;
pub mod reload;
mod restore;
pub mod status;
mod swap;
mod trial;
mod verdict;
pub mod versions;

pub use alone::Alone;
pub use claims::Claim;
pub use generation::{Blueprint, Generation};
pub use orders::{Order, Refused};
pub use reload::Plugins;
pub use status::{Status, Weights};
pub use versions::Versions;

/// The generations that serve, one a plugin, by name. Replaced as a whole at each swap.
#[derive(Clone, Default)]
pub struct Live {
    /// Sorted by the plugin's name.
    pub generations: Vec<Arc<Generation>>,
    /// Of the few plugins whose requests are split: who gets the other part.
    pub canaries: Vec<Arc<Canary>>,
}

/// A newer version beside the one that serves. It answers a part of the requests; messages of
/// topics go to the one that serves, so that a partition is never handled by two versions in turn.
pub struct Canary {
    /// The newer version.
    pub generation: Arc<Generation>,
    /// Who gets how much.
    pub weights: Weights,
}

/// How a trigger learns what serves.
pub type Watch = watch::Receiver<Arc<Live>>;

/// A trigger that binds plugins to what only one of them can have.
pub trait Check: Send + Sync + 'static {
    /// What a component claims for itself if it serves; the error says why it cannot be bound at
    /// all, for the operator.
    fn claims(&self, blueprint: &Blueprint) -> anyhow::Result<Vec<Claim>>;
}

impl Live {
    /// The candidate of a plugin.
    pub fn canary(&self, plugin: &str) -> Option<&Arc<Canary>> {
        self.canaries.iter().find(|canary| *canary.generation.plugin == *plugin)
    }

    /// Everything that takes calls.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.generations.iter().chain(self.canaries.iter().map(|canary| &canary.generation))
    }

    fn insert(&mut self, new: Arc<Generation>, canary: Option<Arc<Canary>>) {
        self.canaries.retain(|other| other.generation.plugin != new.plugin);
        self.canaries.extend(canary);
        match self.place(&new) {
            Ok(at) => self.generations[at] = new,
            Err(at) => self.generations.insert(at, new),
        }
    }

    fn remove(&mut self, old: &Generation) {
        self.canaries.retain(|canary| canary.generation.plugin != old.plugin);
        if let Ok(at) = self.place(old) {
            self.generations.remove(at);
        }
    }

    fn place(&self, of: &Generation) -> Result<usize, usize> {
        self.generations.binary_search_by(|live| live.plugin.cmp(&of.plugin))
    }
}
