//! The contract against a real broker, and what only Kafka promises.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::OnceLock;

use servers::Broker;

use super::{
    super::{
        Change, Position, Reader,
        contract::{self, Subject},
    },
    *,
};

/// One broker for all tests of this process: names are new in each.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(None))
}

async fn started() -> &'static Broker {
    tokio::task::spawn_blocking(broker).await.unwrap()
}

fn settings(broker: &Broker) -> Settings {
    Settings { brokers: vec![broker.plain().to_owned()], ..Settings::default() }
}

async fn open(settings: Settings) -> Kafka {
    Kafka::open(settings, Duration::from_secs(60)).await.unwrap()
}

/// A host's log in the shared cluster.
struct Host(Kafka);

impl Host {
    async fn start() -> Self {
        Self(open(settings(started().await)).await)
    }
}

impl Subject for Host {
    fn log(&self) -> &dyn Log {
        &self.0
    }

    /// The host goes without a word, and another comes.
    async fn restarted(self) -> Self {
        Self(open(settings(started().await)).await)
    }
}

contract::promises!(Host::start());

mod access;
mod outage;
mod refusal;
mod topics;
mod zombie;

/// A topic that keeps everything.
async fn topic(log: &Kafka, name: &str) -> Arc<str> {
    let name: Arc<str> = format!("{name}-{:016x}", fastrand::u64(..)).into();
    let settings = TopicSettings { partitions: 1, retention_ms: None, ..TopicSettings::default() };
    log.create(&name, settings).await.unwrap();
    name
}

async fn send(log: &Kafka, topic: &Arc<str>, value: &str) -> Result<Position> {
    let record = Outgoing::new(Arc::clone(topic), None, Some(value.as_bytes()), &[]);
    log.produce(vec![record]).await.remove(0)
}

/// All values of a topic with one partition.
async fn values(log: &Kafka, topic: &Arc<str>) -> Vec<String> {
    let limit = Limit { records: 1000, bytes: 1 << 20, wait: Duration::from_millis(500) };
    let place = Partition { topic: Arc::clone(topic), partition: 0 };
    let (mut next, mut all) = (0, Vec::new());
    loop {
        let batch = log.read(place.clone(), next, limit).await.unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.records().map(|record| {
            String::from_utf8(record.tail.value().unwrap_or_default().to_vec()).unwrap()
        }));
        next = batch.next;
    }
}

/// Join and wait until the only partition is there.
async fn read_as(
    log: &Kafka,
    group: &Arc<str>,
    topic: &Arc<str>,
) -> (Box<dyn Member>, Box<dyn Reader>) {
    let topics = vec![Arc::clone(topic)];
    let subscription = Subscription { group: Arc::clone(group), topics, start: Start::Earliest };
    let mut member = log.join(subscription).await.unwrap();
    let change = tokio::time::timeout(Duration::from_secs(60), member.next()).await;
    let Change::Assigned(mut readers) = change.unwrap().unwrap() else {
        panic!("nothing was to be revoked");
    };
    (member, readers.remove(0))
}
