//! The contract of channels between hosts, over the embedded log and over a real Kafka, and what
//! becomes of those who lose their host or their topic.

#![allow(clippy::unwrap_used)]

use futures_util::future::{BoxFuture, FutureExt, ready};
use tempfile::TempDir;

use super::{
    super::{
        Frame, Rule, Rules, Start,
        contract::{Client, Subject, Told, cause, promises, publish, show, texts, until, who},
    },
    *,
};
use crate::{
    backends::log::{
        self, Batch, Held, Lag, Landed, Landing, Limit, Member, Outgoing, Partition, Range, Result,
        Subscription, Topic, embedded::Embedded,
    },
    quantity::Millis,
};

/// Settings with a topic of their own.
fn settings() -> Settings {
    let topic = format!("channels-{:016x}", fastrand::u64(..));
    let (beat, lost_after) = (Millis(200), Millis(1000));
    Settings { topic, beat, lost_after, ..Settings::default() }
}

async fn host(settings: &Settings, log: &Arc<dyn Log>) -> Arc<Hub> {
    let hub = Hub::sharing(settings.clone(), Arc::clone(log));
    hub.ready().await;
    hub
}

/// Two hosts and their log.
struct Pair {
    hosts: [Arc<Hub>; 2],
    settings: Settings,
    log: Arc<dyn Log>,
    _dir: Option<TempDir>,
}

impl Pair {
    async fn over(log: Arc<dyn Log>, dir: Option<TempDir>) -> Self {
        let settings = settings();
        let (one, other) = tokio::join!(host(&settings, &log), host(&settings, &log));
        Self { hosts: [one, other], settings, log, _dir: dir }
    }

    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Embedded::open(log::Settings::default(), dir.path()).await.unwrap();
        Self::over(Arc::new(log), Some(dir)).await
    }
}

impl Subject for Pair {
    fn hosts(&self) -> [Arc<Hub>; 2] {
        self.hosts.clone()
    }
}

mod embedded {
    use super::*;
    promises!(Pair::open());
}

#[cfg(feature = "kafka")]
mod kafka {
    use std::sync::OnceLock;

    use servers::Broker;

    use super::*;
    use crate::backends::log::kafka::Kafka;

    async fn open() -> Pair {
        static BROKER: OnceLock<Broker> = OnceLock::new();
        let broker = tokio::task::spawn_blocking(|| BROKER.get_or_init(|| Broker::start(None)));
        let brokers = vec![broker.await.unwrap().plain().to_owned()];
        let settings = log::settings::kafka::Settings { brokers, ..Default::default() };
        let log = Kafka::open(settings, Duration::from_secs(60)).await.unwrap();
        Pair::over(Arc::new(log), None).await
    }

    promises!(open());
}

#[tokio::test]
async fn a_host_that_starts_has_what_was_said_and_knows_who_is_there() {
    let pair = Pair::open().await;
    let [one, _] = &pair.hosts;
    for number in 0..50 {
        publish(one, "room", number.to_string()).await;
    }
    let mut first = Client::join(one, "room", Start::Recent(9)).await;
    show(one, &first, "room", "ada").await;
    first.hears(9).await;
    let third = host(&pair.settings, &pair.log).await;
    assert_eq!(who(&third, "room"), ["ada"]);
    let recent = |hub: &Hub| hub.space(&"p".into()).recent("room", 99);
    assert_eq!(texts(&recent(&third)), texts(&recent(one)));
    let numbers = |hub: &Hub| recent(hub).iter().map(|one| one.sequence()).collect::<Vec<_>>();
    assert_eq!(numbers(&third), numbers(one));
}

#[tokio::test]
async fn the_people_of_a_host_that_dies_leave_everywhere_and_one_host_tells_their_plugin() {
    let pair = Pair::open().await;
    let third = host(&pair.settings, &pair.log).await;
    let Pair { hosts: [dying, other], .. } = &pair;
    let told = [other, &third].map(|hub| {
        let told = Arc::new(Told::default());
        hub.on_end(told.clone());
        told
    });
    let (ada, bob) = (Client::new(dying, "last words"), Client::new(other, "b"));
    for channel in ["room", "another room"] {
        show(dying, &ada, channel, "ada").await;
    }
    show(other, &bob, "room", "bob").await;
    for hub in [other, &third] {
        until(|| {
            (who(hub, "room").len() == 2 && who(hub, "another room").len() == 1).then_some(())
        })
        .await;
    }
    // It neither writes nor reads from here on.
    let Pair { hosts: [dying, other], .. } = pair;
    let id = ada.id;
    drop((dying, ada));
    for hub in [&other, &third] {
        until(|| {
            (who(hub, "room") == ["bob"] && who(hub, "another room").is_empty()).then_some(())
        })
        .await;
    }
    let all = || told.iter().flat_map(|told| told.0.lock().unwrap().clone()).collect::<Vec<_>>();
    until(|| (!all().is_empty()).then_some(())).await;
    // What was said by all of them afterwards has come back: nobody says it twice.
    publish(&third, "room", "end").await;
    until(|| (other.space(&"p".into()).recent("room", 9).len() == 1).then_some(())).await;
    assert_eq!(all(), [(id, "last words".to_owned(), 1006)]);
}

