//! What the house stands on. One folder a kind: `mod.rs` holds the trait with its promises,
//! `contract.rs` the tests that every implementation must pass, and each further file or folder
//! one implementation. A backend knows nothing of WebAssembly; what it hands out is bytes.

pub mod cache;
pub mod keyvalue;
pub mod log;
pub mod sql;

use std::{path::Path, sync::Arc};

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
    /// Each plugin's values that may be forgotten.
    pub cache: Arc<dyn cache::Caches>,
}

/// Where each backend lives and what it may take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `[log]`
    pub log: log::Settings,
    /// `[sql]`
    pub sql: sql::sqlite::Settings,
    /// `[cache]`
    pub cache: cache::Settings,
}

impl Backends {
    /// Open the backends; what is embedded lives in a directory.
    pub async fn open(settings: &Settings, data: &Path) -> anyhow::Result<Self> {
        let log = open_log(&settings.log, data).await?;
        let sql = sql::sqlite::Sqlite::open(settings.sql.clone(), &data.join("sql"));
        let sql = sql.context("cannot open the directory of the databases")?;
        let stores = data.join("keyvalue");
        let keyvalue = tokio::task::spawn_blocking(move || {
            keyvalue::embedded::Embedded::open(&stores).context("cannot open the key-value stores")
        });
        let cache = open_cache(&settings.cache).await?;
        Ok(Self { log, sql: Arc::new(sql), keyvalue: Arc::new(keyvalue.await??), cache })
    }
}

async fn open_log(settings: &log::Settings, data: &Path) -> anyhow::Result<Arc<dyn log::Log>> {
    Ok(match settings.backend {
        log::Backend::Embedded => {
            Arc::new(log::embedded::Embedded::open(settings.clone(), &data.join("log")).await?)
        }
        #[cfg(feature = "kafka")]
        log::Backend::Kafka => {
            let (settings, deadline) = (settings.kafka.clone(), settings.revoke_deadline.into());
            let opened = log::kafka::Kafka::open(settings, deadline).await;
            Arc::new(opened.context("`[log.kafka]` cannot be used")?)
        }
        #[cfg(not(feature = "kafka"))]
        log::Backend::Kafka => anyhow::bail!(
            "this build has no Kafka client, which `[log] backend = \"kafka\"` needs; build it with \
             `cargo build --release --features kafka`"
        ),
    })
}

async fn open_cache(settings: &cache::Settings) -> anyhow::Result<Arc<dyn cache::Caches>> {
    Ok(match settings.backend {
        cache::Backend::Embedded => Arc::new(cache::embedded::Embedded::new(settings)),
        cache::Backend::Redis => {
            let opened = cache::redis::Redis::open(&settings.redis).await;
            Arc::new(opened.context("`[cache.redis]` cannot be used")?)
        }
    })
}
