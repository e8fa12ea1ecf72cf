//! Where the messages of one partition come out, as packed batches.
//!
//! librdkafka fetches ahead into a queue of each partition, up to the setting, and stops there: a
//! consumer that is slow, or waits, holds its partition back and no other.
//!
//! ```text
//! broker ─▶ queue of the partition ─▶ held (did not fit) ─▶ batch
//!              │ wakes                                        position moves behind it
//!              ▼
//!             news
//! ```

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer, ConsumerContext, base_consumer::PartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    super::{Batch, Error, Limit, Partition, Result},
    clients::blocking,
    packing,
};

/// How long one try to move the place in a partition may take.
const SEEK: Duration = Duration::from_secs(5);
/// Moving is refused for a moment behind an assignment; then it is tried again.
const SEEK_AGAIN: Duration = Duration::from_millis(20);
/// Numbers of the time before a move are still on their way for so long.
const SETTLE: Duration = Duration::from_secs(4);
/// Not known.
const UNKNOWN: u64 = u64::MAX;

/// One partition of a consumer. It is shut when the partition goes to somebody else.
pub struct Tap<C: ConsumerContext> {
    place: Partition,
    flow: Mutex<Option<Flow<C>>>,
    news: Arc<Notify>,
    marks: Marks,
}

struct Flow<C: ConsumerContext> {
    queue: PartitionQueue<C>,
    consumer: Arc<BaseConsumer<C>>,
}

/// What the statistics of a consumer tell of a partition.
struct Marks {
    /// One past the newest record.
    end: AtomicU64,
    /// Everything before it was in the queue when it was noted.
    fetched: AtomicU64,
}

impl<C: ConsumerContext + 'static> Tap<C> {
    /// Take the messages of a partition aside, before the consumer is assigned to it.
    pub fn open(consumer: &Arc<BaseConsumer<C>>, place: Partition) -> Result<Arc<Self>> {
        let queue = consumer.split_partition_queue(&place.topic, place.partition as i32);
        let mut queue = queue.ok_or_else(|| Error::UnknownTopic(place.topic.to_string()))?;
        let news = Arc::new(Notify::new());
        let wake = Arc::clone(&news);
        queue.set_nonempty_callback(move || wake.notify_one());
        let marks = Marks { end: AtomicU64::new(0), fetched: AtomicU64::new(UNKNOWN) };
        let flow = Flow { queue, consumer: Arc::clone(consumer) };
        Ok(Arc::new(Self { place, flow: Mutex::new(Some(flow)), news, marks }))
    }

    /// Which partition it is.
    pub fn place(&self) -> &Partition {
        &self.place
    }

    /// Nothing comes out any more, and nothing may be committed.
    pub fn shut(&self) {
        let flow = self.flow().take();
        drop(flow);
        self.news.notify_one();
    }

    /// The consumer, while the partition is its own.
    ///
    /// # Errors
    /// [`Error::Fenced`] once it is not.
    pub fn consumer(&self) -> Result<Arc<BaseConsumer<C>>> {
        self.flow().as_ref().map(|flow| Arc::clone(&flow.consumer)).ok_or_else(|| self.fenced())
    }

    /// Note what the statistics tell; what is negative is not known.
    pub fn note(&self, end: i64, fetched: i64) {
        if let Ok(end) = u64::try_from(end) {
            self.marks.end.store(end, Ordering::Release);
        }
        if let Ok(fetched) = u64::try_from(fetched) {
            self.marks.fetched.store(fetched, Ordering::Release);
        }
    }

    /// What a reader is told whose partition was given to another.
    pub fn fenced(&self) -> Error {
        Error::Fenced { topic: self.place.topic.to_string(), partition: self.place.partition }
    }

    fn flow(&self) -> MutexGuard<'_, Option<Flow<C>>> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of a tap, from a position on.
pub struct Stream<C: ConsumerContext> {
    tap: Arc<Tap<C>>,
    position: u64,
    /// Messages before this are left out.
    floor: u64,
    held: Option<Held>,
    /// Where to move before the next read.
    seeking: Option<u64>,
    moved: Instant,
    /// Bytes of the larger ones of the last batches.
    usual: usize,
}

/// A message that did not fit into the last batch.
struct Held {
    packed: Vec<u8>,
    next: u64,
}

/// What came of looking into the queue.
struct Look {
    batch: Batch,
    /// Whether the end of the partition was passed.
    ended: bool,
}

