//! Channels that several nodes share: one topic, which every node writes and reads whole.
//!
//! ```text
//!  publish, show ─▶ Outbox ─▶ ┌─────────────────────────┐ ─▶ Follower ─▶ rings, presence
//!                             │ topic: a partition has  │
//!  publish, show ─▶ Outbox ─▶ │ all of a channel        │ ─▶ Follower ─▶ rings, presence
//!                             └─────────────────────────┘
//! ```
//! A frame reaches a ring only by being read back, on the node that published it, too: so all nodes
//! have one order, and the number of a frame, which comes from its offset, is the same everywhere.
//! A node begins with what the topic kept of the last minutes.
//!
//! Who is shown is held by each node for all. A node that comes asks, and the others tell all they
//! show; after that what changes is enough. Beats tell that a node is there. One that is not heard
//! of is said to be gone, which all read in the same place of the topic, and itself, too, if it was
//! only slow: it then sends away those who were shown, because they have left for everybody else.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::gauge;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

mod arrive;
mod entry;
mod follow;
mod outbox;
mod peers;
mod seen;
#[cfg(test)]
mod tests;

pub use entry::{Person, Tag};
pub use outbox::Full;

use self::{entry::Entry, follow::Follower, outbox::Outbox, peers::Peers};
use super::{Channel, Effect, Frame, Hub, Options, Settings};
use crate::{
    backends::log::{Error, Log, TopicSettings, route},
    quantity::now_ms,
};

/// Where the upper part of a connection's number begins, which names its node.
pub const NODE_SHIFT: u32 = 32;
/// The partition of what is about nodes.
const CONTROL: u32 = 0;
/// What the topic takes in one record: the largest frame, with its channel.
const RECORD_BYTES: u32 = 2 << 20;
/// How often is looked at what waits.
const TICK: Duration = Duration::from_millis(200);
/// How long to wait before a topic that is not there is looked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a node that starts waits for the others to tell whom they show.
const INTRODUCTIONS: Duration = Duration::from_secs(2);
/// How long one that resumes waits for this node to have read as far as it has heard.
const RESUME: Duration = Duration::from_secs(2);
/// How long the end waits for what has yet to be written.
const LAST: Duration = Duration::from_secs(5);
/// The most bytes of people in one entry, about.
const PEOPLE_BYTES: usize = 256 << 10;

/// The node whose connection it is.
pub fn node_of(connection: u64) -> u32 {
    u32::try_from(connection >> NODE_SHIFT).unwrap_or(u32::MAX)
}

/// This node's tie to the topic.
pub struct Shared {
    node: u32,
    topic: Arc<str>,
    partitions: u32,
    settings: Settings,
    outbox: Outbox,
    peers: Mutex<Peers>,
    /// By partition: the offset that is read next.
    positions: Vec<watch::Sender<u64>>,
    /// Something about who is shown was not announced.
    unsaid: AtomicBool,
    caught_up: AtomicBool,
    ready: watch::Sender<bool>,
    /// When an own beat came back last, and whether it is known to be too long ago.
    touch: Mutex<(Instant, bool)>,
}

impl Shared {
    /// That of a node, before anything is read or written.
    pub fn new(node: u32, settings: &Settings) -> Self {
        let topic: Arc<str> = settings.topic.as_str().into();
        let partitions = settings.partitions.max(1);
        let patience = settings.lost_after.0.div_ceil(settings.beat.0.max(1));
        let patience = u32::try_from(patience).unwrap_or(u32::MAX).max(2);
        Self {
            node,
            outbox: Outbox::new(
                node,
                Arc::clone(&topic),
                partitions,
                settings.queue_bytes.as_usize(),
            ),
            topic,
            partitions,
            settings: settings.clone(),
            peers: Mutex::new(Peers::new(node, partitions, patience)),
            positions: (0..partitions).map(|_| watch::Sender::new(0)).collect(),
            unsaid: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
            ready: watch::Sender::new(false),
            touch: Mutex::new((Instant::now(), false)),
        }
    }

    /// Whether a connection is one of this node.
    pub fn is_own(&self, connection: u64) -> bool {
        node_of(connection) == self.node
    }

    /// Where all of a channel is.
    fn partition_of(&self, plugin: &str, channel: &str) -> u32 {
        route::by_key(&key(plugin, channel), self.partitions)
    }

    /// Let a frame go to all who joined a channel, on all nodes.
    pub fn publish(
        &self,
        plugin: &Arc<str>,
        channel: String,
        options: Options,
        frame: Frame,
    ) -> Result<(), Full> {
        let key = key(plugin, &channel);
        let entry = Entry::Frame { plugin: Arc::clone(plugin), channel, options, frame };
        self.outbox.push(route::by_key(&key, self.partitions), &key, entry.encode())
    }

