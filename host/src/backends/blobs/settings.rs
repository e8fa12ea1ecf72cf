//! `[blobs]`: what blobs may take.

use serde::{Deserialize, Serialize};

use crate::quantity::Bytes;

/// `[blobs]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What a manifest may ask for at most in `[needs.blobs] max-bytes`.
    pub max_bytes: Bytes,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_bytes: Bytes(64 << 30) }
    }
}
