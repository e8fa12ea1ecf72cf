//! Drives the consumer of a member: answers the group's changes, sends offsets, leaves at the end.
//!
//! ```text
//! Assigned ─▶ ask for offsets ─▶ tap each partition ─▶ assign ─▶ readers to the member
//! Revoked  ─▶ tell the member ─▶ it lets go, or is late ─▶ shut the taps ─▶ unassign
//! ```
//! Between the two the group waits for this member alone, as far as these partitions go: others
//! are read on. Nothing here waits on a thread that serves.

use std::{
    collections::HashMap,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Change, Error, Partition, Reader, Result, Subscription},
    catalog::Catalog,
    clients::Clients,
    commits::{self, Commits, Request},
    group::{Event, Happenings},
    health::{Ears, Statistics},
    member::{KafkaReader, Outbox},
    places,
    step::{Step, Stepped},
    taking::{Placement, Taking},
    tap::Tap,
};

mod leaving;

/// Offsets that wait to be taken in.
const QUEUE: usize = 256;
/// The consumer is looked after so often when nothing calls for it.
const LOOK: Duration = Duration::from_millis(500);

/// What a member is made of.
pub struct Driver {
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    subscription: Subscription,
    /// How many partitions each topic had when the member joined: what came later is read from
    /// its start, because everything in it is newer.
    known: Arc<HashMap<Arc<str>, u32>>,
    /// How many they had when they were looked at last.
    seen: HashMap<Arc<str>, u32>,
    consumer: Arc<BaseConsumer<Happenings>>,
    wake: Arc<Notify>,
    taps: HashMap<Partition, Arc<Tap<Happenings>>>,
    outbox: Arc<Outbox>,
    sender: mpsc::Sender<Request>,
    requests: mpsc::Receiver<Request>,
    commits: Commits,
    committing: Option<JoinHandle<KafkaResult<()>>>,
    /// No offsets before this moment.
    not_before: Option<Instant>,
    step: Step,
    /// Whether the group has ever given it a share, be it empty.
    let_in: bool,
    /// Whether it has asked for one and waits for the answer, as far as it was told.
    asking: Option<bool>,
    news: watch::Receiver<u64>,
    revoke_deadline: Duration,
    left: CancellationToken,
}

impl Driver {
    /// Make the consumer of a member and have it ask for its share. Waits for the cluster.
    pub fn new(
        clients: Arc<Clients>,
        catalog: Arc<Catalog>,
        subscription: Subscription,
        revoke_deadline: Duration,
        left: CancellationToken,
    ) -> Result<Self> {
        let client = format!("group {}", subscription.group);
        let ears = Ears::new(client.as_str(), &clients.health);
        let config = clients.member(&subscription.group);
        let news = catalog.news();
        let known = catalog.all_partitions(&subscription.topics);
        let made: KafkaResult<BaseConsumer<_>> =
            config.create_with_context(Happenings::new(client, ears));
        let mut consumer = made.map_err(|error| clients.health.failed("no consumer", &error))?;
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        consumer.set_nonempty_callback(move || woken.notify_one());
        let topics: Vec<&str> = subscription.topics.iter().map(|topic| &**topic).collect();
        let subscribed = consumer.subscribe(&topics);
        subscribed.map_err(|error| clients.health.failed("no member of the group", &error))?;
        let (sender, requests) = mpsc::channel(QUEUE);
        Ok(Self {
            clients,
            catalog,
            subscription,
            seen: known.clone(),
            known: Arc::new(known),
            consumer: Arc::new(consumer),
            wake,
            taps: HashMap::new(),
            outbox: Arc::default(),
            sender,
            requests,
            commits: Commits::default(),
            committing: None,
            not_before: None,
            step: Step::Idle,
            let_in: false,
            asking: None,
            news,
            revoke_deadline,
            left,
        })
    }

    /// Where the member is told what changes.
    pub fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    /// Where offsets are asked for, also of partitions that the member does not read.
    pub fn requests(&self) -> mpsc::Sender<Request> {
        self.sender.clone()
    }

    /// Run until the member is dropped, then leave the group.
    pub async fn run(mut self) {
        let left = self.left.clone();
        loop {
            self.serve();
            tokio::select! {
                biased;
                () = left.cancelled() => break,
                () = self.wake.notified() => {}
                Some(request) = self.requests.recv() => self.ask(request),
                outcome = ended(&mut self.committing) => self.landed(&outcome),
                stepped = self.step.ended() => self.stepped(stepped),
                () = sleep_until(self.not_before.unwrap_or_else(Instant::now).into()),
                    if self.not_before.is_some() => self.not_before = None,
                Ok(()) = self.news.changed() => self.look_again(),
                () = sleep(LOOK) => {}
            }
        }
        self.leave().await;
    }

