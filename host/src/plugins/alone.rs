//! One plugin that serves without a directory: for its cases.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Blueprint, Check, Generation, Live, Watch, load::Loader, swap};

/// A plugin whose first generation serves from the beginning.
pub struct Alone {
    generation: Arc<Generation>,
    live: watch::Sender<Arc<Live>>,
}

impl Alone {
    /// Make a generation of a component that was loaded, on the loader's backends, and run its
    /// `start`: what happens to a file that comes into an empty directory.
    ///
    /// # Errors
    /// Whatever would keep it from serving.
    pub async fn start(
        loader: &Loader,
        blueprint: Blueprint,
        checks: &[Box<dyn Check>],
    ) -> anyhow::Result<Self> {
        checks.iter().try_for_each(|check| check.claims(&blueprint).map(drop))?;
        let generation = loader.generation(blueprint, Default::default(), 1).await?;
        let generation = Arc::new(generation);
        swap::start(&generation, None).await?;
        let mut serves = Live::default();
        serves.insert(generation.clone(), None);
        Ok(Self { generation, live: watch::Sender::new(Arc::new(serves)) })
    }

    /// What serves.
    pub fn watch(&self) -> Watch {
        self.live.subscribe()
    }

    /// The plugin.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// End its calls and run its `stop`; each may take so long.
    pub async fn end(self, grace: Duration) {
        self.live.send_replace(Arc::default());
        self.generation.drain(grace, grace).await;
    }
}
