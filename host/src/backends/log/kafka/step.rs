//! What the group waits for at a member: one thing at a time, as librdkafka asks for it.

use std::{future::pending, time::Instant};

use rdkafka::TopicPartitionList;
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle},
    time::sleep_until,
};

use super::{
    super::{Error, Result},
    taking::Placement,
};

/// What the group waits for.
pub enum Step {
    /// Nothing.
    Idle,
    /// Partitions are taken over.
    Placing {
        /// Which.
        list: TopicPartitionList,
        /// Takes them.
        job: JoinHandle<Result<Vec<Placement>>>,
    },
    /// They are not taken over: that failed, or the member leaves. Leaving is the answer.
    Unanswered {
        /// Which.
        list: TopicPartitionList,
    },
    /// The member was told to let partitions go.
    LettingGo {
        /// Which.
        list: TopicPartitionList,
        /// Ends when it has.
        done: oneshot::Receiver<()>,
        /// They are gone then, whoever still reads them.
        deadline: Instant,
    },
    /// The consumer gives them up.
    Unassigning(JoinHandle<Result<()>>),
}

/// What a step has come to.
pub enum Stepped {
    /// Partitions were taken over, or not.
    Placed(Result<Vec<Placement>>),
    /// The member has let partitions go, or was late.
    LetGo {
        /// Whether it was late.
        late: bool,
    },
    /// The consumer has given them up.
    Unassigned(Result<()>),
}

impl Step {
    /// Wait for what the group waits for; for ever, if that is nothing. Cancel safe.
    pub async fn ended(&mut self) -> Stepped {
        match self {
            Self::Idle | Self::Unanswered { .. } => pending().await,
            Self::Placing { job, .. } => {
                Stepped::Placed(job.await.unwrap_or_else(|error| Err(died(&error))))
            }
            Self::LettingGo { done, deadline, .. } => tokio::select! {
                _ = done => Stepped::LetGo { late: false },
                () = sleep_until((*deadline).into()) => Stepped::LetGo { late: true },
            },
            Self::Unassigning(job) => {
                Stepped::Unassigned(job.await.unwrap_or_else(|error| Err(died(&error))))
            }
        }
    }

    /// The partitions of which librdkafka has not heard yet that they were taken or let go.
    pub fn unanswered(self) -> Option<TopicPartitionList> {
        match self {
            Self::Placing { list, .. }
            | Self::Unanswered { list }
            | Self::LettingGo { list, .. } => Some(list),
            Self::Unassigning(_) | Self::Idle => None,
        }
    }
}

fn died(error: &JoinError) -> Error {
    Error::Unavailable(format!("a task ended: {error}"))
}
