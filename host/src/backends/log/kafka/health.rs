//! What clients tell of themselves: log lines, trouble with the cluster, numbers.
//!
//! A dead broker is told of by every client, every second; here it becomes one line when it
//! begins and one when it is over.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{counter, gauge};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use serde::Deserialize;

use super::super::Error;

/// How long after the last trouble an error may still come of it.
const RECENT: Duration = Duration::from_secs(30);

/// What a client tells at most between two looks: the rest is heard at the next.
const MOST_NEWS: usize = 32;

/// How the cluster is doing, as all clients see it.
pub struct Health {
    brokers: String,
    trouble: Mutex<Option<Trouble>>,
}

struct Trouble {
    reason: String,
    since: Instant,
    last: Instant,
}

impl Health {
    /// No trouble yet with the cluster that these brokers belong to.
    pub fn new(brokers: &[String]) -> Self {
        Self { brokers: brokers.join(","), trouble: Mutex::default() }
    }

    /// Something does not work. Told once.
    pub fn trouble(&self, reason: &str) {
        let now = Instant::now();
        let mut trouble = self.lock();
        match &mut *trouble {
            Some(known) => {
                known.last = now;
                reason.clone_into(&mut known.reason);
            }
            None => {
                tracing::warn!(brokers = self.brokers, reason, "trouble with the Kafka cluster");
                *trouble = Some(Trouble { reason: reason.to_owned(), since: now, last: now });
            }
        }
    }

    /// No broker can be reached. Where it is known why, that says more.
    fn all_down(&self) {
        let known = self.lock().as_ref().is_some_and(|trouble| trouble.last.elapsed() < RECENT);
        if !known {
            self.trouble("no broker can be reached");
        }
    }

    /// The cluster did something for us.
    pub fn well(&self) {
        let Some(trouble) = self.lock().take() else { return };
        let lasted = trouble.since.elapsed();
        tracing::info!(brokers = self.brokers, ?lasted, "the Kafka cluster answers");
    }

    /// The error for something that was not done, with what is known of why.
    pub fn unavailable(&self, what: impl std::fmt::Display) -> Error {
        let trouble = self.lock();
        let recent = trouble.as_ref().filter(|trouble| trouble.last.elapsed() < RECENT);
        Error::Unavailable(match recent {
            Some(Trouble { reason, .. }) => {
                format!("{what} (brokers `{}`: {reason})", self.brokers)
            }
            None => what.to_string(),
        })
    }

    /// The same for an error of librdkafka, which may hold settings: only its code is shown.
    pub fn failed(&self, what: &str, error: &KafkaError) -> Error {
        match error.rdkafka_error_code() {
            Some(code) => self.unavailable(format_args!("{what}: {code}")),
            None => self.unavailable(what),
        }
    }

