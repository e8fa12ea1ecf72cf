//! What the topics that a partition writes to allow, asked of the log once.

use std::{collections::HashMap, sync::Arc};

use crate::backends::log::{Error, Log, MAX_RECORD_BYTES, Outgoing, Result, Topic, TopicSettings};

/// Dead letters are kept for thirty days: long enough for somebody to look.
const DEAD_LETTER_RETENTION_MS: u64 = 30 * 24 * 3600 * 1000;
/// What a dead letter may have on top of the message: its headers with the error.
const DEAD_LETTER_EXTRA: u32 = 64 << 10;

/// The topics that were seen.
pub struct Topics {
    log: Arc<dyn Log>,
    known: HashMap<Arc<str>, Topic>,
}

impl Topics {
    /// Nothing seen yet.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log, known: HashMap::new() }
    }

    /// Why the log would refuse one of these records, if it would. A commit takes all or none,
    /// and one that can never succeed must not come to it.
    ///
    /// # Errors
    /// When the log cannot tell.
    pub async fn refusal(&mut self, records: &[Outgoing]) -> Result<Option<Error>> {
        let mut last: Option<&Arc<str>> = None;
        let news = records.iter().map(|record| &record.topic).any(|topic| {
            let seen = last.is_some_and(|last| Arc::ptr_eq(last, topic));
            last = Some(topic);
            !seen && !self.known.contains_key(topic)
        });
        if news {
            self.look().await?;
        }
        Ok(self.first_refusal(records))
    }

    fn first_refusal(&self, records: &[Outgoing]) -> Option<Error> {
        let mut last: Option<&Topic> = None;
        for record in records {
            let topic = match last {
                Some(topic) if *topic.name == *record.topic => topic,
                _ => match self.known.get(&record.topic) {
                    Some(topic) => topic,
                    None => return Some(Error::UnknownTopic(record.topic.to_string())),
                },
            };
            last = Some(topic);
            if let Some(error) = refuses(topic, record) {
                return Some(error);
            }
        }
        None
    }

    /// The dead-letter topic for messages of `origin`, created when it is missing.
    ///
    /// # Errors
    /// When the log cannot tell or create it.
    pub async fn dead_letter(&mut self, name: &str, origin: &str) -> Result<Topic> {
        loop {
            if let Some(topic) = self.known.get(name) {
                return Ok(topic.clone());
            }
            self.look().await?;
            if self.known.contains_key(name) {
                continue;
            }
            let largest = self.known.get(origin).map(|topic| topic.settings.max_record_bytes);
            let largest = largest.unwrap_or(TopicSettings::default().max_record_bytes);
            let settings = TopicSettings {
                partitions: 1,
                retention_ms: Some(DEAD_LETTER_RETENTION_MS),
                max_record_bytes: largest.saturating_add(DEAD_LETTER_EXTRA).min(MAX_RECORD_BYTES),
                ..TopicSettings::default()
            };
            match self.log.create(name, settings).await {
                Ok(()) | Err(Error::TopicExists(_)) => self.look().await?,
                Err(error) => return Err(error),
            }
            if !self.known.contains_key(name) {
                return Err(Error::Unavailable(format!("topic `{name}` is not there yet")));
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let topics = self.log.topics().await?;
        self.known = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
        Ok(())
    }
}

fn refuses(topic: &Topic, record: &Outgoing) -> Option<Error> {
    let (name, size) = (topic.name.to_string(), record.tail.len() as u64);
    let limit = u64::from(topic.settings.max_record_bytes);
    match record.partition {
        Some(partition) if partition >= topic.partitions => {
            Some(Error::UnknownPartition { topic: name, partition })
        }
        _ if size > limit => Some(Error::TooLarge { topic: name, size, limit }),
        _ => None,
    }
}
