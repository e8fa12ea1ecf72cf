//! `[keyvalue]`: where the stores live.

use serde::{Deserialize, Serialize};

/// `[keyvalue]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the stores live.
    pub backend: Backend,
}

/// Where the stores live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// In the data directory.
    Embedded,
    /// In a PostgreSQL server.
    Postgres,
}

impl Default for Settings {
    fn default() -> Self {
        Self { backend: Backend::Embedded }
    }
}
