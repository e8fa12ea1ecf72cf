//! `[log.kafka]`: where the cluster is, how to get in, and how much may be on its way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    quantity::{Bytes, Millis},
    secret::Source,
};

/// `[log.kafka]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Brokers to begin with, each `host:port`; they name the others.
    pub brokers: Vec<String>,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// A file with the certificates that brokers' are checked against, PEM; without it, those of
    /// the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// A file with the host's own certificate, PEM, for brokers that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The file with its key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// How the host says who it is; without it, it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the user's password is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Source>,
    /// On how many brokers each record of a topic that is created here is kept; without it, as
    /// the cluster decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<u16>,
    /// How records are compressed on their way and in the cluster.
    pub compression: Compression,
    /// How long a record waits for others to share its request.
    pub linger: Millis,
    /// Memory for records on their way to the cluster; whoever sends more waits.
    pub queue_bytes: Bytes,
    /// Memory for records of each partition that are fetched ahead of its consumer.
    pub prefetch_bytes: Bytes,
    /// After this time without an acknowledgement a send fails.
    pub delivery_timeout: Millis,
    /// After this time without a sign of life the cluster gives a host's partitions to others.
    pub session_timeout: Millis,
    /// After this time the cluster aborts a transaction that was not ended.
    pub transaction_timeout: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            tls: false,
            ca: None,
            certificate: None,
            key: None,
            sasl: None,
            user: None,
            password: None,
            replication: None,
            compression: Compression::Lz4,
            linger: Millis(1),
            queue_bytes: Bytes(128 << 20),
            prefetch_bytes: Bytes(16 << 20),
            delivery_timeout: Millis(30_000),
            session_timeout: Millis(6_000),
            transaction_timeout: Millis(15_000),
        }
    }
}

/// A way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sasl {
    /// The password itself: only over TLS.
    #[serde(rename = "plain")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// As they are.
    None,
    /// Small and slow.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast.
    Lz4,
    /// Small.
    Zstd,
}
