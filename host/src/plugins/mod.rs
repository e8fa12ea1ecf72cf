//! What is installed: finds plugins on disk, makes generations of them, swaps and drains them.
//!
//! Triggers enter here: they watch [`Live`], the set of generations that serve, and lend
//! instances of them. Nothing here knows what a trigger does with an instance.

use std::sync::Arc;

use tokio::sync::watch;

pub mod changes;
pub mod folder;
pub mod generation;
pub mod grants;
pub mod load;
mod meters;
pub mod reload;
pub mod status;

pub use generation::Generation;
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

/// Something that may refuse a generation before it goes live: a trigger whose bindings would
/// be in conflict.
pub trait Check: Send + Sync + 'static {
    /// Whether `new` can serve beside `others`; the error says why not, for the operator.
    fn check(&self, new: &Generation, others: &[Arc<Generation>]) -> anyhow::Result<()>;
}
