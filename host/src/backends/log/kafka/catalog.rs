//! The topics of the cluster as the host knows them, and where each record goes.
//!
//! The cluster is asked when a name is not known, now and then, and when it says that something
//! has changed. So a record to a topic that is not there is refused at once, and none is handed to
//! librdkafka that would spoil the set of others it travels with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
        TopicReplication,
    },
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    metadata::Metadata,
};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

use super::{
    super::{Error, Outgoing, Partition, Range, Result, Start, Topic, TopicSettings, topic::check},
    clients::{ANSWER, Clients, blocking},
    entry::{Entry, OVERHEAD, Placed},
    health::{Ears, Health, hear, pass_over},
    places,
};

/// What was seen of the cluster's topics so recently is not asked again.
const FRESH: Duration = Duration::from_millis(50);
/// How long the settings of a topic are believed, which others may change.
const SETTINGS_AGE: Duration = Duration::from_secs(30);
/// How often all is looked at when nothing else makes it so.
const LOOK: Duration = Duration::from_secs(30);
/// Topics whose settings are asked for at once.
const AT_ONCE: usize = 200;
/// Records without a key stay with a partition for so long, so that they share requests.
const TURN_MS: u64 = 10;
/// Of one call, no more bytes than this.
const TURN_BYTES: usize = 256 << 10;
/// Topics that keep records for less than a day get short segments, but none shorter than this.
const DAY_MS: u64 = 24 * 3600 * 1000;
const SHORTEST_SEGMENT_MS: u64 = 60_000;

/// All topics that were seen.
pub struct Catalog {
    /// Tells nothing of itself.
    admin: Arc<AdminClient<Ears>>,
    looker: Arc<BaseConsumer<Ears>>,
    clients: Arc<Clients>,
    known: ArcSwap<Known>,
    /// When they were seen last; held while they are looked at.
    seen: Mutex<Option<Instant>>,
    /// Counts the looks that found something new.
    news: watch::Sender<u64>,
}

type Known = BTreeMap<Arc<str>, Entry>;

impl Catalog {
    /// Nothing seen yet.
    pub fn new(clients: Arc<Clients>) -> Result<Self> {
        let ears = Ears::new("admin", &clients.health);
        let admin = clients.admin().create_with_context(ears);
        let admin = admin.map_err(|error| clients.health.failed("no client", &error))?;
        let ears = Ears::new("looker", &clients.health);
        let looker = clients.looker().create_with_context(ears);
        let looker: BaseConsumer<_> =
            looker.map_err(|error| clients.health.failed("no client", &error))?;
        Ok(Self {
            admin: Arc::new(admin),
            looker: Arc::new(looker),
            clients,
            known: ArcSwap::default(),
            seen: Mutex::default(),
            news: watch::Sender::new(0),
        })
    }

