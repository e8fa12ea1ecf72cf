//! Topics, partitions and groups: the log that carries every event between plugins.
//!
//! The producer capability and the consumer trigger enter here, and `trellis topics`. Records
//! travel in the packed layout of `trellis:kafka` (see [`record`]), from the guest that wrote
//! them to the guest that reads them, without being taken apart on the way.
//!
//! ```text
//!            committed offset        next to read         end
//!                  │                     │                 │
//!  partition 0  ───●━━━━━ in flight ━━━━━○── not yet read ──▏
//!                  ╰── come again after a crash ──╯
//! ```

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::OwnedSemaphorePermit;

#[cfg(test)]
mod contract;
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod record;
pub mod route;
pub mod settings;
mod topic;

pub use record::{Batch, Outgoing};
pub use settings::{Backend, Settings};
pub use topic::{MAX_NAME, MAX_PARTITIONS, MAX_RECORD_BYTES, Topic, TopicSettings, is_name};

/// Where a record landed. The offset is final and durable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// The partition of the record's topic.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
}

impl Position {
    /// In the place of an offset: the record is durable, but the log no longer tells where.
    pub const UNKNOWN: u64 = u64::MAX;
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: u32,
}

/// Where a group starts in a partition of which it has no committed offset, and where
/// `trellis topics replay` moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At this offset, moved into the range that is kept.
    Offset(u64),
    /// At the first record with this timestamp (ms since 1970) or a later one.
    Time(i64),
}

/// What a member of a group asks for.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The group's name.
    pub group: Arc<str>,
    /// The topics to share. A topic that does not exist yet is taken up once it does.
    pub topics: Vec<Arc<str>>,
    /// Where to start without a committed offset.
    pub start: Start,
}

/// How far a group is in one partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lag {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The next offset the group will get after a restart; `None` before its first commit.
    pub committed: Option<u64>,
    /// One past the newest record.
    pub end: u64,
    /// Records the group has not finished.
    pub lag: u64,
}

/// The records of a partition that are kept: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Range {
    /// The offset of the oldest record.
    pub start: u64,
    /// One past the newest record.
    pub end: u64,
}

/// How much to read at once.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// At most this many records.
    pub records: u32,
    /// At most this many bytes of records; one record comes always, however large.
    pub bytes: u32,
    /// How long to wait for the first record.
    pub wait: Duration,
}

