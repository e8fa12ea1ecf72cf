//! `[channels]`: how much each plugin may have.

use serde::{Deserialize, Serialize};

use crate::quantity::Bytes;

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channels: 10_000,
            max_frames: 100_000,
            max_bytes: Bytes(64 << 20),
            mailboxes: 10_000,
        }
    }
}
