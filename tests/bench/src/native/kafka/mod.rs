//! The same work on a Kafka cluster, straight on librdkafka with the settings that the host gives
//! it.

use std::time::Duration;

use anyhow::Result;
use rdkafka::{
    ClientConfig,
    client::DefaultClientContext,
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    util::{AsyncRuntime, Timeout},
};
use tokio::time::Sleep;

pub mod counters;
mod reading;
pub mod relay;

/// What every client is told.
fn client(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("client.id", "native");
    config
}

/// What every producer is told, as the host does.
fn producer(broker: &str) -> ClientConfig {
    let mut config = client(broker);
    config
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2147483647");
    config
}

/// The runtime of this program.
struct Tokio;

impl AsyncRuntime for Tokio {
    type Delay = Sleep;

    fn spawn<T: Future<Output = ()> + Send + 'static>(task: T) {
        tokio::spawn(task);
    }

    fn delay_for(duration: Duration) -> Sleep {
        tokio::time::sleep(duration)
    }
}

/// Writes single records, each durable before it is answered.
pub struct Writer(FutureProducer<DefaultClientContext, Tokio>);

impl Writer {
    /// A producer of its own.
    pub fn new(broker: &str) -> Result<Self> {
        Ok(Self(producer(broker).set("linger.ms", "1").create()?))
    }

    /// Write one record; whether all in-sync replicas have it.
    pub async fn write(&self, topic: &str, key: &[u8], value: &[u8]) -> bool {
        let record = FutureRecord::to(topic).key(key).payload(value);
        self.0.send(record, Timeout::Never).await.is_ok()
    }
}

/// How long a call of the cluster may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An error that is none, because the queue was empty only.
fn is_nothing(error: &KafkaError) -> bool {
    matches!(error, KafkaError::PartitionEOF(_))
}
