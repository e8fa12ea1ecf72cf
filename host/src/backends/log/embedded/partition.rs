//! A partition in memory: which records it keeps, its newest chunks, and who waits for more.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

use super::{
    super::{self as log, Lag, Limit, Range},
    chunk::Chunk,
};

/// A partition as readers see it: only what is durable. The writer alone changes it.
pub struct Partition {
    /// Its number among all partitions of the log; never given to another.
    pub id: u32,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number within the topic.
    pub number: u32,
    start: AtomicU64,
    end: watch::Sender<u64>,
    tail: Mutex<VecDeque<Chunk>>,
}

impl Partition {
    /// A partition that keeps `range`, none of it in memory.
    pub fn new(id: u32, topic: Arc<str>, number: u32, range: Range) -> Self {
        Self {
            id,
            topic,
            number,
            start: AtomicU64::new(range.start),
            end: watch::Sender::new(range.end),
            tail: Mutex::default(),
        }
    }

    /// Which records it keeps.
    pub fn range(&self) -> Range {
        let end = *self.end.borrow();
        Range { start: self.start.load(Ordering::Acquire).min(end), end }
    }

    /// What the outside calls it.
    pub fn describe(&self) -> log::Partition {
        log::Partition { topic: Arc::clone(&self.topic), partition: self.number }
    }

    /// How far a group is in it.
    pub fn lag(&self, group: Arc<str>, committed: Option<u64>) -> Lag {
        let Range { start, end } = self.range();
        let done = committed.unwrap_or(start).max(start);
        Lag {
            group,
            topic: Arc::clone(&self.topic),
            partition: self.number,
            committed,
            end,
            lag: end.saturating_sub(done),
        }
    }

    /// Its end, to wait on.
    pub fn watch_end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// Show readers a durable chunk.
    pub fn publish(&self, chunk: Chunk) {
        let end = chunk.end();
        self.tail().push_back(chunk);
        // Behind the push: whoever sees the end finds the chunk.
        self.end.send_replace(end);
    }

    /// Show readers what the disk holds, beyond what was published.
    pub fn catch_up(&self, range: Range) {
        self.trim(range.start);
        self.end.send_if_modified(|end| {
            let more = range.end > *end;
            *end = range.end.max(*end);
            more
        });
    }

    /// Forget the oldest chunk in memory.
    pub fn evict(&self) {
        self.tail().pop_front();
    }

    /// Records before `start` are deleted.
    pub fn trim(&self, start: u64) {
        self.start.fetch_max(start, Ordering::AcqRel);
    }

    /// The chunks in memory that a batch at `from` needs, or `None` when `from` lies before them.
    pub fn recent(&self, from: u64, limit: Limit) -> Option<Vec<Chunk>> {
        let tail = self.tail();
        let first = tail.partition_point(|chunk| chunk.end() <= from);
        if tail.get(first)?.base > from {
            return None;
        }
        let (mut records, mut bytes) = (0, 0);
        let chunks = tail.range(first..).take_while(|chunk| {
            let wanted = records < u64::from(limit.records.max(1)) && bytes <= limit.bytes as usize;
            let skipped = from.saturating_sub(chunk.base);
            records += u64::from(chunk.count) - skipped;
            // Of a chunk that is entered in the middle, unknown: count nothing.
            bytes += if skipped == 0 { chunk.packed().len() } else { 0 };
            wanted
        });
        Some(chunks.cloned().collect())
    }

    fn tail(&self) -> MutexGuard<'_, VecDeque<Chunk>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the chunks in memory below a number of bytes, over all partitions: the oldest go first.
pub struct TailBudget {
    limit: usize,
    held: usize,
    order: VecDeque<(Arc<Partition>, usize)>,
}

impl TailBudget {
    /// An empty budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: 0, order: VecDeque::new() }
    }

    /// Forget all chunks.
    pub fn clear(&mut self) {
        self.order.drain(..).for_each(|(partition, _)| partition.evict());
        self.held = 0;
    }

    /// Publish a chunk and evict what no longer fits.
    pub fn publish(&mut self, partition: &Arc<Partition>, chunk: Chunk) {
        /// What a chunk takes besides its bytes, about.
        const OVERHEAD: usize = 128;

        let bytes = chunk.packed().len() + OVERHEAD;
        self.held += bytes;
        self.order.push_back((Arc::clone(partition), bytes));
        partition.publish(chunk);
        while self.held > self.limit
            && let Some((oldest, bytes)) = self.order.pop_front()
        {
            oldest.evict();
            self.held -= bytes;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::{super::chunk::Builder, *};

    fn partition() -> Arc<Partition> {
        Arc::new(Partition::new(0, "t".into(), 0, Range { start: 0, end: 0 }))
    }

    fn chunk(base: u64) -> Chunk {
        let mut builder = Builder::new(base, 0);
        builder.push(1, &[0; 80]);
        builder.push(1, &[0; 80]);
        builder.seal(&mut 0, &mut 0)
    }

    #[test]
    fn the_oldest_chunk_of_all_partitions_leaves_memory_first() {
        let (first, second) = (partition(), partition());
        let mut budget = TailBudget::new(2 * (200 + 128));
        budget.publish(&first, chunk(0));
        budget.publish(&second, chunk(0));
        budget.publish(&first, chunk(2));
        let limit = Limit { records: 10, bytes: 10_000, wait: Duration::ZERO };
        assert!(first.recent(0, limit).is_none());
        assert_eq!(first.recent(2, limit).unwrap()[0].base, 2);
        assert_eq!(second.recent(1, limit).unwrap()[0].base, 0);
    }

    #[test]
    fn only_the_chunks_of_one_batch_are_taken() {
        let partition = partition();
        (0..10).for_each(|index| partition.publish(chunk(index * 2)));
        let bases = |from, records, bytes| {
            let limit = Limit { records, bytes, wait: Duration::ZERO };
            let chunks = partition.recent(from, limit).unwrap();
            chunks.iter().map(|chunk| chunk.base).collect::<Vec<_>>()
        };
        assert_eq!(bases(0, 4, 10_000), [0, 2]);
        assert_eq!(bases(1, 4, 10_000), [0, 2, 4]);
        assert_eq!(bases(2, 100, 250), [2, 4]);
        assert_eq!(bases(19, 100, 1), [18]);
        assert!(
            partition.recent(20, Limit { records: 1, bytes: 1, wait: Duration::ZERO }).is_none()
        );
    }
}
