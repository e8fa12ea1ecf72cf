//! What a host tells of itself: one shape for the store, the admin API and the command line.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::plugins::{Status, status};

/// A host as it was heard of last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Node {
    /// Another one at each start.
    pub id: String,
    /// What it is called; two may have one name.
    pub name: String,
    /// Where it is in its life.
    pub state: State,
    /// Of the program.
    pub version: String,
    /// Where it answers.
    #[serde(flatten)]
    pub addresses: Addresses,
    /// When it started, in milliseconds since 1970 by its own clock.
    pub started_ms: u64,
    /// When it told of itself last, likewise.
    pub heard_ms: u64,
    /// Its plugins by name.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
}

/// Where a host answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Addresses {
    /// Plugins.
    pub http: Vec<SocketAddr>,
    /// The admin API.
    pub admin: SocketAddr,
}

/// Where a host is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its plugins are being loaded.
    Starting,
    /// It serves.
    Ready,
    /// It was told to stop; calls in progress end first.
    Stopping,
    /// Nothing was heard of it for too long.
    Lost,
}

impl State {
    /// As it is shown and written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
            Self::Lost => "lost",
        }
    }
}

/// A plugin of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub state: status::State,
    /// The version in its manifest.
    #[serde(default)]
    pub version: Option<String>,
    /// The digest of the component that serves, in hexadecimal.
    #[serde(default)]
    pub digest: Option<String>,
}

impl From<&Status> for Plugin {
    fn from(status: &Status) -> Self {
        Self {
            name: status.name.clone(),
            state: status.state,
            version: status.version.clone(),
            digest: status.digest.clone(),
        }
    }
}

impl Node {
    /// A host that begins now.
    pub fn starting(name: String, addresses: Addresses, now_ms: u64) -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            name,
            state: State::Starting,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses,
            started_ms: now_ms,
            heard_ms: now_ms,
            plugins: Vec::new(),
        }
    }

    /// For how long nothing was heard of it, in milliseconds. A clock that runs ahead counts as
    /// just heard.
    pub fn silent_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }
}