    /// Tell all who show it what plays in a channel, on all nodes.
    pub fn entitle(
        &self,
        plugin: &Arc<str>,
        channel: String,
        options: Options,
        title: String,
    ) -> Result<(), Full> {
        let key = key(plugin, &channel);
        let plugin = Arc::clone(plugin);
        let entry = Entry::Title { plugin, channel, options, title, fresh: true };
        self.outbox.push(route::by_key(&key, self.partitions), &key, entry.encode())
    }

    /// Let something happen to a connection of another node, which need not be there any longer.
    pub fn order(&self, plugin: &Arc<str>, options: Options, effect: Effect) -> Result<(), Full> {
        let Some(connection) = effect.connection() else { return Ok(()) };
        let entry = Entry::Order { plugin: Arc::clone(plugin), options, effect };
        // All of one connection in one order.
        let key = connection.to_le_bytes();
        self.outbox.push(route::by_key(&key, self.partitions), &key, entry.encode())
    }

    /// Tell others that somebody is shown.
    pub fn show(&self, person: Person) {
        let key = key(&person.plugin, &person.channel);
        self.announce(&key, &Entry::Show(person));
    }

    /// Tell others that a connection is no longer shown in a channel.
    pub fn hide(&self, plugin: &Arc<str>, channel: String, connection: u64) {
        let key = key(plugin, &channel);
        self.announce(&key, &Entry::Hide { plugin: Arc::clone(plugin), channel, connection });
    }

    fn announce(&self, key: &[u8], entry: &Entry) {
        let partition = route::by_key(key, self.partitions);
        if self.outbox.push(partition, key, entry.encode()).is_err() {
            // All is told once there is room.
            self.unsaid.store(true, Ordering::SeqCst);
        }
    }

    /// Write something that is about the node.
    fn say(&self, partition: u32, entry: &Entry) {
        if self.outbox.push(partition, &self.node.to_le_bytes(), entry.encode()).is_err() {
            self.unsaid.store(true, Ordering::SeqCst);
        }
    }

    /// Wait until there is room for a publish to a channel.
    pub async fn has_room(&self, plugin: &str, channel: &str) {
        self.outbox.has_room(self.partition_of(plugin, channel)).await;
    }

    /// Wait until this node has read a channel as far as somebody has heard it on another, but not
    /// for long: the number may be of another time.
    pub async fn has_read(&self, plugin: &str, channel: &str, number: u64) {
        let Some(position) = self.positions.get(self.partition_of(plugin, channel) as usize) else {
            return;
        };
        let mut position = position.subscribe();
        let _ = timeout(RESUME, position.wait_for(|position| *position >= number)).await;
    }

    /// A partition was read so far.
    fn reached(&self, partition: u32, position: u64) {
        if let Some(known) = self.positions.get(partition as usize) {
            known.send_replace(position);
        }
    }

    fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::SeqCst)
    }

    /// Whether the node has read what was there before it, and knows who is shown.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// An own beat has come back.
    fn in_touch(&self) {
        let mut touch = self.touch.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *touch, (Instant::now(), false)).1 {
            tracing::info!("shared channels are in touch with the other hosts again");
        }
    }

    /// Say once when no own beat has come back for too long.
    fn look_for_touch(&self) {
        let mut touch = self.touch.lock().unwrap_or_else(PoisonError::into_inner);
        if !touch.1 && touch.0.elapsed() > self.settings.lost_after.into() {
            touch.1 = true;
            tracing::warn!(topic = %self.topic, "shared channels are cut off: what this host writes to their topic does not come back");
        }
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tell all who are shown here, partition by partition.
    pub fn tell(&self, partition: u32, anew: bool, tell: impl FnOnce(&mut Telling<'_>)) {
        self.say(partition, &Entry::Begin { anew });
        tell(&mut Telling { shared: self, partition });
        self.say(partition, &Entry::End);
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Say that the node stops, and wait for what has yet to be written.
    pub async fn close(&self) {
        self.say(CONTROL, &Entry::Left);
        if timeout(LAST, self.outbox.close()).await.is_err() {
            tracing::warn!("what was for shared channels was not written before the end");
        }
    }

    /// Make the topic if it is not there, however long that takes.
    async fn prepare(&self, log: &dyn Log) {
        let mut is_told = false;
        while let Err(error) = self.find_topic(log).await {
            if !is_told {
                is_told = true;
                let remedy = "make it as the error says, or keep channels to each host with `[channels] shared = false`";
                tracing::warn!(topic = %self.topic, %error, remedy, "channels are not shared yet, and the host is not ready: their topic is not there");
            }
            sleep(AGAIN).await;
        }
    }

    async fn find_topic(&self, log: &dyn Log) -> Result<(), Error> {
        let settings = TopicSettings {
            partitions: self.partitions,
            retention_ms: Some(self.settings.retention.0),
            max_record_bytes: RECORD_BYTES,
            ..TopicSettings::default()
        };
        let topics = log.topics().await?;
        let Some(found) = topics.iter().find(|topic| *topic.name == *self.topic) else {
            return match log.create(&self.topic, settings).await {
                // Another node was quicker.
                Err(Error::TopicExists(_)) => Ok(()),
                made => made,
            };
        };
        if found.partitions < self.partitions {
            return Err(Error::InvalidTopic(format!(
                "topic `{}` has {} partitions; set `[channels] partitions` to that on all hosts",
                self.topic, found.partitions
            )));
        }
        if found.settings.max_record_bytes < RECORD_BYTES {
            tracing::warn!(
                topic = %self.topic, allowed = found.settings.max_record_bytes, needed = RECORD_BYTES,
                "large frames will be lost: the topic of the channels takes only smaller records"
            );
        }
        Ok(())
    }
}

/// What is known of the channels of a partition, as it is told: who is shown, and what plays.
pub struct Telling<'a> {
    shared: &'a Shared,
    partition: u32,
}

impl Telling<'_> {
    /// Whether a channel is one of them.
    pub fn is_about(&self, plugin: &str, channel: &str) -> bool {
        self.shared.partition_of(plugin, channel) == self.partition
    }

    /// Tell what plays in one of them.
    pub fn title(&mut self, plugin: &Arc<str>, channel: &Channel, title: &str) {
        let (plugin, options) = (Arc::clone(plugin), channel.options());
        let (channel, title) = (channel.name().to_string(), title.to_owned());
        let entry = Entry::Title { plugin, channel, options, title, fresh: false };
        self.shared.say(self.partition, &entry);
    }

    /// Tell some of them.
    pub fn people(&mut self, people: Vec<Person>) {
        let (mut some, mut bytes) = (Vec::new(), 0);
        for person in people {
            bytes += person.size();
            some.push(person);
            if bytes >= PEOPLE_BYTES {
                bytes = 0;
                self.shared.say(self.partition, &Entry::People(std::mem::take(&mut some)));
            }
        }
        if !some.is_empty() {
            self.shared.say(self.partition, &Entry::People(some));
        }
    }
}

/// What decides about the partition: all of a channel has the same.
fn key(plugin: &str, channel: &str) -> Vec<u8> {
    [plugin.as_bytes(), &[0], channel.as_bytes()].concat()
}

/// Read and write the topic until the hub is gone.
pub async fn run(shared: Arc<Shared>, hub: Weak<Hub>, log: Arc<dyn Log>) {
    shared.prepare(&*log).await;
    let (mut tasks, mut ends) = (JoinSet::new(), Vec::new());
    for partition in 0..shared.partitions {
        let (caught_up, end) = oneshot::channel();
        let (shared, hub, log) = (Arc::clone(&shared), Weak::clone(&hub), Arc::clone(&log));
        tasks.spawn(Follower::new(shared, hub, log, partition).run(caught_up));
        ends.push(end);
    }
    for end in ends {
        // A follower ends only with the hub.
        let _ = end.await;
    }
    let writing = Arc::clone(&shared);
    tasks.spawn(async move { writing.outbox.run(&*log).await });
    shared.caught_up.store(true, Ordering::SeqCst);
    introduce(&shared, &hub).await;
    shared.ready.send_replace(true);
    tracing::info!(topic = %shared.topic, node = shared.node, "channels are shared with other hosts");
    let mut beat = tokio::time::interval(Duration::from(shared.settings.beat).max(TICK));
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                shared.say(CONTROL, &Entry::Beat { sent_ms: now_ms() });
                shared.look_for_touch();
            }
            _ = tick.tick() => {
                let Some(hub) = hub.upgrade() else { return };
                look_after(&shared, &hub);
            }
        }
    }
}

/// Ask the others whom they show, tell them the same, and wait for their answers.
async fn introduce(shared: &Shared, hub: &Weak<Hub>) {
    if let Some(hub) = hub.upgrade() {
        hub.tell_people(shared, false);
    }
    shared.say(CONTROL, &Entry::Ask);
    let control = shared.positions[CONTROL as usize].subscribe();
    let begun = Instant::now();
    let from = *control.borrow();
    while begun.elapsed() < INTRODUCTIONS {
        sleep(TICK / 10).await;
        if *control.borrow() > from && shared.peers().all_told() {
            return;
        }
    }
}

/// Say what could not be said, once there is room.
fn look_after(shared: &Shared, hub: &Hub) {
    let waiting = shared.outbox.bytes();
    gauge!("trellis_channel_topic_waiting_bytes").set(waiting as f64);
    let has_room = waiting < shared.settings.queue_bytes.as_usize() / 2;
    if has_room && shared.unsaid.swap(false, Ordering::SeqCst) {
        hub.tell_people(shared, true);
    }
}
