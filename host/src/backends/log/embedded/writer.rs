//! The writer: one thread that makes everything durable.
//!
//! It takes all requests that wait, gives records their offsets, writes one batch, syncs once and
//! answers. While it syncs, the next requests gather, so a thousand producers share a sync
//! without a timer. Offsets, fences and committed offsets have one owner and need no lock.
//!
//! ```text
//! requests ──▶ stage ──▶ seal ──▶ write + sync ──▶ publish ──▶ answers
//!              offsets   chunks   (4 ms)           readers see it
//! ```

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    super::{Error, Range, Result, TopicSettings},
    claim::{Committed, Places},
    lane::Lanes,
    load::load,
    partition::{Partition, TailBudget},
    request::{Answer, Request},
    shared::{self, Shared},
    store::{Changes, Ends, Store, StoredTopic},
    topics::{TopicEntry, Topics},
};

/// Requests that wait for the writer at most; further callers wait to hand theirs over.
pub const QUEUE: usize = 4096;
/// Requests and bytes that one write takes at most.
const MOST_REQUESTS: usize = 16 * 1024;
const MOST_BYTES: usize = 32 << 20;
/// How long after a failed write the store is opened again at the earliest.
const RETRY: Duration = Duration::from_secs(1);

/// What becomes visible once it is written.
#[derive(Default)]
struct Outcome {
    answers: Vec<Answer>,
    created: Vec<TopicEntry>,
    committed: Committed,
    trimmed: Vec<(Arc<Partition>, u64)>,
}

impl Outcome {
    fn commit(&mut self, group: &Arc<str>, partition: u32, offset: u64, changes: &mut Changes<'_>) {
        changes.commit_offset(group, partition, offset);
        self.committed.insert((Arc::clone(group), partition), offset);
    }
}

/// The state that the writer alone holds.
pub struct Writer {
    shared: Arc<Shared>,
    directory: PathBuf,
    lanes: Lanes,
    places: Places,
    tail: TailBudget,
    /// Topics that are there or being created in the write at hand.
    topics: HashSet<Arc<str>>,
    broken: Option<Broken>,
}

/// A write failed and nothing was written since.
struct Broken {
    error: Error,
    /// When opening the store again was last tried.
    tried: Instant,
}

impl Writer {
    /// The writer of a log in `directory` that was just opened.
    pub fn new(shared: Arc<Shared>, directory: PathBuf, lanes: Lanes, tail: TailBudget) -> Self {
        let mut places = Places::default();
        places.set_all(&shared.committed());
        let topics = shared.topics.load().iter().map(|topic| Arc::clone(&topic.name)).collect();
        Self { shared, directory, lanes, places, tail, topics, broken: None }
    }

