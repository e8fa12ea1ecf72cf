//! The consumer trigger: hands the records of topics to the plugins that ask for them.
//!
//! Each `[[consume]]` table of each live generation is one [`group::Member`]; each partition it
//! is assigned is one [`partition::Loop`], which takes batches from its [`source::Source`] and
//! hands them to the live generation through [`delivery::Lent`]. What happens to messages that
//! fail is decided by the [`retry::Plan`].
//!
//! ```text
//!  Watch ─▶ run ─▶ Member ─▶ Loop ─┬─ Source   reads ahead, commits behind
//!         a table   a group  a     ├─ Lent     lease, call, verdict
//!                        partition └─ Plan     halves, attempts, dead letters
//! ```
//! Promises: messages of a partition are handed over in order, one batch at a time, by one
//! generation at a time; nothing is committed that is not done; a message that cannot be handled
//! ends in the dead-letter topic, and nothing else makes the partition stand still for good.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    backends::log::{self, Log, Partition},
    plugins::{Live, Watch},
};

mod commits;
mod dead_letter;
mod delivery;
mod group;
mod handler;
mod meters;
mod partition;
pub mod replay;
mod retry;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod topics;
mod traced;

use delivery::Lent;
use group::Member;
pub use table::Tables;
use table::{Bound, Key};

/// Serve the `[[consume]]` tables of whatever is live, until `shutdown` is cancelled. Returns
/// once every batch in flight has ended and is committed, and all groups are left.
///
/// A table whose plugin, group, topics and delivery stay the same over a reload keeps its
/// partitions and their places; the next batch of each goes to the new generation.
pub async fn run(
    log: Arc<dyn Log>,
    mut live: Watch,
    mut replays: mpsc::Receiver<replay::Request>,
    shutdown: CancellationToken,
) {
    let mut members = Members { log, running: HashMap::new(), tasks: JoinSet::new() };
    loop {
        let now = live.borrow_and_update().clone();
        members.follow(&now);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_ended) = members.tasks.join_next() => {}
            Some(request) = replays.recv() => members.replay(request),
            changed = live.changed() => if changed.is_err() { break },
        }
    }
    members.follow(&Live::default());
    while members.tasks.join_next().await.is_some() {}
}

/// The members that run.
struct Members {
    log: Arc<dyn Log>,
    running: HashMap<Key, Running>,
    tasks: JoinSet<()>,
}

struct Running {
    bound: watch::Sender<Bound>,
    /// One at a time.
    replays: mpsc::Sender<replay::Request>,
    stop: CancellationToken,
}

impl Members {
    /// Pass a replay on to the member that reads this topic for this group.
    fn replay(&self, request: replay::Request) {
        let reads = |key: &&Key| key.reads(&request.group, &request.topic);
        let running = self.running.keys().find(reads).and_then(|key| self.running.get(key));
        let Some(running) = running else { return request.nobody() };
        if let Err(TrySendError::Full(request)) = running.replays.try_send(request) {
            let busy = log::Error::GroupBusy(request.group.clone());
            request.answer(Err(busy.into()));
        }
    }

    /// Start what is new, stop what is gone, and let the rest know its generation.
    fn follow(&mut self, live: &Live) {
        let mut wanted = HashMap::new();
        for generation in &live.generations {
            for table in table::tables(generation) {
                let bound = Bound { table: Arc::new(table), generation: generation.clone() };
                wanted.insert(bound.table.key(), bound);
            }
        }
        self.running.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if !stays {
                running.stop.cancel();
            }
            stays
        });
        for (key, bound) in wanted {
            match self.running.entry(key) {
                Entry::Occupied(running) => drop(running.get().bound.send_replace(bound)),
                Entry::Vacant(free) => {
                    let (bound, receiver) = watch::channel(bound);
                    let stop = CancellationToken::new();
                    let table = receiver.borrow().table.clone();
                    let handlers = move |partition: &Partition, stop: &CancellationToken| {
                        Lent::new(receiver.clone(), partition.clone(), stop.clone())
                    };
                    let (replays, asked) = mpsc::channel(1);
                    let (log, stopped) = (self.log.clone(), stop.clone());
                    let member = Member::new(log, table, handlers, asked, stopped);
                    self.tasks.spawn(member.run());
                    free.insert(Running { bound, replays, stop });
                }
            }
        }
    }
}