impl<C: ConsumerContext + 'static> Stream<C> {
    /// The batches from a position on, at which the consumer was assigned.
    pub fn new(tap: Arc<Tap<C>>, position: u64) -> Self {
        let moved = Instant::now();
        Self { tap, position, floor: 0, held: None, seeking: None, moved, usual: 0 }
    }

    /// Leave out what lies before an offset.
    pub fn from(mut self, floor: u64) -> Self {
        self.floor = floor;
        self
    }

    /// The tap.
    pub fn tap(&self) -> &Arc<Tap<C>> {
        &self.tap
    }

    /// The offset of the next message, or one before it.
    pub fn position(&self) -> u64 {
        self.seeking.unwrap_or(self.position)
    }

    /// Move to another offset.
    pub fn seek(&mut self, offset: u64) {
        (self.held, self.seeking) = (None, Some(offset));
    }

    /// The next messages. Waits at most `limit.wait` for the first; ends earlier only at the end
    /// of the partition, where the consumer is told of it. Cancel safe.
    pub async fn next(&mut self, limit: Limit) -> Result<Batch> {
        let deadline = Instant::now() + limit.wait;
        if let Some(offset) = self.seeking {
            self.move_to(offset, deadline).await?;
        }
        loop {
            let Look { batch, ended } = self.look(limit)?;
            if !batch.is_empty() || ended {
                return Ok(batch);
            }
            tokio::select! {
                biased;
                () = self.tap.news.notified() => {}
                () = sleep_until(deadline) => {
                    return self.look(limit).map(|look| look.batch);
                }
            }
        }
    }

    /// Have the consumer fetch from another offset on.
    async fn move_to(&mut self, offset: u64, deadline: Instant) -> Result<()> {
        let deadline = deadline.max(Instant::now() + SEEK);
        loop {
            let (consumer, place) = (self.tap.consumer()?, self.tap.place.clone());
            let moved = timeout_at(
                deadline,
                blocking(move || {
                    let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                    let moved = consumer.seek(&place.topic, place.partition as i32, offset, SEEK);
                    moved.map_err(|error| Error::Unavailable(error.to_string()))
                }),
            );
            match moved.await {
                Ok(Ok(())) => break,
                Ok(Err(error)) if Instant::now() + SEEK_AGAIN > deadline => return Err(error),
                Ok(Err(_)) => tokio::time::sleep(SEEK_AGAIN).await,
                Err(_) => return Err(Error::Unavailable("the place does not move".into())),
            }
        }
        (self.position, self.seeking, self.moved) = (offset, None, Instant::now());
        self.tap.marks.fetched.store(UNKNOWN, Ordering::Release);
        Ok(())
    }

    /// Take what the queue holds now, within the limits. Does not wait.
    fn look(&mut self, limit: Limit) -> Result<Look> {
        let Partition { topic, partition } = &self.tap.place;
        let flow = self.tap.flow();
        let flow = flow.as_ref().ok_or_else(|| self.tap.fenced())?;
        // Before the queue is emptied: what it held then is out of it afterwards.
        let fetched = self.tap.marks.fetched.load(Ordering::Acquire);
        let (most, bytes) = (limit.records.max(1), limit.bytes as usize);
        let mut packed = Batch::head(topic, *partition, 0);
        let records_at = packed.len();
        // Somewhat more than the last batches had: what is fast or slow now mostly stays so, and one
        // that outgrows its room is copied.
        let room = (self.usual + self.usual / 8).min(bytes);
        let (mut next, mut count, mut ended) = (self.position, 0, false);
        if let Some(held) = self.held.take() {
            packed.reserve(room.max(held.packed.len()));
            packed.extend_from_slice(&held.packed);
            (next, count) = (held.next, 1);
        }
        let mut failed = None;
        loop {
            let message = match flow.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    ended = true;
                    continue;
                }
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
            };
            let offset = packing::offset(&message);
            if offset < self.floor {
                continue;
            }
            let at = packed.len();
            if at == records_at {
                packed.reserve(room);
            }
            packing::put_message(&mut packed, &message);
            if count == most || (count > 0 && packed.len() - records_at > bytes) {
                self.held = Some(Held { packed: packed.split_off(at), next: offset + 1 });
                break;
            }
            (count, next) = (count + 1, offset + 1);
        }
        if let (0, Some(error)) = (count, failed) {
            return Err(unreadable(&self.tap.place, &error));
        }
        if count > 0 {
            self.usual = (packed.len() - records_at).max(self.usual - self.usual / 8);
        }
        let mut batch = Batch::sealed(packed, records_at, count, next);
        let waiting = u64::from(self.held.is_some());
        let end = self.tap.marks.end.load(Ordering::Acquire);
        batch.set_behind(end.saturating_sub(next).max(waiting));
        batch.cut = self.held.is_some();
        if self.held.is_none() && fetched != UNKNOWN && self.moved.elapsed() > SETTLE {
            // The ends of transactions take offsets, too, and there is nothing to read in them.
            batch.next = next.max(fetched);
        }
        self.position = batch.next;
        Ok(Look { batch, ended })
    }
}

fn unreadable(place: &Partition, error: &KafkaError) -> Error {
    let Partition { topic, partition } = place;
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            Error::UnknownTopic(topic.to_string())
        }
        Some(code) => Error::Unavailable(format!("`{topic}`/{partition} is not read: {code}")),
        None => Error::Unavailable(format!("`{topic}`/{partition} is not read")),
    }
}