    /// Whether the last trouble was that the host is not let in, which waiting does not cure.
    pub fn locked_out(&self) -> Option<String> {
        let trouble = self.lock();
        let reason = trouble.as_ref().map(|trouble| trouble.reason.clone());
        reason.filter(|reason| {
            ["Authentication", "SSL", "SASL"].iter().any(|word| reason.contains(word))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ears of one client.
#[derive(Clone)]
pub struct Ears {
    /// What the client is for, as a label.
    client: Arc<str>,
    health: Arc<Health>,
    /// What is told now is of long ago.
    deaf: Arc<AtomicBool>,
}

impl Ears {
    /// The ears of a client that is for this.
    pub fn new(client: impl Into<Arc<str>>, health: &Arc<Health>) -> Self {
        Self { client: client.into(), health: Arc::clone(health), deaf: Arc::default() }
    }

    /// Where trouble is told.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::debug!(client = %self.client, facility, "{line}");
            }
            _ => tracing::trace!(client = %self.client, facility, "{line}"),
        }
    }

    fn stats_raw(&self, json: &[u8]) {
        match serde_json::from_slice::<Statistics>(json) {
            Ok(statistics) => statistics.record(&self.client),
            Err(error) => tracing::debug!(client = %self.client, %error, "statistics are not read"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            _ if self.deaf.load(Ordering::Relaxed) => {}
            // No trouble: there is nothing more to read.
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => self.health.all_down(),
            Some(code) => self.health.trouble(&format!("{code}: {reason}")),
            None => self.health.trouble(reason),
        }
    }
}

impl ConsumerContext for Ears {}

/// Hear what a client that is not looked after has to tell of itself.
pub fn hear(client: &BaseConsumer<Ears>) {
    for _ in 0..MOST_NEWS {
        drop(client.poll(Duration::ZERO));
    }
}

/// Let such a client have told what it has to, where that is not news: trouble that is over.
pub fn pass_over(client: &BaseConsumer<Ears>) {
    let deaf = &client.context().deaf;
    deaf.store(true, Ordering::Relaxed);
    hear(client);
    deaf.store(false, Ordering::Relaxed);
}

/// What is kept of the statistics of librdkafka, which are many.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Statistics {
    msg_cnt: u64,
    msg_size: u64,
    txmsgs: u64,
    txmsg_bytes: u64,
    rxmsgs: u64,
    rxmsg_bytes: u64,
    brokers: HashMap<String, BrokerStatistics>,
    cgrp: GroupStatistics,
    /// By name.
    pub topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BrokerStatistics {
    nodeid: i64,
    state: String,
    txerrs: u64,
    rxerrs: u64,
    req_timeouts: u64,
    rtt: Window,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    avg: i64,
    p99: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroupStatistics {
    join_state: String,
}

/// Of a topic.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopicStatistics {
    /// By number as a text; -1 stands for none.
    pub partitions: HashMap<String, PartitionStatistics>,
}

/// Of a partition.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct PartitionStatistics {
    /// Behind the last record of the last transaction that is over; negative: not known.
    pub ls_offset: i64,
    /// Up to here everything was fetched when the end was last reached; negative: not yet.
    pub eof_offset: i64,
}

impl Default for PartitionStatistics {
    fn default() -> Self {
        Self { ls_offset: -1, eof_offset: -1 }
    }
}

impl Statistics {
    /// Whether the client has asked its group for a share and waits for the answer.
    pub fn is_asking(&self) -> bool {
        matches!(&*self.cgrp.join_state, "wait-join" | "wait-sync")
    }

    /// Pass them on as metrics of a client.
    pub fn record(&self, client: &Arc<str>) {
        let client = client.to_string();
        let label = |name: &'static str| [(name, client.clone())];
        gauge!("trellis_kafka_queue_records", &label("client")).set(self.msg_cnt as f64);
        gauge!("trellis_kafka_queue_bytes", &label("client")).set(self.msg_size as f64);
        counter!("trellis_kafka_sent_records_total", &label("client")).absolute(self.txmsgs);
        counter!("trellis_kafka_sent_bytes_total", &label("client")).absolute(self.txmsg_bytes);
        counter!("trellis_kafka_received_records_total", &label("client")).absolute(self.rxmsgs);
        counter!("trellis_kafka_received_bytes_total", &label("client")).absolute(self.rxmsg_bytes);
        let up = self.brokers.values().filter(|broker| broker.nodeid >= 0 && broker.state == "UP");
        gauge!("trellis_kafka_brokers_up", &label("client")).set(up.count() as f64);
        for broker in self.brokers.values().filter(|broker| broker.nodeid >= 0) {
            let labels = [("client", client.clone()), ("broker", broker.nodeid.to_string())];
            let errors = broker.txerrs + broker.rxerrs + broker.req_timeouts;
            counter!("trellis_kafka_broker_errors_total", &labels).absolute(errors);
            let seconds = |micros: i64| micros.max(0) as f64 / 1e6;
            gauge!("trellis_kafka_broker_rtt_seconds", &labels).set(seconds(broker.rtt.avg));
            gauge!("trellis_kafka_broker_rtt_p99_seconds", &labels).set(seconds(broker.rtt.p99));
        }
    }
}