#[tokio::test]
async fn a_host_that_stops_is_no_loss() {
    let pair = Pair::open().await;
    let [one, other] = &pair.hosts;
    let told = Arc::new(Told::default());
    other.on_end(told.clone());
    let ada = Client::new(one, "a");
    show(one, &ada, "room", "ada").await;
    until(|| (who(other, "room") == ["ada"]).then_some(())).await;
    publish(one, "room", "last words").await;
    one.close().await;
    until(|| who(other, "room").is_empty().then_some(())).await;
    assert_eq!(texts(&other.space(&"p".into()).recent("room", 9)), ["last words"]);
    assert!(told.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_was_taken_for_gone_sends_away_whom_it_shows() {
    let pair = Pair::open().await;
    let [one, other] = &pair.hosts;
    let told = Arc::new(Told::default());
    other.on_end(told.clone());
    let (ada, eve) = (Client::new(one, "a"), Client::new(one, "e"));
    show(one, &ada, "room", "ada").await;
    until(|| (who(other, "room") == ["ada"]).then_some(())).await;
    let [node, shared] = [one, other].map(|hub| hub.shared.clone().unwrap());
    shared.say(CONTROL, &Entry::Gone(node.node));
    assert_eq!(until(|| ada.end()).await.code, 1012);
    assert_eq!(eve.end(), None);
    until(|| who(other, "room").is_empty().then_some(())).await;
    assert_eq!(*told.0.lock().unwrap(), [(ada.id, "a".to_owned(), 1006)]);
    // It is one of them again.
    show(one, &eve, "room", "eve").await;
    until(|| (who(other, "room") == ["eve"]).then_some(())).await;
}

#[tokio::test]
async fn what_is_not_shared_stays_on_its_host() {
    let pair = Pair::open().await;
    let [one, other] = &pair.hosts;
    let rule = Rule { shared: false, ..Rule::default() };
    let rules = Rules::new(&[("own*".to_owned(), rule)].into());
    let (space, ada) = (one.space(&"p".into()), Client::new(one, "a"));
    for effect in [
        Effect::Publish("own".into(), Frame::text("here")),
        Effect::Show(ada.id, "own".into(), "ada".into(), String::new()),
    ] {
        space.apply(effect, &rules).unwrap();
    }
    // At once, without the topic.
    assert_eq!((texts(&space.recent("own", 9)), who(one, "own").len()), (vec!["here".into()], 1));
    publish(one, "room", "there").await;
    let there = other.space(&"p".into());
    until(|| (there.recent("room", 9).len() == 1).then_some(())).await;
    assert!(there.recent("own", 9).is_empty() && who(other, "own").is_empty());
}

/// A log with trouble.
struct Unsure {
    log: Arc<dyn Log>,
    /// Writes fail now and then: before anything happened, or after.
    random: Option<Mutex<fastrand::Rng>>,
    /// Whoever writes to this partition waits for a leader.
    leaderless: Arc<Mutex<Option<u32>>>,
}

impl Unsure {
    async fn write(&self, records: Vec<Outgoing>) -> Landed {
        let mut answers = Vec::new();
        for record in records {
            while record.partition.is_some() && record.partition == *self.leaderless.lock().unwrap()
            {
                sleep(Duration::from_millis(5)).await;
            }
            let failed = || Err(Error::Unavailable("nobody knows".into()));
            let kind = self.random.as_ref().map_or(2, |random| random.lock().unwrap().u8(0..20));
            answers.push(match kind {
                0 => failed(),
                1 => {
                    self.log.produce(vec![record]).await.remove(0).unwrap();
                    failed()
                }
                _ => self.log.produce(vec![record]).await.remove(0),
            });
        }
        answers
    }
}

impl Log for Unsure {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<Topic>>> {
        self.log.topics()
    }
    fn create(&self, topic: &str, settings: TopicSettings) -> BoxFuture<'_, Result<()>> {
        self.log.create(topic, settings)
    }
    fn hand_over(&self, records: Vec<Outgoing>, _: Held) -> BoxFuture<'_, Landing> {
        self.write(records).map(|landed| ready(landed).boxed()).boxed()
    }
    fn read(&self, partition: Partition, from: u64, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        self.log.read(partition, from, limit)
    }
    fn range(&self, partition: Partition) -> BoxFuture<'_, Result<Range>> {
        self.log.range(partition)
    }
    fn first_at(&self, partition: Partition, time_ms: i64) -> BoxFuture<'_, Result<u64>> {
        self.log.first_at(partition, time_ms)
    }
    fn join(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Member>>> {
        self.log.join(subscription)
    }
    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>>> {
        self.log.lag()
    }
    fn replay(&self, group: &str, topic: &str, to: log::Start) -> BoxFuture<'_, Result<()>> {
        self.log.replay(group, topic, to)
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        self.log.close()
    }
}

