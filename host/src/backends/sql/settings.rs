//! `[sql]`: where databases live, and what those in the data directory may take.

use serde::{Deserialize, Serialize};

use crate::quantity::Bytes;

/// `[sql]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where databases live.
    pub backend: Backend,
    /// Queries of one plugin that run at a time, each on a thread; embedded only.
    pub readers: u32,
    /// The largest database; a plugin that fills it gets `unavailable`; embedded only.
    pub max_bytes: Bytes,
}

/// Where databases live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// In the data directory, one SQLite file a plugin.
    Embedded,
    /// In a PostgreSQL server, one schema a plugin.
    Postgres,
}

impl Default for Settings {
    fn default() -> Self {
        Self { backend: Backend::Embedded, readers: 4, max_bytes: Bytes(16 << 30) }
    }
}
