//! The log without a server: topics in a directory of this machine, kept by fjall.
//!
//! Callers come in through [`Embedded`]; records go to disk through the one [`writer`] thread and
//! come back through [`shared`], from memory when they are recent. [`groups`] decides who reads
//! what.
//!
//! ```text
//! produce ─▶ topics ─▶ writer ─▶ store (disk)
//!            (where)     │         │ spawn_blocking
//!                        ▼         ▼
//!                     partition ─▶ shared::read ─▶ batch
//!                     (recent chunks, end)
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::{
    runtime::Handle,
    sync::{mpsc, mpsc::error::TrySendError, oneshot},
    task::AbortHandle,
};

use super::{
    Batch, Error, Held, Lag, Landed, Landing, Limit, Log, Member, Outgoing, Partition, Position,
    Range, Result, Settings, Start, Subscription, Topic, TopicSettings, topic,
};
use crate::world::World;

mod assign;
mod chunk;
mod claim;
mod groups;
mod lane;
mod load;
mod member;
mod partition;
mod request;
mod retention;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod topics;
mod torn;
mod writer;

use member::EmbeddedMember;
use request::Request;
use shared::Shared;
use writer::Writer;

/// The embedded log. [`Log::close`] it, or drop it, which blocks until everything that was
/// handed in is written.
pub struct Embedded {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    retention: AbortHandle,
}

impl Embedded {
    /// Open the log in `directory`, created when it is not there; one process at a time. What was
    /// acknowledged before a crash is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the directory cannot be used or another process uses it.
    pub async fn open(settings: Settings, directory: &Path) -> Result<Self> {
        Self::open_in(World::default(), settings, directory).await
    }

    /// The same in another world, whose clock stamps the records.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_in(world: World, settings: Settings, directory: &Path) -> Result<Self> {
        let (directory, runtime) = (directory.to_owned(), Handle::current());
        let open = move || Self::open_blocking(world, settings, directory, runtime);
        let opened = tokio::task::spawn_blocking(open);
        opened.await.map_err(|error| Error::Unavailable(format!("opening failed: {error}")))?
    }

    fn open_blocking(
        world: World,
        settings: Settings,
        directory: PathBuf,
        runtime: Handle,
    ) -> Result<Self> {
        let store = store::Store::open(&directory)?;
        let loaded = load::load(&store, &topics::Topics::default())?;
        let deadline = settings.revoke_deadline.into();
        let groups = |topics| groups::Groups::new(topics, deadline, runtime.clone());
        let (queue, requests) = mpsc::channel(writer::QUEUE);
        let shared = Shared::new(world, loaded.topics, groups, queue, store, loaded.committed);
        let shared = Arc::new(shared);
        let tail = partition::TailBudget::new(settings.tail_bytes.as_usize());
        let writer = Writer::new(Arc::clone(&shared), directory, loaded.lanes, tail);
        let thread =
            thread::Builder::new().name("log-writer".into()).spawn(move || writer.run(requests));
        let thread = thread
            .map_err(|error| Error::Unavailable(format!("no thread for the writer: {error}")))?;
        let retention = retention::run(Arc::clone(&shared), settings.retention_check.into());
        let retention = runtime.spawn(retention).abort_handle();
        Ok(Self { shared, writer: Mutex::new(Some(thread)), retention })
    }

    /// Delete the records that need not be kept now, instead of at the next check.
    pub async fn delete_old(&self) -> Result<()> {
        retention::check(&self.shared).await
    }

    async fn take_over(&self, records: Vec<Outgoing>, held: Held) -> Landing {
        let mut items = Vec::with_capacity(records.len());
        let mut answers = Vec::with_capacity(records.len());
        for item in self.shared.topics.load().resolve(records) {
            // Accepted records are answered below.
            answers.push(item.map(|item| items.push(item)));
        }
        if items.is_empty() {
            return ready(landed(answers, Ok(Vec::new()))).boxed();
        }
        let handed = self.shared.hand_over(|reply| Request::Produce { items, reply, held }).await;
        async move {
            let written = match handed {
                Ok(reply) => reply.await.unwrap_or_else(|_| Err(shared::closed())),
                Err(error) => Err(error),
            };
            landed(answers, written)
        }
        .boxed()
    }

    async fn move_group(&self, group: &str, topic: &str, to: Start) -> Result<()> {
        let topic = Arc::clone(self.shared.topics.load().get(topic)?);
        let mut offsets = Vec::new();
        for partition in &topic.partitions {
            offsets.push((partition.id, self.shared.place(partition, to).await?));
        }
        let room = self.shared.queue.reserve().await.map_err(|_| shared::closed())?;
        let (reply, answer) = oneshot::channel();
        // Under the lock of the groups: whoever joins later asks the writer later, too.
        self.shared.groups.while_idle(group, &topic.name, || {
            room.send(Request::Move { group: group.into(), offsets, reply })
        })?;
        answer.await.map_err(|_| shared::closed())?
    }

    fn lags(&self) -> Vec<Lag> {
        let held = self.shared.groups.held();
        let mut places: BTreeMap<_, _> = held.into_iter().map(|key| (key, None)).collect();
        places.extend(
            self.shared.committed().iter().map(|(key, offset)| (key.clone(), Some(*offset))),
        );
        let topics = self.shared.topics.load();
        let partitions: HashMap<u32, _> = topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| (partition.id, partition))
            .collect();
        let mut lags: Vec<_> = places
            .into_iter()
            .filter_map(|((group, id), committed)| Some(partitions.get(&id)?.lag(group, committed)))
            .collect();
        lags.sort_by(|a, b| {
            (&a.group, &a.topic, a.partition).cmp(&(&b.group, &b.topic, b.partition))
        });
        lags
    }
}