#[tokio::test]
async fn writes_that_may_have_failed_lose_nothing_double_nothing_and_keep_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(log::Settings::default(), dir.path()).await.unwrap();
    let random = Some(Mutex::new(fastrand::Rng::with_seed(7)));
    let log = Unsure { log: Arc::new(log), random, leaderless: Arc::default() };
    let pair = Pair::over(Arc::new(log), Some(dir)).await;
    let [one, other] = &pair.hosts;
    let mut clients = Vec::new();
    for (hub, room) in [(one, "a"), (one, "b"), (other, "a"), (other, "b")] {
        clients.push(Client::join(hub, room, Start::Next).await);
    }
    for number in 0..200 {
        for room in ["a", "b"] {
            publish(one, room, number.to_string()).await;
        }
        // Small batches and large ones.
        if number % 20 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    for client in &mut clients {
        let heard = client.hears(200).await;
        assert!(heard.iter().map(|text| text.parse::<u32>().unwrap()).eq(0..200), "{heard:?}");
    }
}

#[tokio::test]
async fn a_partition_without_a_leader_holds_up_no_other_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Embedded::open(log::Settings::default(), dir.path()).await.unwrap();
    let leaderless = Arc::new(Mutex::new(None));
    let log = Unsure { log: Arc::new(log), random: None, leaderless: Arc::clone(&leaderless) };
    let pair = Pair::over(Arc::new(log), Some(dir)).await;
    let [one, other] = &pair.hosts;
    let partition = |room: &str| route::by_key(&key("p", room), pair.settings.partitions);
    let rooms: Vec<_> = (0..100).map(|number| format!("room-{number}")).collect();
    let stuck = rooms.iter().find(|room| partition(room) != CONTROL).unwrap();
    let free = rooms.iter().find(|room| ![CONTROL, partition(stuck)].contains(&partition(room)));
    let (mut waits, mut hears) = (
        Client::join(other, stuck, Start::Next).await,
        Client::join(other, free.unwrap(), Start::Next).await,
    );
    let somebody = Client::join(one, free.unwrap(), Start::Next).await;
    show(one, &somebody, free.unwrap(), "somebody").await;
    until(|| (who(other, free.unwrap()).len() == 1).then_some(())).await;
    *leaderless.lock().unwrap() = Some(partition(stuck));
    publish(one, stuck, "late").await;
    publish(one, free.unwrap(), "at once").await;
    assert_eq!(hears.hears(1).await, ["at once"]);
    // For longer than a host may be silent.
    sleep(Duration::from(pair.settings.lost_after) * 2).await;
    assert_eq!(who(other, free.unwrap()).len(), 1, "a host is taken for gone");
    *leaderless.lock().unwrap() = None;
    assert_eq!(waits.hears(1).await, ["late"]);
}

#[tokio::test]
async fn who_publishes_more_than_the_topic_takes_waits_and_is_told_in_the_end() {
    let settings = Settings { queue_bytes: crate::quantity::Bytes(20_000), ..settings() };
    // Nobody writes.
    let shared = Shared::new(1, &settings);
    let publish = || {
        let frame = Frame::binary(vec![0; 1000]);
        shared.publish(&"p".into(), "room".into(), Options::default(), frame)
    };
    let mut published = 0;
    while shared.has_room("p", "room").now_or_never().is_some() {
        publish().unwrap();
        published += 1;
    }
    assert!((8..=10).contains(&published), "{published}");
    while publish().is_ok() {
        published += 1;
    }
    assert!((16..=20).contains(&published), "{published}");
    cause(&Hub::new(settings), Effect::Publish("room".into(), Frame::text("x"))).await;
}
