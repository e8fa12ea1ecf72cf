//! What the house stands on. One folder a kind: `mod.rs` holds the trait with its promises,
//! `contract.rs` the tests that every implementation must pass, and each further file or folder
//! one implementation. A backend knows nothing of WebAssembly; what it hands out is bytes.

pub mod keyvalue;
pub mod log;
pub mod sql;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::quantity::{Bytes, Millis};

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
    /// Memory for recent records of all partitions together.
    pub tail_bytes: Bytes,
    /// How often old records are looked for.
    pub retention_check: Millis,
    /// How long a member of a group may keep a partition that goes to another.
    pub revoke_deadline: Millis,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            tail_bytes: Bytes(64 << 20),
            retention_check: Millis(300_000),
            revoke_deadline: Millis(60_000),
        }
    }
}

impl Backends {
    /// Open the embedded backends in a directory.
    pub async fn open(settings: &Settings, data: &Path) -> anyhow::Result<Self> {
        let log = log::embedded::Settings {
            directory: data.join("log"),
            tail_bytes: settings.log.tail_bytes.as_usize(),
            retention_check: settings.log.retention_check.into(),
            revoke_deadline: settings.log.revoke_deadline.into(),
        };
        let log = log::embedded::Embedded::open(log).await?;
        let sql = sql::sqlite::Sqlite::open(settings.sql.clone(), &data.join("sql"));
        let sql = sql.context("cannot open the directory of the databases")?;
        let stores = data.join("keyvalue");
        let keyvalue = tokio::task::spawn_blocking(move || {
            keyvalue::embedded::Embedded::open(&stores).context("cannot open the key-value stores")
        });
        Ok(Self { log: Arc::new(log), sql: Arc::new(sql), keyvalue: Arc::new(keyvalue.await??) })
    }
}
