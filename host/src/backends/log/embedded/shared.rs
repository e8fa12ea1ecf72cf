//! What the log's handle, its members and its writer share; reading happens here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time,
};

use super::{
    super::{Batch, Error, Limit, Outgoing, Range, Result, Start},
    chunk,
    claim::Committed,
    groups::Groups,
    partition::Partition,
    request::{Reply, Request},
    store::Store,
    topics::{Item, Topics},
};
use crate::world::World;

/// The state of an open log.
pub struct Shared {
    /// The topics. The writer replaces them.
    pub topics: Arc<ArcSwap<Topics>>,
    /// Who reads what.
    pub groups: Arc<Groups>,
    /// The way to the writer.
    pub queue: mpsc::Sender<Request>,
    /// The database; empty while it is not open.
    pub store: ArcSwapOption<Store>,
    /// Whose clock stamps the records.
    pub world: World,
    /// Reads from disk that may run at once: the threads for what blocks are not ours alone.
    readers: Semaphore,
    committed: Mutex<Committed>,
}

/// As many reads at once as keep a disk busy.
const READERS: usize = 8;

impl Shared {
    /// The state of a log that was just opened.
    pub fn new(
        world: World,
        topics: Topics,
        groups: impl FnOnce(Arc<ArcSwap<Topics>>) -> Arc<Groups>,
        queue: mpsc::Sender<Request>,
        store: Store,
        committed: Committed,
    ) -> Self {
        let topics = Arc::new(ArcSwap::from_pointee(topics));
        Self {
            groups: groups(Arc::clone(&topics)),
            topics,
            queue,
            store: ArcSwapOption::from_pointee(store),
            world,
            readers: Semaphore::new(READERS),
            committed: Mutex::new(committed),
        }
    }

    /// The durable offsets of groups.
    pub fn committed(&self) -> MutexGuard<'_, Committed> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hand the writer a request, and wait for its answer.
    pub async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T> {
        self.hand_over(request).await?.await.map_err(|_| closed())?
    }

    /// Hand the writer a request: it comes before all that are handed over later.
    pub async fn hand_over<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(request(reply)).await.map_err(|_| closed())?;
        Ok(answer)
    }

    /// Find where each record goes; the first that cannot go anywhere refuses them all.
    pub fn resolve_all(&self, records: Vec<Outgoing>) -> Result<Vec<Item>> {
        self.topics.load().resolve(records).collect()
    }

    /// Read a partition from an offset on; waits for the first record as the limit says.
    pub async fn read(&self, partition: &Arc<Partition>, from: u64, limit: Limit) -> Result<Batch> {
        let range = partition.range();
        if from < range.end {
            return self.read_now(partition, from, range, limit).await;
        }
        let mut end = partition.watch_end();
        let arrived =
            matches!(time::timeout(limit.wait, end.wait_for(|end| from < *end)).await, Ok(Ok(_)));
        if !arrived {
            return Ok(Batch::new(&partition.topic, partition.number, from, 0));
        }
        self.read_now(partition, from, partition.range(), limit).await
    }

    /// Read what is there; `from` lies before the end.
    async fn read_now(
        &self,
        partition: &Arc<Partition>,
        from: u64,
        range: Range,
        limit: Limit,
    ) -> Result<Batch> {
        let from = from.max(range.start);
        let chunks = match partition.recent(from, limit) {
            Some(chunks) => chunks,
            None => {
                let id = partition.id;
                self.on_disk(move |store| store.scan(id, from, range.end, limit)).await?
            }
        };
        if chunks.is_empty() && partition.range().start <= from {
            return Err(Error::Unavailable(format!(
                "the records of `{}`/{} from offset {from} on are missing on disk",
                partition.topic, partition.number
            )));
        }
        Ok(chunk::batch_of(&partition.topic, partition.number, &chunks, from, range.end, limit))
    }

    /// The offset of a start, within what is kept now.
    pub async fn place(&self, partition: &Partition, start: Start) -> Result<u64> {
        let (id, range) = (partition.id, partition.range());
        match start {
            Start::Earliest => Ok(range.start),
            Start::Latest => Ok(range.end),
            Start::Offset(offset) => Ok(offset.clamp(range.start, range.end)),
            Start::Time(time) => self.on_disk(move |store| store.first_at(id, range, time)).await,
        }
    }

    /// Now, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.world.now_ms()).unwrap_or(i64::MAX)
    }

    /// Run what blocks on the disk away from the threads that serve.
    pub async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _turn = self.readers.acquire().await.map_err(|_| closed())?;
        let store = self.store.load_full().ok_or_else(not_open)?;
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| Error::Unavailable(format!("reading failed: {error}")))?
    }
}

/// What reads from disk answer while there is none to read.
fn not_open() -> Error {
    Error::Unavailable("its files are closed, or are opened again after a failed write".into())
}

/// What every call answers once the log is closed.
pub fn closed() -> Error {
    Error::Unavailable("it is closed".into())
}
