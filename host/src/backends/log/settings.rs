//! `[log]`: where topics live, and what that may take.

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Millis};

pub mod kafka;

/// `[log]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where topics live.
    pub backend: Backend,
    /// Memory for recent records of all partitions together; embedded only.
    pub tail_bytes: Bytes,
    /// How often records are looked for that need not be kept; embedded only.
    pub retention_check: Millis,
    /// How long a member of a group may keep a partition that goes to another.
    pub revoke_deadline: Millis,
    /// `[log.kafka]`
    pub kafka: kafka::Settings,
}

/// Where topics live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// In the data directory.
    Embedded,
    /// In a Kafka cluster.
    Kafka,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::Embedded,
            tail_bytes: Bytes(64 << 20),
            retention_check: Millis(300_000),
            revoke_deadline: Millis(60_000),
            kafka: kafka::Settings::default(),
        }
    }
}
