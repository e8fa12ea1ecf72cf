//! `[cache]`: where values are kept, and what that may take.

use serde::{Deserialize, Serialize};

use crate::quantity::Bytes;

/// `[cache]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where values are kept.
    pub backend: Backend,
    /// Memory for the values of each plugin; embedded only.
    pub max_bytes: Bytes,
}

/// Where values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// In the host's memory.
    Embedded,
}

impl Default for Settings {
    fn default() -> Self {
        Self { backend: Backend::Embedded, max_bytes: Bytes(64 << 20) }
    }
}
