//! What librdkafka tells a member of a group, kept until its driver looks.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::health::{Ears, Statistics};

/// Something that happened in the group.
pub enum Event {
    /// These partitions are to be read; nothing else happens until they are.
    Assigned(TopicPartitionList),
    /// These partitions are to be let go; nothing else happens until they are.
    Revoked {
        /// The partitions.
        list: TopicPartitionList,
        /// Whether others may read them already.
        lost: bool,
    },
    /// How far partitions are.
    Statistics(Statistics),
    /// It cannot go on.
    Failed(RDKafkaErrorCode, String),
}

/// The ears of a member's consumer.
pub struct Happenings {
    client: Arc<str>,
    ears: Ears,
    events: Mutex<VecDeque<Event>>,
    /// Whether anything was heard since this was last asked.
    heard: AtomicBool,
    /// The driver has gone: partitions are let go right away.
    closing: AtomicBool,
}

impl Happenings {
    /// Nothing has happened yet.
    pub fn new(client: impl Into<Arc<str>>, ears: Ears) -> Self {
        Self {
            client: client.into(),
            ears,
            events: Mutex::default(),
            heard: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// The next event.
    pub fn take(&self) -> Option<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whether anything was heard since the last call: then there may be more.
    pub fn heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// Let partitions go right away from now on.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn put(&self, event: Event) {
        self.heard.store(true, Ordering::Relaxed);
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

impl ClientContext for Happenings {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.heard.store(true, Ordering::Relaxed);
        self.ears.log(level, facility, line);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.heard.store(true, Ordering::Relaxed);
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(json) {
            statistics.record(&self.client);
            self.put(Event::Statistics(statistics));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.store(true, Ordering::Relaxed);
        match error.rdkafka_error_code() {
            Some(
                code @ (RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InvalidSessionTimeout
                | RDKafkaErrorCode::InconsistentGroupProtocol),
            ) => self.put(Event::Failed(code, reason.to_owned())),
            // A topic that is not there yet.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            _ => self.ears.error(error, reason),
        }
    }
}

impl ConsumerContext for Happenings {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.heard.store(true, Ordering::Relaxed);
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let answered = match assigned {
                true => consumer.incremental_assign(list),
                false => consumer.incremental_unassign(list),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "partitions are not let go at the end");
            }
        } else if assigned {
            self.put(Event::Assigned(list.clone()));
        } else {
            let lost = consumer.assignment_lost();
            self.put(Event::Revoked { list: list.clone(), lost });
        }
    }
}