/// Why the log did not do something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The topic does not exist.
    #[error("topic `{0}` does not exist; create it with `trellis topics create {0}`")]
    UnknownTopic(String),
    /// The topic has fewer partitions.
    #[error("topic `{topic}` has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition that was asked for.
        partition: u32,
    },
    /// The topic is there already, with other settings or not.
    #[error("topic `{0}` exists already")]
    TopicExists(String),
    /// The name or the settings are outside what a topic may have.
    #[error("{0}")]
    InvalidTopic(String),
    /// The record is larger than its topic allows.
    #[error("a record of {size} bytes is larger than the {limit} bytes topic `{topic}` allows")]
    TooLarge {
        /// The topic.
        topic: String,
        /// Bytes of the record.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The record is not one that every log can take; another one may be written.
    #[error("{0}")]
    InvalidRecord(String),
    /// The partition belongs to another member now, so nothing was committed.
    #[error("partition {partition} of `{topic}` was given to another member of the group")]
    Fenced {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// Members of the group read the topic; its offsets cannot be moved under them.
    #[error("group `{0}` is being read or moved elsewhere; stop that or wait for it first")]
    GroupBusy(String),
    /// Nothing was written or read; the same call may succeed later. After this answer to a
    /// write the record may still be there: send it again and accept a double, or look.
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// A `Result` of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// What became of the records of one call, in their order.
pub type Landed = Vec<Result<Position>>;

/// Waits until each record of one call is durable or refused. The log has taken them over: that
/// goes on whether this is polled or dropped.
pub type Landing = BoxFuture<'static, Landed>;

/// What records take of a bound that is not the log's; given back when all are durable or refused.
pub type Held = Option<OwnedSemaphorePermit>;

/// A log of topics.
///
/// Promises, which `contract.rs` checks for every implementation:
/// - `produce` answers a position only once the record survives `kill -9` (embedded: data sync;
///   Kafka: acks=all).
/// - Records of one call that go to one partition keep their order, and so do calls that follow
///   one another.
/// - A reader sees offsets in order, each once, and nothing of a transaction that did not commit.
/// - No call blocks the thread it is polled on.
pub trait Log: Send + Sync + 'static {
    /// All topics by name.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<Topic>>>;

    /// Create a topic; [`Error::TopicExists`] when it is there.
    fn create(&self, topic: &str, settings: TopicSettings) -> BoxFuture<'_, Result<()>>;

    /// Hand records over to be written: in each partition they come before all that are handed
    /// over later. Waits until the log can take them; dropped meanwhile, nothing is written.
    fn hand_over(&self, records: Vec<Outgoing>, held: Held) -> BoxFuture<'_, Landing>;

    /// Write records and wait until each is durable or refused: one answer a record, in order.
    /// Dropping the future takes nothing back that was handed over.
    fn produce(&self, records: Vec<Outgoing>) -> BoxFuture<'_, Landed> {
        async move { self.hand_over(records, None).await.await }.boxed()
    }

    /// Read without a group. Waits at most `limit.wait` and then answers an empty batch. An
    /// offset before the oldest record reads from the oldest.
    fn read(&self, partition: Partition, from: u64, limit: Limit) -> BoxFuture<'_, Result<Batch>>;

    /// Which records of a partition are kept.
    fn range(&self, partition: Partition) -> BoxFuture<'_, Result<Range>>;

    /// The offset of the first record of a partition with this timestamp (ms since 1970) or a later
    /// one; the end where there is none.
    fn first_at(&self, partition: Partition, time_ms: i64) -> BoxFuture<'_, Result<u64>>;

    /// Become a member of a group. Leaving is dropping the member.
    fn join(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Member>>>;

    /// Every group's place in every partition it has committed in or is reading.
    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>>>;

    /// Move a group to another place in all partitions of a topic that none of its members reads.
    fn replay(&self, group: &str, topic: &str, to: Start) -> BoxFuture<'_, Result<()>>;

    /// Write what was handed in and leave all groups, as far as that is possible within some
    /// seconds. Later calls answer [`Error::Unavailable`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A member of a group: it is told which partitions it has and reads each on its own.
pub trait Member: Send {
    /// Wait for the next change. Cancel safe.
    fn next(&mut self) -> BoxFuture<'_, Result<Change>>;
}

/// A change of what a member reads.
pub enum Change {
    /// These partitions are this member's now.
    Assigned(Vec<Box<dyn Reader>>),
    /// These partitions go to another member: finish or drop the calls in flight, drop their
    /// readers, then drop `done`, which lets the other member start. After about a minute it
    /// starts anyway, and a late commit is [`Error::Fenced`].
    Revoked {
        /// The partitions to let go.
        partitions: Vec<Partition>,
        /// Dropped when they are let go.
        done: tokio::sync::oneshot::Sender<()>,
    },
}

/// One partition, read by one member of a group.
///
/// The read position runs ahead of the committed offset; a new reader starts at the committed
/// one.
pub trait Reader: Send {
    /// Which partition this is.
    fn partition(&self) -> &Partition;

    /// The next records, at the read position, which moves behind them. Waits at most
    /// `limit.wait` for the first record and then answers an empty batch. Cancel safe: a
    /// dropped call does not move the position.
    fn next(&mut self, limit: Limit) -> BoxFuture<'_, Result<Batch>>;

    /// Move the read position.
    fn seek(&mut self, offset: u64);

    /// Record that everything before `offset` is done. Durable when the future is ready, which
    /// does not borrow the reader: the next batch is read and handled meanwhile. A second commit
    /// waits until the first has ended, so that offsets do not go back.
    fn commit(&mut self, offset: u64) -> BoxFuture<'static, Result<()>>;

    /// Write `outputs` and commit `offset`, both or neither. Durable when the future is ready;
    /// otherwise as [`Reader::commit`]. After [`Error::Unavailable`] it may have happened all the
    /// same: [`Reader::committed`] tells.
    fn commit_with(
        &mut self,
        outputs: Vec<Outgoing>,
        offset: u64,
    ) -> BoxFuture<'static, Result<()>>;

    /// How far apart commits should begin, where they can wait. Zero where one is cheap.
    fn commit_distance(&self) -> Duration {
        Duration::ZERO
    }

    /// What the group has committed here, `None` before its first commit; what an earlier commit
    /// left in doubt is settled first. Not to be asked while a commit is on its way.
    fn committed(&mut self) -> BoxFuture<'static, Result<Option<u64>>>;
}
