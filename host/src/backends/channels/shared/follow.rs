//! Reads one partition of the topic: first what it kept of the time before, then all that comes,
//! for as long as the host runs. How far it is, it knows itself: no group's offset is needed, and
//! after an outage it goes on where it was.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use metrics::{counter, gauge};
use tokio::{sync::oneshot, time::sleep};

use super::{
    super::Hub,
    Shared, arrive,
    entry::{Entry, split},
    seen::Seen,
};
use crate::{
    backends::log::{Batch, Limit, Log, Partition, Result},
    quantity::now_ms,
};

/// What is read at once.
const LIMIT: Limit = Limit { records: 1000, bytes: 1 << 20, wait: Duration::from_secs(5) };
/// How long to wait before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// Reads a partition.
pub struct Follower {
    shared: Arc<Shared>,
    hub: Weak<Hub>,
    log: Arc<dyn Log>,
    place: Partition,
    seen: Seen,
    /// The offset that is read next.
    position: u64,
    is_well: bool,
}

impl Follower {
    /// One for a partition of the topic.
    pub fn new(shared: Arc<Shared>, hub: Weak<Hub>, log: Arc<dyn Log>, partition: u32) -> Self {
        let place = Partition { topic: Arc::clone(&shared.topic), partition };
        Self { shared, hub, log, place, seen: Seen::default(), position: 0, is_well: true }
    }

    /// Read until the hub is gone. `caught_up` is told once all is read that was there when it
    /// began.
    pub async fn run(mut self, caught_up: oneshot::Sender<()>) {
        let end = loop {
            let begun = self.begin().await;
            match self.note(begun) {
                Some(end) => break end,
                None => sleep(AGAIN).await,
            }
        };
        let mut caught_up = Some(caught_up);
        loop {
            if self.position >= end
                && let Some(caught_up) = caught_up.take()
            {
                // Whoever waits may have gone with the host.
                let _ = caught_up.send(());
            }
            let read = self.log.read(self.place.clone(), self.position, LIMIT).await;
            let Some(batch) = self.note(read) else {
                sleep(AGAIN).await;
                continue;
            };
            let Some(hub) = self.hub.upgrade() else { return };
            match batch.is_empty() {
                true => self.look_back().await,
                false => self.take(&hub, &batch).await,
            }
        }
    }

    /// Begin again where the topic is not the one that was read: it ends before this place.
    async fn look_back(&mut self) {
        match self.log.range(self.place.clone()).await {
            Ok(range) if range.end < self.position => {
                self.miss(range.start);
                self.position = range.start;
            }
            // The next read tells of trouble.
            _ => {}
        }
    }

    /// Find out where to begin; the offset at which everything up to now is read.
    async fn begin(&mut self) -> Result<u64> {
        let range = self.log.range(self.place.clone()).await?;
        let since = now_ms().saturating_sub(self.shared.settings.history.0);
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let first = self.log.first_at(self.place.clone(), since).await?;
        let first = first.clamp(range.start, range.end);
        self.position = first.max(self.affordable(first, range.end).await?);
        Ok(range.end)
    }

    /// The first offset from which on there are about as many bytes as may be read, taking those
    /// at `first` for an example of all.
    async fn affordable(&self, first: u64, end: u64) -> Result<u64> {
        if first >= end {
            return Ok(end);
        }
        let most = self.shared.settings.history_bytes.0 / u64::from(self.shared.partitions);
        let example = self.log.read(self.place.clone(), first, LIMIT).await?;
        let bytes = (example.size() as u64 / u64::from(example.count.max(1))).max(1);
        Ok(end.saturating_sub(most / bytes))
    }

    /// Let happen what a batch says.
    async fn take(&mut self, hub: &Hub, batch: &Batch) {
        for record in batch.records() {
            if record.offset != self.position {
                self.miss(record.offset);
            }
            self.position = record.offset + 1;
            let Some((head, body)) = record.tail.value().and_then(split) else { continue };
            if !self.seen.take(head) {
                counter!("trellis_channel_topic_doubles_total").increment(1);
                continue;
            }
            match Entry::decode(body) {
                Some(entry) => {
                    let (partition, offset) = (self.place.partition, record.offset);
                    arrive::arrive(hub, &self.shared, partition, offset, head.node, entry).await;
                }
                None => tracing::debug!(offset = record.offset, "an entry of another version"),
            }
        }
        self.position = self.position.max(batch.next);
        self.shared.reached(self.place.partition, self.position);
        let labels = [("partition", self.place.partition.to_string())];
        gauge!("trellis_channel_topic_lag_records", &labels).set(batch.behind as f64);
        counter!("trellis_channel_topic_entries_total").increment(u64::from(batch.count));
    }

    /// The offset that comes is not the one that was expected.
    fn miss(&mut self, offset: u64) {
        self.seen.forget();
        let (topic, partition) = (&self.place.topic, self.place.partition);
        let missed = offset.saturating_sub(self.position);
        tracing::warn!(%topic, partition, missed, "what was in the topic of shared channels was deleted before it was read");
    }

    /// One line when trouble begins, and one when it is over.
    fn note<T>(&mut self, outcome: Result<T>) -> Option<T> {
        let (topic, partition) = (&self.place.topic, self.place.partition);
        match (outcome, self.is_well) {
            (Ok(value), true) => Some(value),
            (Ok(value), false) => {
                tracing::info!(%topic, partition, "shared channels go on: their topic is read again");
                self.is_well = true;
                Some(value)
            }
            (Err(error), true) => {
                tracing::warn!(%topic, partition, %error, "shared channels wait: their topic is not read");
                self.is_well = false;
                None
            }
            (Err(_), false) => None,
        }
    }
}
