//! The topics in memory, and where each record of a producer goes.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    super::{Error, Outgoing, Result, Topic, TopicSettings, route},
    partition::Partition,
};

/// All topics. Never changed: the writer replaces it when a topic is created.
#[derive(Clone, Default)]
pub struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<TopicEntry>>,
}

/// A topic and its partitions.
pub struct TopicEntry {
    /// Its name.
    pub name: Arc<str>,
    /// What it was created with.
    pub settings: TopicSettings,
    /// Its partitions by number.
    pub partitions: Vec<Arc<Partition>>,
}

/// A record that may be written.
pub struct Item {
    /// Where it goes.
    pub target: Target,
    /// Milliseconds since 1970, or `None`: when it is written.
    pub timestamp_ms: Option<i64>,
    /// Key, value and headers, packed.
    pub tail: Bytes,
}

/// Where a record goes.
#[derive(Clone, Copy)]
pub enum Target {
    /// To the partition with this id.
    Partition(u32),
    /// To any of `count` partitions from id `first` on: the writer spreads them.
    Any {
        /// The id of the topic's first partition.
        first: u32,
        /// How many it has.
        count: u32,
    },
}

impl Topics {
    /// A topic.
    pub fn get(&self, name: &str) -> Result<&Arc<TopicEntry>> {
        self.by_name.get(name).ok_or_else(|| Error::UnknownTopic(name.to_owned()))
    }

    /// A partition of a topic.
    pub fn partition(&self, topic: &str, number: u32) -> Result<&Arc<Partition>> {
        self.get(topic)?.partition(number)
    }

    /// All topics by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicEntry>> {
        self.by_name.values()
    }

    /// These and one more.
    pub fn with(&self, topic: TopicEntry) -> Self {
        let mut more = self.clone();
        more.by_name.insert(Arc::clone(&topic.name), Arc::new(topic));
        more
    }

    /// Find where each record goes; one answer a record.
    pub fn resolve(&self, records: Vec<Outgoing>) -> impl Iterator<Item = Result<Item>> {
        // Mostly all records of a call have one topic: look it up once.
        let mut last: Option<Arc<TopicEntry>> = None;
        records.into_iter().map(move |record| {
            if last.as_ref().is_none_or(|topic| topic.name != record.topic) {
                last = Some(Arc::clone(self.get(&record.topic)?));
            }
            match &last {
                Some(topic) => topic.accept(record),
                None => Err(Error::UnknownTopic(record.topic.to_string())),
            }
        })
    }
}

impl TopicEntry {
    /// What the outside sees of it.
    pub fn describe(&self) -> Topic {
        Topic {
            name: Arc::clone(&self.name),
            partitions: self.partitions.len() as u32,
            settings: self.settings.clone(),
        }
    }

    fn partition(&self, number: u32) -> Result<&Arc<Partition>> {
        self.partitions.get(number as usize).ok_or_else(|| Error::UnknownPartition {
            topic: self.name.to_string(),
            partition: number,
        })
    }

    fn accept(&self, record: Outgoing) -> Result<Item> {
        record.check()?;
        let limit = self.settings.max_record_bytes;
        if record.tail.len() > limit as usize {
            return Err(Error::TooLarge {
                topic: self.name.to_string(),
                size: record.tail.len() as u64,
                limit: u64::from(limit),
            });
        }
        let (first, count) = (self.partition(0)?.id, self.partitions.len() as u32);
        let target = match (record.partition, record.key()) {
            (Some(number), _) => Target::Partition(self.partition(number)?.id),
            (None, Some(key)) => Target::Partition(first + route::by_key(key, count)),
            (None, None) => Target::Any { first, count },
        };
        let timestamp_ms = record.timestamp_ms;
        Ok(Item { target, timestamp_ms, tail: record.into_tail(limit as usize) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::super::Range, *};

    fn topics() -> Topics {
        let name: Arc<str> = "t".into();
        let partition = |number| {
            let range = Range { start: 0, end: 0 };
            Arc::new(Partition::new(10 + number, Arc::clone(&name), number, range))
        };
        Topics::default().with(TopicEntry {
            settings: TopicSettings { max_record_bytes: 100, ..TopicSettings::default() },
            partitions: (0..4).map(partition).collect(),
            name: Arc::clone(&name),
        })
    }

    fn target(record: Outgoing) -> Result<Target> {
        topics().resolve(vec![record]).next().unwrap().map(|item| item.target)
    }

    #[test]
    fn a_partition_wins_over_a_key_and_a_key_over_spreading() {
        let mut record = Outgoing::new("t".into(), Some(b"foobar"), None, &[]);
        let expected = 10 + route::by_key(b"foobar", 4);
        assert!(matches!(target(record.clone()), Ok(Target::Partition(id)) if id == expected));
        record.partition = Some(3);
        assert!(matches!(target(record), Ok(Target::Partition(13))));
        let keyless = Outgoing::new("t".into(), None, None, &[]);
        assert!(matches!(target(keyless), Ok(Target::Any { first: 10, count: 4 })));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let unknown = Outgoing::new("u".into(), None, None, &[]);
        assert!(matches!(target(unknown), Err(Error::UnknownTopic(name)) if name == "u"));
        let large = Outgoing::new("t".into(), None, Some(&[0; 100]), &[]);
        assert!(matches!(target(large), Err(Error::TooLarge { size: 112, limit: 100, .. })));
        let mut beyond = Outgoing::new("t".into(), None, None, &[]);
        beyond.partition = Some(4);
        assert!(matches!(target(beyond), Err(Error::UnknownPartition { partition: 4, .. })));
    }
}