/// What became of records of which those that were accepted were written.
fn landed(answers: Vec<Result<()>>, written: Result<Vec<Position>>) -> Landed {
    let mut positions = match written {
        Ok(positions) => positions.into_iter(),
        Err(error) => {
            return answers.into_iter().map(|answer| answer.and(Err(error.clone()))).collect();
        }
    };
    let lost = || Error::Unavailable("the writer gave no answer".into());
    let answers = answers.into_iter();
    answers.map(|answer| answer.and_then(|()| positions.next().ok_or_else(lost))).collect()
}

/// Have everything that was handed in written, sync and close the files. Blocks.
fn shut(shared: &Shared, writer: JoinHandle<()>) {
    // The queue is full for a moment at most: the writer empties it on a thread of its own.
    while let Err(TrySendError::Full(_)) = shared.queue.try_send(Request::Close) {
        thread::sleep(Duration::from_millis(1));
    }
    if writer.join().is_err() {
        tracing::error!("the writer of the log panicked");
    }
    shared.store.store(None);
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.retention.abort();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            shut(&self.shared, writer);
        }
    }
}

impl Log for Embedded {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<Topic>>> {
        let topics = self.shared.topics.load().iter().map(|topic| topic.describe()).collect();
        async move { Ok(topics) }.boxed()
    }

    fn create(&self, topic: &str, settings: TopicSettings) -> BoxFuture<'_, Result<()>> {
        let (name, checked) = (Arc::from(topic), topic::check(topic, &settings));
        async move {
            checked?;
            self.shared.ask(|reply| Request::Create { name, settings, reply }).await
        }
        .boxed()
    }

    fn hand_over(&self, records: Vec<Outgoing>, held: Held) -> BoxFuture<'_, Landing> {
        self.take_over(records, held).boxed()
    }

    fn read(&self, partition: Partition, from: u64, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        async move {
            let topics = self.shared.topics.load_full();
            let found = topics.partition(&partition.topic, partition.partition)?;
            self.shared.read(found, from, limit).await
        }
        .boxed()
    }

    fn range(&self, partition: Partition) -> BoxFuture<'_, Result<Range>> {
        let topics = self.shared.topics.load();
        let range =
            topics.partition(&partition.topic, partition.partition).map(|found| found.range());
        async move { range }.boxed()
    }

    fn first_at(&self, partition: Partition, time_ms: i64) -> BoxFuture<'_, Result<u64>> {
        async move {
            let topics = self.shared.topics.load_full();
            let found = topics.partition(&partition.topic, partition.partition)?;
            self.shared.place(found, Start::Time(time_ms)).await
        }
        .boxed()
    }

    fn join(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Member>>> {
        async move {
            let member = EmbeddedMember::join(Arc::clone(&self.shared), subscription)?;
            Ok(Box::new(member) as Box<dyn Member>)
        }
        .boxed()
    }

    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>>> {
        let lags = self.lags();
        async move { Ok(lags) }.boxed()
    }

    fn replay(&self, group: &str, topic: &str, to: Start) -> BoxFuture<'_, Result<()>> {
        let (group, topic) = (group.to_owned(), topic.to_owned());
        async move { self.move_group(&group, &topic, to).await }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.retention.abort();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let shared = Arc::clone(&self.shared);
        async move {
            let Some(writer) = writer else { return };
            if let Err(error) = tokio::task::spawn_blocking(move || shut(&shared, writer)).await {
                tracing::error!(%error, "the log did not close cleanly");
            }
        }
        .boxed()
    }
}
