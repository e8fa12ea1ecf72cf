//! A member of a group and the partitions it reads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, FutureExt};
use rdkafka::consumer::Consumer;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    super::{Batch, Change, Error, Limit, Member, Outgoing, Partition, Reader, Result},
    catalog::Catalog,
    clients::{ANSWER, blocking},
    commits::{self, Request},
    entry::Placed,
    group::Happenings,
    places,
    session::{Failed, Session},
    tap::{Stream, Tap},
};

/// How long a transaction is tried again while the group changes.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far apart commits are: an offset is a record of the cluster's, too, and a transaction has to be
/// told to two coordinators and marked in every partition that it wrote to. What was done since the
/// last comes again where a host is killed.
const COMMIT_DISTANCE: Duration = Duration::from_millis(100);

/// What a member is to be told. There are few: librdkafka waits for an answer to each.
#[derive(Default)]
pub struct Outbox {
    changes: Mutex<VecDeque<Result<Change>>>,
    news: Notify,
}

impl Outbox {
    /// Tell the member something.
    pub fn put(&self, change: Result<Change>) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
        self.news.notify_one();
    }

    async fn take(&self) -> Result<Change> {
        loop {
            let next = self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(change) => return change,
                None => self.news.notified().await,
            }
        }
    }
}

/// A member. Dropping it leaves the group.
pub struct KafkaMember {
    outbox: Arc<Outbox>,
    _leave: DropGuard,
}

impl KafkaMember {
    /// The member that is told through `outbox` and leaves through `leave`.
    pub fn new(outbox: Arc<Outbox>, leave: CancellationToken) -> Self {
        Self { outbox, _leave: leave.drop_guard() }
    }
}

impl Member for KafkaMember {
    fn next(&mut self) -> BoxFuture<'_, Result<Change>> {
        self.outbox.take().boxed()
    }
}

/// One partition of a member.
pub struct KafkaReader {
    stream: Stream<Happenings>,
    catalog: Arc<Catalog>,
    requests: mpsc::Sender<Request>,
    session: Arc<Mutex<Session>>,
    /// Ends when the last commit has ended, or was given up.
    last_commit: Option<oneshot::Receiver<()>>,
}

impl KafkaReader {
    /// The reader of a tap from a position on.
    pub fn new(
        tap: Arc<Tap<Happenings>>,
        position: u64,
        catalog: Arc<Catalog>,
        requests: mpsc::Sender<Request>,
        session: Session,
    ) -> Self {
        Self {
            stream: Stream::new(tap, position),
            catalog,
            requests,
            session: Arc::new(Mutex::new(session)),
            last_commit: None,
        }
    }

    fn turn(&mut self) -> Turn {
        let (done, later) = oneshot::channel();
        Turn { earlier: self.last_commit.replace(later), _done: done }
    }
}

/// A commit's place in the order of commits; its end lets the next begin.
struct Turn {
    earlier: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Turn {
    async fn come(&mut self) {
        if let Some(earlier) = self.earlier.take() {
            // An error says that it has ended, or was dropped: it cannot come after this one.
            let _: std::result::Result<(), _> = earlier.await;
        }
    }
}

impl Reader for KafkaReader {
    fn partition(&self) -> &Partition {
        self.stream.tap().place()
    }

    fn next(&mut self, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        self.stream.next(limit).boxed()
    }

    fn seek(&mut self, offset: u64) {
        self.stream.seek(offset);
    }

    fn commit(&mut self, offset: u64) -> BoxFuture<'static, Result<()>> {
        let (tap, requests) = (Arc::clone(self.stream.tap()), self.requests.clone());
        let mut turn = self.turn();
        async move {
            turn.come().await;
            commit(&tap, &requests, offset).await
        }
        .boxed()
    }

    fn commit_with(
        &mut self,
        outputs: Vec<Outgoing>,
        offset: u64,
    ) -> BoxFuture<'static, Result<()>> {
        if outputs.is_empty() {
            return self.commit(offset);
        }
        let (tap, catalog) = (Arc::clone(self.stream.tap()), Arc::clone(&self.catalog));
        let session = Arc::clone(&self.session);
        let mut turn = self.turn();
        async move {
            let placed = catalog.place(outputs).await;
            let outputs: Arc<[Placed]> = placed.into_iter().collect::<Result<Vec<_>>>()?.into();
            turn.come().await;
            let deadline = Instant::now() + PATIENCE;
            loop {
                let (tap, session) = (Arc::clone(&tap), Arc::clone(&session));
                let outputs = Arc::clone(&outputs);
                match blocking(move || Ok(transact(&tap, &session, &outputs, offset))).await? {
                    Ok(()) => return Ok(()),
                    Err(Failed::Other(error)) => return Err(error),
                    Err(Failed::Generation) if Instant::now() < deadline => {}
                    Err(Failed::Generation) => {
                        return Err(Error::Unavailable("the group does not settle".into()));
                    }
                }
                sleep(commits::AGAIN).await;
            }
        }
        .boxed()
    }

    fn commit_distance(&self) -> Duration {
        COMMIT_DISTANCE
    }

    fn committed(&mut self) -> BoxFuture<'static, Result<Option<u64>>> {
        let (tap, session) = (Arc::clone(self.stream.tap()), Arc::clone(&self.session));
        blocking(move || {
            {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                if session.is_doubtful() {
                    session.settle()?;
                }
            }
            let consumer = tap.consumer()?;
            let place = std::slice::from_ref(tap.place());
            let asked = places::committed(&*consumer, place, Instant::now() + ANSWER);
            let unknown = || Error::Unavailable("the group's offset is not known".into());
            let committed = asked.map_err(|error| Error::Unavailable(error.to_string()))?;
            let committed = committed.map_err(|_| unknown())?;
            committed.into_iter().next().ok_or_else(unknown)
        })
        .boxed()
    }
}

async fn commit(
    tap: &Tap<Happenings>,
    requests: &mpsc::Sender<Request>,
    offset: u64,
) -> Result<()> {
    drop(tap.consumer()?);
    let (answer, answered) = oneshot::channel();
    let place = tap.place().clone();
    let request = Request { place, offset, answer, since: Instant::now() };
    requests.send(request).await.map_err(|_| tap.fenced())?;
    answered.await.map_err(|_| tap.fenced())?
}

/// One transaction. Waits for the cluster.
fn transact(
    tap: &Tap<Happenings>,
    session: &Mutex<Session>,
    outputs: &[Placed],
    offset: u64,
) -> std::result::Result<(), Failed> {
    let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
    let consumer = tap.consumer().map_err(Failed::Other)?;
    // In this order: while the partition is still the member's own, so is the generation; the
    // cluster refuses one that came before the partition went on.
    let generation = consumer.group_metadata().ok_or(Failed::Generation)?;
    drop(tap.consumer().map_err(Failed::Other)?);
    drop(consumer);
    let offsets = places::list([(tap.place().clone(), places::at(offset))]);
    let offsets = offsets.map_err(|error| Failed::Other(Error::Unavailable(error.to_string())))?;
    session.commit(outputs, &offsets, &generation)
}
