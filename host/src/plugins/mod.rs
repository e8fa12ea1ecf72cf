//! What is installed: finds plugins on disk, makes generations of them, swaps and drains them.
//!
//! Triggers enter here: they watch [`Live`], the set of generations that serve, and lend
//! instances of them. Nothing here knows what a trigger does with an instance.

use std::sync::Arc;

use tokio::sync::watch;

pub mod changes;
pub mod claims;
mod crashes;
mod entries;
pub mod folder;
pub mod generation;
pub mod grants;
pub mod load;
mod meters;
pub mod reload;
pub mod status;
mod swap;

pub use claims::Claim;
pub use generation::{Blueprint, Generation};
pub use reload::Plugins;
pub use status::Status;

/// The generations that serve, one a plugin, by name. Replaced as a whole at each swap.
#[derive(Clone, Default)]
pub struct Live {
    /// Sorted by the plugin's name.
    pub generations: Vec<Arc<Generation>>,
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
    fn insert(&mut self, new: Arc<Generation>) {
        match self.place(&new) {
            Ok(at) => self.generations[at] = new,
            Err(at) => self.generations.insert(at, new),
        }
    }

    fn remove(&mut self, old: &Generation) {
        if let Ok(at) = self.place(old) {
            self.generations.remove(at);
        }
    }

    fn place(&self, of: &Generation) -> Result<usize, usize> {
        self.generations.binary_search_by(|live| live.plugin.cmp(&of.plugin))
    }
}
