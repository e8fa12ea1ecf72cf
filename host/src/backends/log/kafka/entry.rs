//! One topic as the cluster has it, and what may be written to it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use rdkafka::admin::ConfigResource;

use super::{
    super::{Error, Outgoing, Result, Topic, TopicSettings, route},
    clients::BATCH_BYTES,
};

/// What a set of one record has on top of the record, generously.
pub const OVERHEAD: u64 = 512;

/// A topic and what it takes.
#[derive(Clone)]
pub struct Entry {
    /// As the outside sees it.
    pub topic: Topic,
    /// The largest record set, in bytes.
    set_bytes: u64,
    /// How far a timestamp may lie before or after now, in milliseconds.
    before_ms: i64,
    after_ms: i64,
    /// When its settings were asked for.
    pub described: Instant,
}

/// A record that may be written, and where.
pub struct Placed {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Milliseconds since 1970, or `None`: when it is sent.
    pub timestamp_ms: Option<i64>,
    /// Key, value and headers, packed.
    pub tail: Bytes,
    /// Whether its topic takes no larger sets, so that it travels alone.
    pub single: bool,
}

impl Entry {
    /// A topic whose settings nobody tells: as the cluster's defaults are.
    pub fn undescribed(name: &Arc<str>) -> Self {
        Self {
            topic: Topic {
                name: Arc::clone(name),
                partitions: 1,
                settings: TopicSettings::default(),
            },
            set_bytes: u64::from(TopicSettings::default().max_record_bytes),
            before_ms: i64::MAX,
            after_ms: 3_600_000,
            described: Instant::now(),
        }
    }

    /// A topic with these settings.
    pub fn described(name: &str, resource: &ConfigResource) -> Self {
        let number = |key: &str| resource.get(key)?.value.as_deref()?.parse::<i64>().ok();
        let unlimited = |key: &str| number(key).and_then(|limit| u64::try_from(limit).ok());
        let mut entry = Self::undescribed(&name.into());
        entry.set_bytes = unlimited("max.message.bytes").unwrap_or(entry.set_bytes);
        let record = entry.set_bytes.saturating_sub(OVERHEAD).max(1);
        entry.topic.settings = TopicSettings {
            retention_ms: unlimited("retention.ms"),
            retention_bytes: unlimited("retention.bytes"),
            max_record_bytes: u32::try_from(record).unwrap_or(u32::MAX),
            ..TopicSettings::default()
        };
        entry.before_ms = number("message.timestamp.before.max.ms").unwrap_or(entry.before_ms);
        entry.after_ms = number("message.timestamp.after.max.ms").unwrap_or(entry.after_ms);
        entry
    }

    /// Where a record goes, if the topic takes it. `turn` chooses among the partitions when nothing
    /// else does.
    pub fn accept(&self, record: Outgoing, now_ms: i64, turn: u64) -> Result<Placed> {
        record.check()?;
        let Topic { name, partitions, settings } = &self.topic;
        let (size, limit) = (record.tail.len() as u64, u64::from(settings.max_record_bytes));
        if size > limit {
            return Err(Error::TooLarge { topic: name.to_string(), size, limit });
        }
        if let Some(time) = record.timestamp_ms {
            let early = now_ms.saturating_sub(time) > self.before_ms;
            if early || time.saturating_sub(now_ms) > self.after_ms {
                return Err(Error::InvalidRecord(format!(
                    "topic `{name}` takes no timestamp as far from now as `{time}`"
                )));
            }
        }
        let partition = match (record.partition, record.key()) {
            (Some(partition), _) if partition < *partitions => partition,
            (Some(partition), _) => {
                return Err(Error::UnknownPartition { topic: name.to_string(), partition });
            }
            (None, Some(key)) => route::by_key(key, *partitions),
            (None, None) => (turn % u64::from(*partitions)) as u32,
        };
        Ok(Placed {
            topic: Arc::clone(name),
            partition: partition as i32,
            // librdkafka takes 0 for now.
            timestamp_ms: record.timestamp_ms.map(|time| time.max(1)),
            tail: record.into_tail(settings.max_record_bytes as usize),
            single: self.set_bytes < BATCH_BYTES,
        })
    }
}