    /// Take what librdkafka has to tell, and send what waits.
    fn serve(&mut self) {
        loop {
            match self.consumer.poll(Duration::ZERO) {
                None => {}
                // Told to the ears already.
                Some(Err(_)) => continue,
                Some(Ok(message)) => {
                    // Every partition has a tap before anything is fetched.
                    let reason = format!("a message came past its partition's queue: {message:?}");
                    self.outbox.put(Err(Error::Unavailable(reason)));
                }
            }
            while let Some(event) = self.consumer.context().take() {
                self.heed(event);
            }
            if !self.consumer.context().heard() {
                break;
            }
        }
        if self.not_before.is_none()
            && let Some(offsets) = self.commits.launch()
        {
            let consumer = Arc::clone(&self.consumer);
            let commit = move || consumer.commit(&offsets, CommitMode::Sync);
            self.committing = Some(tokio::task::spawn_blocking(commit));
        }
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::Assigned(list) => {
                self.let_in = true;
                self.step = match self.left.is_cancelled() {
                    true => Step::Unanswered { list },
                    false => Step::Placing { job: self.place(list.clone()), list },
                };
            }
            Event::Revoked { list, lost } => self.revoke(list, lost),
            Event::Statistics(statistics) => {
                self.asking = Some(statistics.is_asking());
                self.note(&statistics);
            }
            Event::Failed(code, reason) => {
                let failed = format_args!("group `{}`: {code}: {reason}", self.subscription.group);
                self.outbox.put(Err(self.clients.health.unavailable(failed)));
            }
        }
    }

    fn ask(&mut self, request: Request) {
        self.commits.ask(request);
        // Whatever else waits goes with it.
        while let Ok(request) = self.requests.try_recv() {
            self.commits.ask(request);
        }
    }

    fn landed(&mut self, outcome: &KafkaResult<()>) {
        self.committing = None;
        let taps = &self.taps;
        if self.commits.landed(outcome, |place| taps.contains_key(place)) {
            self.not_before = Some(Instant::now() + commits::AGAIN);
        }
    }

    fn note(&self, statistics: &Statistics) {
        for (place, tap) in &self.taps {
            let topic = statistics.topics.get(&*place.topic);
            let found = topic.and_then(|topic| topic.partitions.get(&place.partition.to_string()));
            if let Some(found) = found {
                tap.note(found.ls_offset, found.eof_offset);
            }
        }
    }

    /// Topics appeared; perhaps one of ours.
    fn look_again(&mut self) {
        let seen = self.catalog.all_partitions(&self.subscription.topics);
        if std::mem::replace(&mut self.seen, seen.clone()) == seen {
            return;
        }
        let (consumer, topics) = (Arc::clone(&self.consumer), self.subscription.topics.clone());
        tokio::task::spawn_blocking(move || {
            let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
            if let Err(error) = consumer.subscribe(&topics) {
                tracing::debug!(%error, "the group's topics are not looked at again");
            }
        });
    }

    /// Take partitions over, from where the group is in each.
    fn place(&self, list: TopicPartitionList) -> JoinHandle<Result<Vec<Placement>>> {
        let taking = Taking {
            clients: Arc::clone(&self.clients),
            catalog: Arc::clone(&self.catalog),
            consumer: Arc::clone(&self.consumer),
            known: Arc::clone(&self.known),
            group: Arc::clone(&self.subscription.group),
            start: self.subscription.start,
        };
        tokio::task::spawn_blocking(move || taking.take(&places::partitions(&list)))
    }

    fn revoke(&mut self, list: TopicPartitionList, lost: bool) {
        let places = places::partitions(&list);
        let mine: Vec<_> =
            places.into_iter().filter(|place| self.taps.contains_key(place)).collect();
        let (done, let_go) = oneshot::channel();
        if lost {
            tracing::warn!(group = %self.subscription.group, "the group went on without this member");
            self.let_go(list);
        } else if mine.is_empty() {
            self.let_go(list);
            return;
        } else {
            let deadline = Instant::now() + self.revoke_deadline;
            self.step = Step::LettingGo { list, done: let_go, deadline };
        }
        if !mine.is_empty() {
            self.outbox.put(Ok(Change::Revoked { partitions: mine, done }));
        }
    }

    /// Let partitions go, whoever still reads them.
    fn let_go(&mut self, list: TopicPartitionList) {
        for place in places::partitions(&list) {
            if let Some(tap) = self.taps.remove(&place) {
                tap.shut();
            }
        }
        let taps = &self.taps;
        self.commits.forget(|place| taps.contains_key(place));
        let consumer = Arc::clone(&self.consumer);
        self.step = Step::Unassigning(tokio::task::spawn_blocking(move || {
            let done = consumer.incremental_unassign(&list);
            done.map_err(|error| Error::Unavailable(error.to_string()))
        }));
    }

    fn stepped(&mut self, stepped: Stepped) {
        match (std::mem::replace(&mut self.step, Step::Idle), stepped) {
            (Step::LettingGo { list, .. }, Stepped::LetGo { late }) => {
                if late {
                    let group = &self.subscription.group;
                    tracing::warn!(%group, "a member was late to let partitions go and lost them");
                }
                self.let_go(list);
            }
            (_, Stepped::Placed(Ok(placements))) => self.placed(placements),
            (Step::Placing { list, .. }, Stepped::Placed(Err(error))) => {
                self.step = Step::Unanswered { list };
                self.outbox.put(Err(error));
            }
            (_, Stepped::Unassigned(Err(error))) => self.outbox.put(Err(error)),
            (_, _) => {}
        }
    }

    fn placed(&mut self, placements: Vec<Placement>) {
        let mut readers: Vec<Box<dyn Reader>> = Vec::new();
        for Placement { tap, position, session } in placements {
            self.taps.insert(tap.place().clone(), Arc::clone(&tap));
            let (catalog, requests) = (Arc::clone(&self.catalog), self.sender.clone());
            readers.push(Box::new(KafkaReader::new(tap, position, catalog, requests, session)));
        }
        if !readers.is_empty() {
            self.outbox.put(Ok(Change::Assigned(readers)));
        }
    }
}

/// Wait for offsets that are on their way; for ever, if none are. Cancel safe.
async fn ended(committing: &mut Option<JoinHandle<KafkaResult<()>>>) -> KafkaResult<()> {
    match committing {
        Some(commit) => commit.await.unwrap_or(Err(KafkaError::Canceled)),
        None => pending().await,
    }
}
