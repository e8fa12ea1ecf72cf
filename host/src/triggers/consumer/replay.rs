//! Moves a group to another place in a topic while its plugin is live.
//!
//! ```text
//!  Replays ─▶ run: finds the member ─▶ Member: lets its partitions go ─ leaves the group
//!                                              ─ moves the log's offsets, and those in the
//!                                                plugin's database ─ joins again
//! ```
//! Under `exactly-once-sql` the database of the plugin knows the group's place and the log only
//! follows it, so a group can be moved only through the plugin that reads for it.

use tokio::sync::{mpsc, oneshot};

use super::handler::Fault;
use crate::backends::log::{self, Start};

/// Replays that wait for their turn.
const QUEUE: usize = 16;

/// Why a group was not moved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No live plugin has such a `[[consume]]` table.
    #[error(
        "no live plugin reads topic `{topic}` in group `{group}`; the plugin that does must be live while its group is moved"
    )]
    Nobody {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    },
    /// The log refused it.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The log's offsets were moved, those in the plugin's database perhaps not.
    #[error("the plugin's database does not follow: {0}; move the group again")]
    Database(String),
    /// The plugin or the host ends.
    #[error("the group's plugin is being stopped; move the group again once it is live")]
    Stopped,
}

/// Where replays are asked for. Clones share it.
#[derive(Clone, Debug)]
pub struct Replays {
    requests: mpsc::Sender<Request>,
}

/// What one asks for.
#[derive(Debug)]
pub struct Request {
    /// The group.
    pub(super) group: String,
    /// The topic, in all partitions of which it is moved.
    pub(super) topic: String,
    /// Where to.
    pub(super) to: Start,
    /// How it went.
    pub(super) answer: oneshot::Sender<Result<(), Error>>,
}

/// Where replays are asked for, and where [`super::run`] hears of them.
pub fn channel() -> (Replays, mpsc::Receiver<Request>) {
    let (requests, heard) = mpsc::channel(QUEUE);
    (Replays { requests }, heard)
}

impl Replays {
    /// Move a group in all partitions of a topic. Calls in flight end first; the next batch comes
    /// from the new place. Dropping the future does not take the replay back.
    pub async fn replay(&self, group: &str, topic: &str, to: Start) -> Result<(), Error> {
        let (answer, outcome) = oneshot::channel();
        let request = Request { group: group.to_owned(), topic: topic.to_owned(), to, answer };
        self.requests.send(request).await.map_err(|_| Error::Stopped)?;
        outcome.await.map_err(|_| Error::Stopped)?
    }
}

impl Request {
    /// Tell how it went; whoever asked may have gone.
    pub(super) fn answer(self, outcome: Result<(), Error>) {
        let _ = self.answer.send(outcome);
    }

    /// Answer that no live plugin reads this.
    pub(super) fn nobody(self) {
        let (group, topic) = (self.group.clone(), self.topic.clone());
        self.answer(Err(Error::Nobody { group, topic }));
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Stopped => Self::Stopped,
            fault => Self::Database(fault.to_string()),
        }
    }
}