    /// Serve until asked to close; then what is in the queue is served, too.
    pub fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let (mut waiting, mut closing) = (Vec::new(), false);
        // While it closes, callers that wait to hand a request over may never run again.
        while let Some(first) = if closing { queue.try_recv().ok() } else { queue.blocking_recv() }
        {
            let (mut bytes, mut next) = (0, Some(first));
            while let Some(request) = next {
                bytes += request.bytes();
                match request {
                    Request::Close => closing = true,
                    request => waiting.push(request),
                }
                let full = waiting.len() >= MOST_REQUESTS || bytes >= MOST_BYTES;
                next = if full { None } else { queue.try_recv().ok() };
            }
            self.serve(&mut waiting);
        }
    }

    fn serve(&mut self, requests: &mut Vec<Request>) {
        self.repair();
        let Some(store) = self.shared.store.load_full().filter(|_| self.broken.is_none()) else {
            return requests.drain(..).for_each(|request| self.refuse(request));
        };
        let mut changes = store.changes();
        let mut outcome = Outcome::default();
        let now = self.shared.now_ms();
        for request in requests.drain(..) {
            self.stage(request, now, &mut changes, &mut outcome);
        }
        self.lanes.seal(&mut changes);
        match changes.write() {
            Ok(()) => self.publish(outcome),
            Err(error) => {
                tracing::error!(%error, "a write to the log failed");
                let error = Error::Unavailable(format!(
                    "a write failed ({error}); it is tried again every second, look at the disk of `{}`",
                    self.directory.display()
                ));
                let answer = Err(error.clone());
                outcome.answers.into_iter().for_each(|waiting| waiting.send(&answer));
                self.broken = Some(Broken { error, tried: Instant::now() });
            }
        }
    }

    fn stage(
        &mut self,
        request: Request,
        now: i64,
        changes: &mut Changes<'_>,
        outcome: &mut Outcome,
    ) {
        match request {
            Request::Close => {}
            Request::Produce { items, reply, held } => {
                let positions = items.iter().map(|item| self.lanes.push(item, now)).collect();
                outcome.answers.push(Answer::Produced(reply, positions, held));
            }
            Request::Commit { claim, offset, outputs, reply } => {
                if let Err(fenced) = self.places.commit(&claim, offset) {
                    return Answer::Done(reply).send(&Err(fenced));
                }
                for item in &outputs {
                    self.lanes.push(item, now);
                }
                outcome.commit(&claim.group, claim.partition.id, offset, changes);
                outcome.answers.push(Answer::Done(reply));
            }
            Request::Claim { claim, start, keep, reply } => match self.places.take(&claim) {
                Ok(Some(offset)) => outcome.answers.push(Answer::Claimed(reply, offset)),
                Ok(None) => {
                    if keep {
                        self.places.set(&claim.group, claim.partition.id, start);
                        outcome.commit(&claim.group, claim.partition.id, start, changes);
                    }
                    outcome.answers.push(Answer::Claimed(reply, start));
                }
                Err(fenced) => Answer::Claimed(reply, start).send(&Err(fenced)),
            },
            Request::Committed { claim, reply } => {
                let key = (claim.group, claim.partition.id);
                let durable = self.shared.committed().get(&key).copied();
                // Whoever asked may be gone.
                let _ = reply.send(Ok(durable));
            }
            Request::Move { group, offsets, reply } => {
                for (partition, offset) in offsets {
                    self.places.set(&group, partition, offset);
                    outcome.commit(&group, partition, offset, changes);
                }
                outcome.answers.push(Answer::Done(reply));
            }
            Request::Create { name, settings, reply } => match self.create(name, settings, changes)
            {
                Ok(topic) => {
                    outcome.created.push(topic);
                    outcome.answers.push(Answer::Done(reply));
                }
                Err(error) => Answer::Done(reply).send(&Err(error)),
            },
            Request::Trim { partition, bases, start, reply } => {
                changes.trim(partition.id, &bases, start);
                outcome.trimmed.push((partition, start));
                outcome.answers.push(Answer::Done(reply));
            }
        }
    }

    fn create(
        &mut self,
        name: Arc<str>,
        settings: TopicSettings,
        changes: &mut Changes<'_>,
    ) -> Result<TopicEntry> {
        if !self.topics.insert(Arc::clone(&name)) {
            return Err(Error::TopicExists(name.to_string()));
        }
        let topic = StoredTopic { first: self.lanes.next_id(), settings };
        changes.add_topic(&name, &topic)?;
        let mut partitions = Vec::new();
        for number in 0..topic.settings.partitions {
            let ends = Ends { range: Range { start: 0, end: 0 }, latest: i64::MIN, bytes: 0 };
            let id = topic.first + number;
            let partition = Arc::new(Partition::new(id, Arc::clone(&name), number, ends.range));
            self.lanes.add(Arc::clone(&partition), &ends);
            partitions.push(partition);
        }
        Ok(TopicEntry { name, settings: topic.settings, partitions })
    }

    fn publish(&mut self, outcome: Outcome) {
        for (partition, chunk) in self.lanes.drain() {
            self.tail.publish(&partition, chunk);
        }
        self.shared.committed().extend(outcome.committed);
        for (partition, start) in outcome.trimmed {
            partition.trim(start);
        }
        if !outcome.created.is_empty() {
            let topics = Topics::clone(&self.shared.topics.load());
            let topics =
                outcome.created.into_iter().fold(topics, |topics, topic| topics.with(topic));
            self.shared.topics.store(Arc::new(topics));
            self.shared.groups.topics_changed();
        }
        outcome.answers.into_iter().for_each(|answer| answer.send(&Ok(())));
    }

    /// Answer a request while nothing can be written. How far groups are is not known either: of
    /// the write that failed, offsets may be on disk or not.
    fn refuse(&mut self, request: Request) {
        let error = self.broken.as_ref().map_or_else(shared::closed, |broken| broken.error.clone());
        match request {
            Request::Close => {}
            Request::Produce { reply, held, .. } => {
                Answer::Produced(reply, Vec::new(), held).send(&Err(error));
            }
            Request::Claim { start, reply, .. } => Answer::Claimed(reply, start).send(&Err(error)),
            Request::Committed { reply, .. } => drop(reply.send(Err(error))),
            Request::Commit { reply, .. }
            | Request::Move { reply, .. }
            | Request::Create { reply, .. }
            | Request::Trim { reply, .. } => Answer::Done(reply).send(&Err(error)),
        }
    }

    /// After a failed write, open the store again: that settles what of it is on disk. As long
    /// as that fails or the disk stays full, every write is refused.
    fn repair(&mut self) {
        let Some(broken) = self.broken.as_mut().filter(|broken| broken.tried.elapsed() > RETRY)
        else {
            return;
        };
        broken.tried = Instant::now();
        // The database closes when the last read is done with it; until then it is locked.
        self.shared.store.store(None);
        let reopened = Store::open(&self.directory).and_then(|store| {
            let loaded = load(&store, &self.shared.topics.load())?;
            Ok((store, loaded))
        });
        match reopened {
            Ok((store, loaded)) => {
                tracing::info!("the log is open again after a failed write");
                self.tail.clear();
                self.lanes = loaded.lanes;
                self.places.set_all(&loaded.committed);
                self.topics = loaded.topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
                *self.shared.committed() = loaded.committed;
                self.shared.topics.store(Arc::new(loaded.topics));
                self.shared.store.store(Some(Arc::new(store)));
                self.shared.groups.topics_changed();
                self.broken = None;
            }
            // Writers are told the first error: it is the cause.
            Err(error) => tracing::warn!(%error, "the log cannot be opened again yet"),
        }
    }
}
