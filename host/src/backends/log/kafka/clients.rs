//! How each kind of client of the cluster is made. Every client has threads of its own in
//! librdkafka and connections of its own.

use std::{sync::Arc, time::Duration};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::{
    super::{
        Result,
        settings::kafka::{Compression, Sasl, Settings},
    },
    health::Health,
};
use crate::{quantity::Millis, secret::Secret};

/// How long the cluster may take to answer a question about topics, offsets or groups.
pub const ANSWER: Duration = Duration::from_secs(10);
/// The largest record set that a producer of many records a request builds, in bytes. A topic
/// that allows less is written one record at a time: the cluster refuses a set as a whole.
pub const BATCH_BYTES: u64 = 1_000_000;
/// The largest record that librdkafka takes.
const LARGEST: &str = "1000000000";
/// How often clients tell of themselves.
const STATISTICS: Millis = Millis(1000);

/// The settings that all clients share, and where they tell of trouble.
pub struct Clients {
    base: ClientConfig,
    settings: Settings,
    /// Where trouble is told.
    pub health: Arc<Health>,
}

impl Clients {
    /// Read the password and lay out what all clients share.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub async fn new(settings: Settings) -> anyhow::Result<Self> {
        let password = match &settings.password {
            Some(source) => Some(source.read().await?),
            None => None,
        };
        let base = base(&settings, password.as_ref());
        let health = Arc::new(Health::new(&settings.brokers));
        Ok(Self { base, settings, health })
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Creates and describes topics.
    pub fn admin(&self) -> ClientConfig {
        self.base.clone()
    }

    /// Looks at topics and their ends.
    pub fn looker(&self) -> ClientConfig {
        self.reading()
    }

    /// Writes records: each exactly once and in order, acknowledged by all in-sync replicas.
    /// `single` puts one record in a set.
    pub fn producer(&self, single: bool) -> ClientConfig {
        let mut config = self.writing(single);
        config
            .set("message.timeout.ms", millis(self.settings.delivery_timeout))
            .set("linger.ms", millis(self.settings.linger))
            .set("statistics.interval.ms", millis(STATISTICS));
        config
    }

    /// Writes transactions under an id; a client with the same id ends those of all before it.
    pub fn transactional(&self, id: &str, single: bool) -> ClientConfig {
        let mut config = self.writing(single);
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", millis(self.settings.transaction_timeout))
            // All records of a transaction are there before the first could leave.
            .set("linger.ms", "0")
            // That all were written shows when the transaction is committed.
            .set("delivery.report.only.error", "true");
        config
    }

    fn writing(&self, single: bool) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("enable.idempotence", "true")
            .set("compression.type", codec(self.settings.compression))
            .set("batch.size", BATCH_BYTES.to_string())
            .set("batch.num.messages", if single { "1" } else { "100000" })
            .set("message.max.bytes", LARGEST)
            // Bounded in bytes by whoever sends.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "2147483647")
            .set("request.timeout.ms", "10000");
        config
    }

    /// Reads partitions that it takes itself, as no group's member. It is told where each ends.
    pub fn reader(&self) -> ClientConfig {
        let mut config = self.reading();
        // An assignment takes a group; nothing is ever committed under this one.
        config.set("group.id", "trellis-readers").set("enable.partition.eof", "true");
        config
    }

    /// Asks which records there are, but for those of transactions that are open.
    pub fn asker(&self, group: &str) -> ClientConfig {
        let mut config = self.reading();
        config.set("group.id", group);
        config
    }

    /// Asks for and moves the offsets of a group without being a member. It is told what was
    /// committed last, also while a transaction is about to commit more.
    pub fn offsets(&self, group: &str) -> ClientConfig {
        let mut config = self.asker(group);
        config.set("isolation.level", "read_uncommitted");
        config
    }

    /// A member of a group.
    pub fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.reading();
        let session = self.settings.session_timeout;
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(session))
            // A heartbeat also tells that others came or went.
            .set("heartbeat.interval.ms", millis(Millis((session.0 / 12).max(1))))
            // How soon topics and partitions that others made are taken up.
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("statistics.interval.ms", millis(STATISTICS));
        config
    }

    fn reading(&self) -> ClientConfig {
        let mut config = self.base.clone();
        let prefetch = (self.settings.prefetch_bytes.0 / 1024).clamp(1, 2_000_000);
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // Records that are gone before they were read: go on with the oldest that is kept.
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", prefetch.to_string())
            // A partition that was full is fetched again once there is room, not a second later.
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            .set("fetch.wait.max.ms", "500");
        config
    }
}

fn base(settings: &Settings, password: Option<&Secret>) -> ClientConfig {
    let mut config = ClientConfig::new();
    let protocol = match (settings.tls, settings.sasl) {
        (false, None) => "plaintext",
        (true, None) => "ssl",
        (false, Some(_)) => "sasl_plaintext",
        (true, Some(_)) => "sasl_ssl",
    };
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", "trellis")
        .set("security.protocol", protocol)
        .set("allow.auto.create.topics", "false")
        .set("socket.keepalive.enable", "true")
        .set("socket.timeout.ms", "10000")
        // A broker that comes back is found within a second.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("retry.backoff.ms", "50")
        .set_log_level(RDKafkaLogLevel::Notice);
    let files = [
        ("ssl.ca.location", &settings.ca),
        ("ssl.certificate.location", &settings.certificate),
        ("ssl.key.location", &settings.key),
    ];
    for (key, file) in files {
        if let Some(file) = file.as_ref().filter(|_| settings.tls) {
            config.set(key, file.to_string_lossy());
        }
    }
    if let Some(sasl) = settings.sasl {
        config.set("sasl.mechanisms", mechanism(sasl));
        config.set("sasl.username", settings.user.as_deref().unwrap_or_default());
        if let Some(password) = password {
            config.set("sasl.password", &*password.reveal());
        }
    }
    config
}

fn millis(time: Millis) -> String {
    time.0.to_string()
}

/// Run what waits for the cluster away from the threads that serve.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| super::super::Error::Unavailable(format!("a task ended: {error}")))?
}

/// As the protocol calls it.
fn mechanism(sasl: Sasl) -> &'static str {
    match sasl {
        Sasl::Plain => "PLAIN",
        Sasl::ScramSha256 => "SCRAM-SHA-256",
        Sasl::ScramSha512 => "SCRAM-SHA-512",
    }
}

/// As the protocol calls it.
fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}
