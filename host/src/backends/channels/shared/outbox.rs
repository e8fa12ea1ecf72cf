//! What waits for the topic, and how it gets there: in order, once, and however long it takes.
//!
//! ```text
//! push ─▶ waiting ─▶ a batch, one at a time ─▶ produce ─▶ written: the next batch
//!                         ▲                       │
//!                         └── from the first that failed in each partition, under the same numbers
//! ```
//! While one batch is on its way the next one gathers, so that many publishes share a request and
//! one alone waits for nobody. A write that failed may have happened all the same: whoever reads
//! takes only the number that comes next, so nothing comes twice, and nothing before what is
//! missing. Each partition is written by itself: one without a leader holds up no other, nor what
//! tells the other nodes that this one is there.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use metrics::counter;
use tokio::{sync::Notify, time::sleep};

use super::entry::{Head, record};
use crate::backends::log::{Error, Log, Outgoing, Position};

/// The most bytes and entries of a batch; one entry comes always.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 10_000;
/// What an entry takes besides its bytes.
const OVERHEAD: usize = 128;
/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// So much waits that nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topic of the channels takes nothing for now; try again later")]
pub struct Full;

/// What waits for the topic.
pub struct Outbox {
    node: u32,
    topic: Arc<str>,
    /// Whoever can wait does so while more than this waits, in bytes.
    most: usize,
    /// Bytes of what waits and of what is on its way, to all partitions.
    bytes: AtomicUsize,
    lanes: Box<[Lane]>,
    /// Something was written.
    written: Notify,
}

/// What waits for one partition.
#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    /// Something waits, or nothing more will.
    news: Notify,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Bytes of what waits, and of what is on its way.
    bytes: usize,
    closed: bool,
}

/// An entry without its head.
struct Waiting {
    key: Box<[u8]>,
    body: Vec<u8>,
}

impl Waiting {
    fn size(&self) -> usize {
        self.key.len() + self.body.len() + OVERHEAD
    }
}

impl Outbox {
    /// Nothing waits yet of a node. Of `most` bytes one partition takes half.
    pub fn new(node: u32, topic: Arc<str>, partitions: u32, most: usize) -> Self {
        let lanes = (0..partitions).map(|_| Lane::default()).collect();
        Self { node, topic, most, bytes: AtomicUsize::new(0), lanes, written: Notify::new() }
    }

    /// Have something written to a partition, behind all before it. It is refused only where far
    /// more waits than may.
    ///
    /// # Panics
    ///
    /// Where the topic has no such partition.
    pub fn push(&self, partition: u32, key: &[u8], body: Vec<u8>) -> Result<(), Full> {
        let entry = Waiting { key: key.into(), body };
        let lane = &self.lanes[partition as usize];
        let mut queue = lane.lock();
        // Twice: of those who waited for room together, each finds some.
        let full = queue.bytes > self.most || self.bytes() > self.most.saturating_mul(2);
        if queue.closed || full {
            return Err(Full);
        }
        queue.bytes += entry.size();
        self.bytes.fetch_add(entry.size(), Ordering::SeqCst);
        queue.waiting.push_back(entry);
        drop(queue);
        lane.news.notify_one();
        Ok(())
    }

    /// Bytes of what waits, and of what is on its way.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Wait until there is room for one more in a partition.
    ///
    /// # Panics
    ///
    /// Where the topic has no such partition.
    pub async fn has_room(&self, partition: u32) {
        let lane = &self.lanes[partition as usize];
        self.until(|| self.bytes() < self.most && lane.lock().bytes < self.most / 2).await;
    }

