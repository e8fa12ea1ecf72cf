//! What is known of a connection: its tag. It is the only state that a connection has, so the next
//! event may come to any instance and to the next version.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{Proof, Rank};
use crate::phoenix::Ref;

/// A number of the host's.
pub type Connection = u64;

/// The most topics of one connection.
pub const MAX_TOPICS: usize = 8;

/// One connection. Short names, because a tag has 4,096 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Random; who knows it is this client. It is the token of a long poll, and lets a client that
    /// comes back have the name of its lost connection.
    #[serde(rename = "k")]
    pub key: String,
    /// Where it comes from: the address, under a keyed hash.
    #[serde(rename = "o")]
    pub origin: String,
    /// The topics that it joined.
    #[serde(rename = "j", default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Joined>,
    /// What it is called.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What others see of it, as long as it has a name: one `meta` of Phoenix.Presence.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Who it is for certain.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// When it may send all frames of a burst again, in milliseconds since 1970.
    #[serde(rename = "f", default)]
    pub frames_full_ms: u64,
    /// The same of its messages.
    #[serde(rename = "s", default)]
    pub messages_full_ms: u64,
    /// Whether it is in the list of connections.
    #[serde(rename = "l", default)]
    pub listed: bool,
}

/// A topic that a connection joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    #[serde(rename = "t")]
    pub topic: String,
    #[serde(rename = "r")]
    pub join_ref: Ref,
}

impl Session {
    /// One that has just begun.
    pub fn new(key: String, origin: String, proof: Option<Proof>) -> Self {
        Self { key, origin, proof, ..Self::default() }
    }

    /// Read a tag; `None` for what another version wrote in another way.
    pub fn read(tag: &str) -> Option<Self> {
        serde_json::from_str(tag).ok()
    }

    /// The tag. Texts and numbers can always be written.
    pub fn tag(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// How it joined a topic.
    pub fn joined(&self, topic: &str) -> Option<&Joined> {
        self.joined.iter().find(|joined| joined.topic == topic)
    }

    /// The rooms that it is in.
    pub fn rooms(&self) -> Vec<String> {
        let rooms = self.joined.iter().filter(|joined| joined.topic.starts_with("rooms:"));
        rooms.map(|joined| joined.topic.clone()).collect()
    }

    /// Who it is for certain, as long as its token lasts.
    pub fn proof(&self, now_ms: u64) -> Option<&Proof> {
        self.proof.as_ref().filter(|proof| proof.until_ms > now_ms)
    }

    /// What it may do to others.
    pub fn rank(&self, now_ms: u64) -> Rank {
        self.proof(now_ms).map_or(Rank::Nobody, Proof::rank)
    }

    /// Whether it is one of those who keep the order.
    pub fn is_staff(&self, now_ms: u64) -> bool {
        self.rank(now_ms) > Rank::Nobody
    }
}
