//! What the house stands on. One folder a kind: `mod.rs` holds the trait with its promises,
//! `contract.rs` the tests that every implementation must pass, and each further file or folder
//! one implementation. A backend knows nothing of WebAssembly; what it hands out is bytes.

pub mod keyvalue;
pub mod log;
pub mod sql;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The backends that the capabilities and the consumer trigger share.
#[derive(Clone)]
pub struct Backends {
    /// Topics.
    pub log: Arc<dyn log::Log>,
    /// Each plugin's database.
    pub sql: Arc<dyn sql::Databases>,
    /// Stores of keys and values.
    pub keyvalue: Arc<dyn keyvalue::KeyValue>,
}

/// Where each backend lives and what it may take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `[log]`
    pub log: LogSettings,
    /// `[sql]`
    pub sql: sql::sqlite::Settings,
}

/// `[log]`: the embedded log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogSettings {
    /// Memory for recent records of all partitions together, in bytes.
    pub tail_bytes: usize,
    /// How often old records are looked for, in milliseconds.
    pub retention_check_ms: u64,
    /// How long a member of a group may keep a partition that goes to another, in milliseconds.
    pub revoke_deadline_ms: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { tail_bytes: 64 << 20, retention_check_ms: 300_000, revoke_deadline_ms: 60_000 }
    }
}

impl Backends {
    /// Open the embedded backends in a directory.
    pub async fn open(settings: &Settings, data: &Path) -> anyhow::Result<Self> {
        let log = log::embedded::Settings {
            directory: data.join("log"),
            tail_bytes: settings.log.tail_bytes,
            retention_check: Duration::from_millis(settings.log.retention_check_ms),
            revoke_deadline: Duration::from_millis(settings.log.revoke_deadline_ms),
        };
        let log = log::embedded::Embedded::open(log).await.context("cannot open the log")?;
        let sql = sql::sqlite::Sqlite::open(settings.sql.clone(), &data.join("sql"));
        let sql = sql.context("cannot open the directory of the databases")?;
        let stores = data.join("keyvalue");
        let keyvalue = tokio::task::spawn_blocking(move || {
            keyvalue::embedded::Embedded::open(&stores).context("cannot open the key-value stores")
        });
        Ok(Self { log: Arc::new(log), sql: Arc::new(sql), keyvalue: Arc::new(keyvalue.await??) })
    }
}
