//! What a topic is, and what it may be.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// The longest name of a topic or a group, in bytes.
pub const MAX_NAME: usize = 249;
/// The most partitions of a topic.
pub const MAX_PARTITIONS: u32 = 1024;
/// The largest record that a topic can allow, in bytes.
pub const MAX_RECORD_BYTES: u32 = 1 << 30;

/// Whether a topic may be called this, or a group in a manifest: 1 to 249 of `[a-zA-Z0-9._-]`, as
/// in Kafka.
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) && !matches!(name, "." | "..")
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name, see [`is_name`].
    pub name: Arc<str>,
    /// How many partitions it has, at least 1.
    pub partitions: u32,
    /// What it was created with.
    pub settings: TopicSettings,
}

/// What a topic is created with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopicSettings {
    /// Partitions, 1 to [`MAX_PARTITIONS`].
    pub partitions: u32,
    /// Records older than this many milliseconds may be deleted; `None`, written as -1, keeps
    /// them for ever.
    #[serde(with = "unlimited")]
    pub retention_ms: Option<u64>,
    /// The oldest records of a partition may be deleted while it holds more bytes than this;
    /// `None`, written as -1: however many.
    #[serde(with = "unlimited")]
    pub retention_bytes: Option<u64>,
    /// The largest record in bytes, key, value and headers together; at most
    /// [`MAX_RECORD_BYTES`].
    pub max_record_bytes: u32,
    /// On how many brokers each record is kept; `None`: as the operator decided. The embedded log
    /// keeps one copy whatever is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<u16>,
}

impl Default for TopicSettings {
    /// Four partitions, seven days, no size limit, 1 MiB a record: Kafka's defaults, but for
    /// the partitions.
    fn default() -> Self {
        Self {
            partitions: 4,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            max_record_bytes: 1 << 20,
            replication: None,
        }
    }
}

/// An optional limit as a number, where -1 stands for none: a missing key means the default,
/// and TOML has no null.
mod unlimited {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(limit: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match limit {
            Some(limit) => to.serialize_u64(*limit),
            None => to.serialize_i64(-1),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        match i64::deserialize(from)? {
            -1 => Ok(None),
            limit => u64::try_from(limit)
                .map(Some)
                .map_err(|_| D::Error::custom(format!("`{limit}` is no limit; -1 means none"))),
        }
    }
}

/// Check what a topic is to be created with.
pub(super) fn check(name: &str, settings: &TopicSettings) -> Result<()> {
    if !is_name(name) {
        return Err(Error::InvalidTopic(format!(
            "`{name}` cannot be a topic; use 1 to {MAX_NAME} of letters, digits, `.`, `_` and `-`"
        )));
    }
    if !(1..=MAX_PARTITIONS).contains(&settings.partitions) {
        return Err(Error::InvalidTopic(format!(
            "topic `{name}` cannot have `{}` partitions; choose 1 to {MAX_PARTITIONS}",
            settings.partitions
        )));
    }
    if !(1..=MAX_RECORD_BYTES).contains(&settings.max_record_bytes) {
        return Err(Error::InvalidTopic(format!(
            "topic `{name}` cannot allow records of `{}` bytes; choose 1 to {MAX_RECORD_BYTES}",
            settings.max_record_bytes
        )));
    }
    Ok(())
}