    /// Changes when topics or partitions appear.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Look at the topics now and then, for ever.
    pub async fn run(&self) {
        loop {
            sleep(LOOK).await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the topics are not looked at");
            }
        }
    }

    /// All topics by name, as they are.
    pub async fn topics(&self) -> Result<Vec<Topic>> {
        self.look().await?;
        Ok(self.known.load().values().map(|entry| entry.topic.clone()).collect())
    }

    /// A topic, asked for if it is not known.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        if !self.known.load().contains_key(name) {
            self.look().await?;
        }
        let known = self.known.load();
        let entry = known.get(name).ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
        Ok(entry.topic.clone())
    }

    /// A topic that has this partition.
    pub async fn partition(&self, topic: &str, partition: u32) -> Result<Topic> {
        let found = self.topic(topic).await?;
        match partition < found.partitions {
            true => Ok(found),
            false => Err(Error::UnknownPartition { topic: topic.to_owned(), partition }),
        }
    }

    /// Which records a partition keeps.
    pub async fn range(&self, place: Partition) -> Result<Range> {
        let (looker, health) = (Arc::clone(&self.looker), Arc::clone(&self.clients.health));
        blocking(move || {
            let Partition { topic, partition } = &place;
            let ends = places::patiently(Instant::now() + ANSWER, || {
                looker.fetch_watermarks(topic, *partition as i32, ANSWER)
            });
            let (start, end) =
                ends.map_err(|error| health.failed("what it keeps is not known", &error))?;
            let offset = |offset: i64| u64::try_from(offset).unwrap_or_default();
            Ok(Range { start: offset(start).min(offset(end)), end: offset(end) })
        })
        .await
    }

    /// The offset of the first record of a partition that is as late as this.
    pub async fn first_at(&self, place: Partition, time_ms: i64) -> Result<u64> {
        let (looker, health) = (Arc::clone(&self.looker), Arc::clone(&self.clients.health));
        blocking(move || {
            let places = [place];
            let found = places::ranges(&*looker, &places, ANSWER).and_then(|ranges| {
                places::starts(&*looker, &places, &ranges, Start::Time(time_ms), ANSWER)
            });
            let found = found.map_err(|error| health.failed("a time is not found", &error))?;
            Ok(found.first().copied().unwrap_or(0))
        })
        .await
    }

    /// How many partitions topics have as far as they were seen; 0: not at all.
    pub fn all_partitions(&self, topics: &[Arc<str>]) -> HashMap<Arc<str>, u32> {
        let known = self.known.load();
        let count = |topic: &Arc<str>| known.get(topic).map_or(0, |entry| entry.topic.partitions);
        topics.iter().map(|topic| (Arc::clone(topic), count(topic))).collect()
    }

    /// The cluster does not have a topic as it is known here.
    pub fn forget(&self, topic: &str) {
        self.known.rcu(|known| {
            let mut known = Known::clone(known);
            known.remove(topic);
            known
        });
    }

    /// Where each record goes: one answer a record.
    pub async fn place(&self, records: Vec<Outgoing>) -> Vec<Result<Placed>> {
        let known = self.known.load();
        if records.iter().any(|record| !known.contains_key(&record.topic)) {
            drop(known);
            if let Err(error) = self.look().await {
                return records.iter().map(|_| Err(error.clone())).collect();
            }
        }
        let known = self.known.load();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let mut sent = 0;
        let placed = records.into_iter().map(|record| {
            sent += record.tail.len();
            let turn = (now_ms / TURN_MS).wrapping_add((sent / TURN_BYTES) as u64);
            let entry = known.get(&record.topic);
            let entry = entry.ok_or_else(|| Error::UnknownTopic(record.topic.to_string()))?;
            entry.accept(record, now_ms as i64, turn)
        });
        placed.collect()
    }

    /// Create a topic and wait until the cluster serves it.
    pub async fn create(&self, name: &str, settings: &TopicSettings) -> Result<()> {
        check(name, settings)?;
        let limit = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
        let copies = settings.replication.or(self.clients.settings().replication);
        let replication = TopicReplication::Fixed(copies.map_or(-1, i32::from));
        let (retention_ms, retention_bytes) =
            (limit(settings.retention_ms), limit(settings.retention_bytes));
        let set_bytes = (u64::from(settings.max_record_bytes) + OVERHEAD).to_string();
        let in_sync = copies.map(|copies| (copies / 2 + 1).to_string());
        let mut topic = NewTopic::new(name, settings.partitions as i32, replication)
            .set("retention.ms", &retention_ms)
            .set("retention.bytes", &retention_bytes)
            .set("max.message.bytes", &set_bytes)
            // Whenever a record says it happened; the default refuses those of tomorrow.
            .set("message.timestamp.after.max.ms", "9223372036854775807");
        let segment = settings.retention_ms.filter(|kept| *kept < DAY_MS);
        let segment = segment.map(|kept| (kept / 4).max(SHORTEST_SEGMENT_MS).to_string());
        if let Some(segment) = &segment {
            // Records go a segment at a time, and one lasts a week where nothing else is said.
            topic = topic.set("segment.ms", segment);
        }
        if let Some(in_sync) = &in_sync {
            // Acknowledged means: on most of the copies.
            topic = topic.set("min.insync.replicas", in_sync);
        }
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        let created = self.admin.create_topics([&topic], &options).await;
        let created =
            created.map_err(|error| self.clients.health.failed("no topic is created", &error))?;
        if let Some(Err((_, code))) = created.into_iter().next() {
            return Err(self.refused(name, settings, code));
        }
        self.wait_for(name, settings.partitions).await
    }

    fn refused(&self, name: &str, settings: &TopicSettings, code: RDKafkaErrorCode) -> Error {
        match code {
            RDKafkaErrorCode::TopicAlreadyExists => Error::TopicExists(name.to_owned()),
            RDKafkaErrorCode::InvalidReplicationFactor => {
                let copies = settings.replication.or(self.clients.settings().replication);
                let copies = copies.map_or("as many".to_owned(), |copies| format!("`{copies}`"));
                Error::InvalidTopic(format!(
                    "topic `{name}` cannot have {copies} copies; the cluster has fewer brokers"
                ))
            }
            RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed => {
                Error::InvalidTopic(format!("the cluster refuses topic `{name}`: {code}"))
            }
            code => self.clients.health.unavailable(format_args!("topic `{name}`: {code}")),
        }
    }

    /// A topic is there a moment before all its partitions have leaders.
    async fn wait_for(&self, name: &str, partitions: u32) -> Result<()> {
        let deadline = Instant::now() + ANSWER;
        let mut pause = Duration::from_millis(5);
        loop {
            let (looker, topic) = (Arc::clone(&self.looker), name.to_owned());
            let health = Arc::clone(&self.clients.health);
            let serving = blocking(move || {
                let metadata = metadata(&looker, Some(&topic), &health)?;
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                Ok(found.is_some_and(|found| {
                    let led = found.partitions().iter().filter(|partition| partition.leader() >= 0);
                    led.count() >= partitions as usize
                }))
            });
            if serving.await? {
                break;
            }
            if Instant::now() > deadline {
                return Err(Error::Unavailable(format!("topic `{name}` is not there yet")));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        let mut seen = self.seen.lock().await;
        self.look_now().await?;
        *seen = Some(Instant::now());
        Ok(())
    }

    /// See all topics, unless that was done a moment ago.
    async fn look(&self) -> Result<()> {
        let mut seen = self.seen.lock().await;
        if seen.is_some_and(|seen| seen.elapsed() < FRESH) {
            return Ok(());
        }
        self.look_now().await?;
        *seen = Some(Instant::now());
        Ok(())
    }

    async fn look_now(&self) -> Result<()> {
        let (looker, health) = (Arc::clone(&self.looker), Arc::clone(&self.clients.health));
        let seen = blocking(move || {
            let metadata = metadata(&looker, None, &health)?;
            health.well();
            let topics = metadata.topics().iter();
            // The cluster's own topics are not for plugins.
            let topics = topics.filter(|topic| !topic.name().starts_with("__"));
            let seen = topics.filter(|topic| !topic.partitions().is_empty()).map(|topic| {
                let copies = topic.partitions().iter().map(|one| one.replicas().len()).max();
                let copies = u16::try_from(copies.unwrap_or(0)).unwrap_or(u16::MAX);
                (Arc::<str>::from(topic.name()), topic.partitions().len() as u32, copies)
            });
            Ok(seen.collect::<Vec<_>>())
        });
        let seen = seen.await?;
        let old = self.known.load_full();
        let believed =
            |name: &str| old.get(name).filter(|entry| entry.described.elapsed() < SETTINGS_AGE);
        let asked: Vec<_> =
            seen.iter().map(|(name, ..)| name).filter(|name| believed(name).is_none()).collect();
        let described = self.describe(&asked).await?;
        let known: Known = seen
            .iter()
            .map(|(name, partitions, copies)| {
                let entry = believed(name).or_else(|| described.get(&**name)).cloned();
                let mut entry = entry.unwrap_or_else(|| Entry::undescribed(name));
                entry.topic.partitions = *partitions;
                entry.topic.settings.partitions = *partitions;
                entry.topic.settings.replication = Some(*copies);
                (Arc::clone(name), entry)
            })
            .collect();
        let grown = known.iter().any(|(name, entry)| {
            old.get(name).is_none_or(|old| old.topic.partitions < entry.topic.partitions)
        });
        self.known.store(Arc::new(known));
        if grown {
            self.news.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Ask for the settings of topics. Those of which the host may not know them are left out.
    async fn describe(&self, names: &[&Arc<str>]) -> Result<BTreeMap<String, Entry>> {
        let mut described = BTreeMap::new();
        for names in names.chunks(AT_ONCE) {
            let wanted: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
            let options = AdminOptions::new().request_timeout(Some(ANSWER));
            let answers = self.admin.describe_configs(&wanted, &options).await;
            let answers = answers.map_err(|error| {
                self.clients.health.failed("the settings of its topics are not known", &error)
            })?;
            for resource in answers.into_iter().flatten() {
                if let OwnedResourceSpecifier::Topic(name) = &resource.specifier {
                    described.insert(name.clone(), Entry::described(name, &resource));
                }
            }
        }
        Ok(described)
    }
}

/// The topics as the cluster has them now, all or one.
fn metadata(looker: &BaseConsumer<Ears>, topic: Option<&str>, health: &Health) -> Result<Metadata> {
    let asked = looker.fetch_metadata(topic, ANSWER);
    match &asked {
        Ok(_) => pass_over(looker),
        Err(_) => hear(looker),
    }
    asked.map_err(|error| health.failed("its topics are not known", &error))
}
