//! `[cache]`: where values are kept, and what that may take.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    quantity::{Bytes, Millis},
    secret::Source,
};

/// `[cache]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where values are kept.
    pub backend: Backend,
    /// Memory for the values of each plugin; embedded only.
    pub max_bytes: Bytes,
    /// `[cache.redis]`
    pub redis: Redis,
}

/// Where values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// In the host's memory.
    Embedded,
    /// In a Redis that hosts share.
    Redis,
}

impl Default for Settings {
    fn default() -> Self {
        Self { backend: Backend::Embedded, max_bytes: Bytes(64 << 20), redis: Redis::default() }
    }
}

/// `[cache.redis]`: where the server is, and how to get in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redis {
    /// `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A file with the certificates that the server's is checked against, PEM; without it, those
    /// of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The user's name; without it, Redis's default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the user's password is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Source>,
    /// What the keys of all plugins begin with, before a colon.
    pub prefix: String,
    /// The longest wait for a connection.
    pub connect_timeout: Millis,
    /// The longest wait for an answer.
    pub timeout: Millis,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            address: None,
            tls: false,
            ca: None,
            user: None,
            password: None,
            prefix: "trellis".into(),
            connect_timeout: Millis(1000),
            timeout: Millis(500),
        }
    }
}
