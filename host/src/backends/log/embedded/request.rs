//! What the writer is asked, and how it answers.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    super::{Held, Position, Result, TopicSettings},
    claim::Claim,
    partition::Partition,
    topics::Item,
};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T>>;

/// Something to make durable. Each is answered once it is.
pub enum Request {
    /// Answer what is in the queue and end.
    Close,
    /// Write records.
    Produce {
        /// The records.
        items: Vec<Item>,
        /// Where each landed, in order.
        reply: Reply<Vec<Position>>,
        /// Given back with the answer.
        held: Held,
    },
    /// Commit an offset and write the records that come of it.
    Commit {
        /// Who commits, of which partition.
        claim: Claim,
        /// The offset.
        offset: u64,
        /// The records.
        outputs: Vec<Item>,
        /// Done.
        reply: Reply<()>,
    },
    /// Take a partition over from whoever had it: earlier claims can commit no more.
    Claim {
        /// Who takes which partition.
        claim: Claim,
        /// Where to start without a committed offset.
        start: u64,
        /// Whether to commit that start, so that it does not move with the partition's end.
        keep: bool,
        /// The offset to read from.
        reply: Reply<u64>,
    },
    /// Tell how far a group is, after a write that may have failed.
    Committed {
        /// Who asks, of which partition.
        claim: Claim,
        /// The offset, if there is one.
        reply: Reply<Option<u64>>,
    },
    /// Move a group that nobody reads.
    Move {
        /// The group.
        group: Arc<str>,
        /// Partition ids with their new offsets.
        offsets: Vec<(u32, u64)>,
        /// Done.
        reply: Reply<()>,
    },
    /// Create a topic with valid settings.
    Create {
        /// Its name.
        name: Arc<str>,
        /// What it is created with.
        settings: TopicSettings,
        /// Done.
        reply: Reply<()>,
    },
    /// Delete chunks.
    Trim {
        /// The partition.
        partition: Arc<Partition>,
        /// The base offsets of the chunks.
        bases: Vec<u64>,
        /// The first offset that stays.
        start: u64,
        /// Done.
        reply: Reply<()>,
    },
}

impl Request {
    /// Bytes of its records.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Produce { items, .. } | Self::Commit { outputs: items, .. } => {
                items.iter().map(|item| item.tail.len()).sum()
            }
            _ => 0,
        }
    }
}

/// An answer that waits for the write.
pub enum Answer {
    /// To [`Request::Produce`].
    Produced(Reply<Vec<Position>>, Vec<Position>, Held),
    /// To [`Request::Claim`].
    Claimed(Reply<u64>, u64),
    /// To all others.
    Done(Reply<()>),
}

impl Answer {
    /// Answer. Whoever asked may be gone: then nobody waits for it.
    pub fn send(self, outcome: &Result<()>) {
        match self {
            Self::Produced(reply, positions, held) => {
                drop(held);
                drop(reply.send(outcome.clone().map(|()| positions)));
            }
            Self::Claimed(reply, offset) => drop(reply.send(outcome.clone().map(|()| offset))),
            Self::Done(reply) => drop(reply.send(outcome.clone())),
        }
    }
}
