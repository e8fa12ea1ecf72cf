//! One member of a group: what it is assigned runs, what is revoked stops between two batches.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    handler::Handler,
    partition::{End, Loop},
    replay,
    retry::Backoff,
    table::Table,
};
use crate::backends::log::{self, Change, Log, Partition, Reader, Start};

/// The member that serves one `[[consume]]` table; `handlers` makes the handler of a partition
/// that was assigned.
pub struct Member<F> {
    log: Arc<dyn Log>,
    table: Arc<Table>,
    handlers: F,
    replays: mpsc::Receiver<replay::Request>,
    stop: CancellationToken,
    running: HashMap<Partition, CancellationToken>,
    tasks: JoinSet<(Partition, End)>,
}

/// A member whose partitions no longer run as the log believes; it joins afresh.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("a partition ended by itself: {0}")]
    Partition(#[from] tokio::task::JoinError),
}

/// Why a member has left its group.
enum Left {
    /// It was told to stop.
    Stopped,
    /// The group is to be moved, which takes that nobody reads.
    Replay(replay::Request),
}

impl<F, H> Member<F>
where
    F: Fn(&Partition, &CancellationToken) -> H + Send,
    H: Handler,
{
    /// A member that has not joined yet.
    pub fn new(
        log: Arc<dyn Log>,
        table: Arc<Table>,
        handlers: F,
        replays: mpsc::Receiver<replay::Request>,
        stop: CancellationToken,
    ) -> Self {
        let (running, tasks) = (HashMap::new(), JoinSet::new());
        Self { log, table, handlers, replays, stop, running, tasks }
    }

    /// Join, and read what is assigned until it is stopped. Returns once every partition has
    /// ended and the group is left.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let outcome = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                outcome = self.log.join(self.table.subscription()) => outcome,
            };
            let lost = match outcome {
                Ok(member) => {
                    if let Some(waited) = backoff.reset() {
                        let Table { plugin, group, .. } = &*self.table;
                        tracing::info!(%plugin, %group, ?waited, "a member of the group again");
                    }
                    let served = self.serve(member).await;
                    self.stop_all().await;
                    served
                }
                Err(error) => Err(error.into()),
            };
            let lost = match lost {
                Ok(Left::Stopped) => return,
                Ok(Left::Replay(request)) => {
                    self.replay(request).await;
                    continue;
                }
                Err(lost) => lost,
            };
            if backoff.is_fresh() {
                let Table { plugin, group, .. } = &*self.table;
                tracing::warn!(%plugin, %group, error = %lost, "not a member of the group; joining again");
            }
            let pause = backoff.pause();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Follow what the log assigns. The member is kept until its partitions have ended, so that
    /// nobody else has them before.
    async fn serve(&mut self, mut member: Box<dyn log::Member>) -> Result<Left, Lost> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.stop_all().await;
                    return Ok(Left::Stopped);
                }
                Some(request) = self.replays.recv() => {
                    self.stop_all().await;
                    return Ok(Left::Replay(request));
                }
                Some(ended) = self.tasks.join_next() => {
                    self.running.remove(&ended?.0);
                }
                change = member.next() => match change? {
                    Change::Assigned(readers) => {
                        readers.into_iter().for_each(|reader| self.start(reader));
                    }
                    Change::Revoked { partitions, done } => {
                        self.let_go(partitions).await?;
                        drop(done);
                    }
                },
            }
        }
    }

    /// Move the group, which this member has left.
    async fn replay(&self, request: replay::Request) {
        let Table { plugin, group, .. } = &*self.table;
        let outcome = self.move_group(&request.topic, request.to).await;
        match &outcome {
            Ok(()) => {
                tracing::info!(%plugin, %group, topic = request.topic, to = ?request.to, "moved");
            }
            Err(error) => {
                tracing::warn!(%plugin, %group, topic = request.topic, %error, "not moved");
            }
        }
        request.answer(outcome);
    }

    /// Where the log has gone to, the plugin's database follows, if it is the one to know.
    async fn move_group(&self, topic: &str, to: Start) -> Result<(), replay::Error> {
        let group = &self.table.group;
        self.log.replay(group, topic, to).await?;
        for place in self.log.lag().await? {
            let Some(next) = place.committed else { continue };
            if place.group == *group && *place.topic == *topic {
                let partition = Partition { topic: place.topic, partition: place.partition };
                (self.handlers)(&partition, &self.stop).put(next).await?;
            }
        }
        Ok(())
    }

    fn start(&mut self, reader: Box<dyn Reader>) {
        let partition = reader.partition().clone();
        let stop = self.stop.child_token();
        let handler = (self.handlers)(&partition, &stop);
        let work = Loop::new(self.log.clone(), reader, handler, stop.clone());
        self.running.insert(partition.clone(), stop);
        self.tasks.spawn(async move { (partition, work.run().await) });
    }

    /// Stop partitions and wait until their readers are dropped.
    async fn let_go(&mut self, partitions: Vec<Partition>) -> Result<(), Lost> {
        let mut left: HashSet<Partition> =
            partitions.into_iter().filter(|one| self.running.contains_key(one)).collect();
        for partition in &left {
            if let Some(stop) = self.running.get(partition) {
                stop.cancel();
            }
        }
        while !left.is_empty() {
            let Some(ended) = self.tasks.join_next().await else { break };
            let (partition, _) = ended?;
            self.running.remove(&partition);
            left.remove(&partition);
        }
        Ok(())
    }

    async fn stop_all(&mut self) {
        for (_, stop) in self.running.drain() {
            stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
