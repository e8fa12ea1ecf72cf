//! `[channels]`: how much each plugin may have, and how hosts share channels.

use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Millis};

/// `[channels]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Channels of each plugin.
    pub channels: usize,
    /// The most frames that a manifest may ask to keep of one channel.
    pub max_frames: u32,
    /// The most bytes that a manifest may ask to keep of one channel.
    pub max_bytes: Bytes,
    /// Mailboxes of each plugin.
    pub mailboxes: usize,
    /// Whether hosts whose topics are in one Kafka cluster share their channels.
    pub shared: bool,
    /// The topic through which they do.
    pub topic: String,
    /// How many of its partitions are used; the same on all hosts.
    pub partitions: u32,
    /// How long the topic keeps what went through it, where it is created here.
    pub retention: Millis,
    /// How far back a host that starts reads it ...
    pub history: Millis,
    /// ... and how many bytes of it at most, about.
    pub history_bytes: Bytes,
    /// What may wait for the topic; whoever publishes more waits.
    pub queue_bytes: Bytes,
    /// How often a host tells the others that it is there.
    pub beat: Millis,
    /// A host that has not done so for this time is gone, and its people with it.
    pub lost_after: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channels: 10_000,
            max_frames: 100_000,
            max_bytes: Bytes(64 << 20),
            mailboxes: 10_000,
            shared: true,
            topic: "trellis.channels".to_owned(),
            partitions: 8,
            retention: Millis(3_600_000),
            history: Millis(600_000),
            history_bytes: Bytes(64 << 20),
            queue_bytes: Bytes(32 << 20),
            beat: Millis(2_000),
            lost_after: Millis(10_000),
        }
    }
}
