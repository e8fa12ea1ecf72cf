//! What the guest `bench-relay` does, as transactions of a consumer and a producer a partition.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    super::relay::kept,
    PATIENCE, producer,
    reading::{self, Reader},
};

const FROM: &str = "relay-in";
const TO: &str = "relay-out";
/// A transaction ends after so many records, ...
const RECORDS: usize = 16_000;
/// ... or after this time.
const LASTS: Duration = Duration::from_millis(100);

/// Relay everything; the seconds it took.
pub fn run(broker: &str) -> Result<f64> {
    reading::run(broker, FROM, "native-relay", |reader| partition(broker, &reader))
}

fn partition(broker: &str, reader: &Reader) -> Result<()> {
    let id = format!("native-relay-{}", reader.partition);
    let mut config = producer(broker);
    let producer: BaseProducer = config
        .set("transactional.id", id)
        .set("linger.ms", "0")
        .set("delivery.report.only.error", "true")
        .create()?;
    producer.init_transactions(PATIENCE)?;
    let mut done = 0;
    while done < reader.end {
        done = transaction(&producer, reader, done)?;
    }
    Ok(())
}

/// One transaction, from an offset on; where the next begins.
fn transaction(producer: &BaseProducer, reader: &Reader, from: u64) -> Result<u64> {
    let (mut next, mut records) = (from, 0);
    producer.begin_transaction()?;
    let begun = Instant::now();
    while records < RECORDS && begun.elapsed() < LASTS && next < reader.end {
        let Some(message) = reader.next()? else { continue };
        let value = kept(message.payload().unwrap_or(b"null"))?;
        let record = BaseRecord::to(TO).payload(&value);
        let record = match message.key() {
            Some(key) => record.key(key),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error)?;
        (next, records) = (u64::try_from(message.offset())? + 1, records + 1);
    }
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(FROM, reader.partition, Offset::Offset(next.cast_signed()))?;
    producer.send_offsets_to_transaction(&offsets, &reader.group, PATIENCE)?;
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::ZERO);
        thread::sleep(Duration::from_millis(1));
    }
    producer.commit_transaction(PATIENCE)?;
    Ok(next)
}