    /// Take nothing more, and wait until all is written.
    pub async fn close(&self) {
        for lane in &self.lanes {
            lane.lock().closed = true;
            lane.news.notify_one();
        }
        self.until(|| self.bytes() == 0).await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let written = self.written.notified();
            if done() {
                return;
            }
            written.await;
        }
    }

    /// Write what comes until it is closed.
    pub async fn run(&self, log: &dyn Log) {
        join_all((0..).zip(&self.lanes).map(|(partition, lane)| self.write(log, partition, lane)))
            .await;
    }

    async fn write(&self, log: &dyn Log, partition: u32, lane: &Lane) {
        let mut pen = Pen { node: self.node, partition, next: 0, is_well: true };
        while let Some(mut batch) = lane.next().await {
            let size: usize = batch.iter().map(Waiting::size).sum();
            while !batch.is_empty() {
                let records = pen.records(&self.topic, &batch);
                batch = pen.rest(batch, log.produce(records).await);
                if !batch.is_empty() {
                    sleep(AGAIN).await;
                }
            }
            lane.lock().bytes -= size;
            self.bytes.fetch_sub(size, Ordering::SeqCst);
            self.written.notify_waiters();
        }
    }
}

impl Lane {
    async fn next(&self) -> Option<Vec<Waiting>> {
        loop {
            let news = self.news.notified();
            let batch = self.take();
            if !batch.is_empty() {
                return Some(batch);
            }
            if self.lock().closed {
                return None;
            }
            news.await;
        }
    }

    fn take(&self) -> Vec<Waiting> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut queue = self.lock();
        while bytes < BATCH_BYTES && batch.len() < BATCH_ENTRIES {
            let Some(entry) = queue.waiting.pop_front() else { break };
            bytes += entry.size();
            batch.push(entry);
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the entries of a partition their numbers.
struct Pen {
    node: u32,
    partition: u32,
    /// The number of the first entry that is not known to be written.
    next: u64,
    is_well: bool,
}

impl Pen {
    /// Entries as they are tried next.
    fn records(&self, topic: &Arc<str>, batch: &[Waiting]) -> Vec<Outgoing> {
        let records = (self.next..).zip(batch).map(|(number, entry)| {
            let value = record(Head { node: self.node, number }, &entry.body);
            let record = Outgoing::new(Arc::clone(topic), Some(&entry.key), Some(&value), &[]);
            Outgoing { partition: Some(self.partition), ..record }
        });
        records.collect()
    }

    /// What has to be tried again, in order: from the first that failed on.
    fn rest(&mut self, batch: Vec<Waiting>, answers: Vec<Result<Position, Error>>) -> Vec<Waiting> {
        let mut answers = answers.into_iter();
        let (mut rest, mut failed, mut trouble) = (Vec::new(), false, None);
        for entry in batch {
            let lost = || Error::Unavailable("the log gave no answer".into());
            match answers.next().unwrap_or_else(|| Err(lost())) {
                Ok(_) if !failed => self.next += 1,
                // It will be written under another number.
                Ok(_) => rest.push(entry),
                Err(error) if is_final(&error) => {
                    failed = true;
                    counter!("trellis_channel_topic_failures_total").increment(1);
                    tracing::error!(%error, "what was for a channel that hosts share is lost: the topic does not take it");
                }
                Err(error) => {
                    failed = true;
                    trouble = Some(error);
                    rest.push(entry);
                }
            }
        }
        self.tell(trouble);
        rest
    }

    /// One line when trouble begins, and one when it is over.
    fn tell(&mut self, trouble: Option<Error>) {
        if trouble.is_some() {
            counter!("trellis_channel_topic_failures_total").increment(1);
        }
        let partition = self.partition;
        match (trouble, self.is_well) {
            (Some(error), true) => {
                tracing::warn!(partition, %error, "channels that hosts share wait: a partition of their topic is not written");
                self.is_well = false;
            }
            (None, false) => {
                tracing::info!(
                    partition,
                    "channels that hosts share go on: their partition is written again"
                );
                self.is_well = true;
            }
            _ => {}
        }
    }
}

/// Whether the same entry will never be written.
fn is_final(error: &Error) -> bool {
    matches!(error, Error::TooLarge { .. } | Error::InvalidRecord(_))
}
