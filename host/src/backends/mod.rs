//! What the house stands on. One folder a kind: `mod.rs` holds the trait with its promises,
//! `contract.rs` the tests that every implementation must pass, and each further file or folder
//! one implementation. A backend knows nothing of WebAssembly; what it hands out is bytes.

pub mod blobs;
pub mod cache;
pub mod channels;
pub mod keyvalue;
pub mod log;
pub mod postgres;
pub mod sql;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::world::World;

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
    /// Each plugin's blobs.
    pub blobs: Arc<dyn blobs::Blobs>,
    /// Each plugin's channels and connections.
    pub channels: Arc<channels::Hub>,
    /// Where the time comes from, and what else is not the house's own.
    pub world: World,
}

/// Where each backend lives and what it may take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `[log]`
    pub log: log::Settings,
    /// `[sql]`
    pub sql: sql::Settings,
    /// `[keyvalue]`
    pub keyvalue: keyvalue::Settings,
    /// `[postgres]`
    pub postgres: postgres::Settings,
    /// `[cache]`
    pub cache: cache::Settings,
    /// `[blobs]`
    pub blobs: blobs::Settings,
    /// `[channels]`
    pub channels: channels::Settings,
}

impl Settings {
    /// Whether anything stands on PostgreSQL.
    pub fn need_postgres(&self) -> bool {
        self.sql.backend == sql::Backend::Postgres
            || self.keyvalue.backend == keyvalue::Backend::Postgres
    }

    /// The same with everything in the data directory.
    pub fn embedded(&self) -> Self {
        let mut settings = self.clone();
        settings.log.backend = log::Backend::Embedded;
        settings.sql.backend = sql::Backend::Embedded;
        settings.keyvalue.backend = keyvalue::Backend::Embedded;
        settings.cache.backend = cache::Backend::Embedded;
        settings
    }
}

/// A server that a backend stands on refuses the host, or is not named right.
#[derive(Debug, thiserror::Error)]
#[error("`[{0}]` cannot be used")]
pub struct Unusable(&'static str);

impl Backends {
    /// Open the backends; what is embedded lives in a directory.
    pub async fn open(settings: &Settings, data: &Path) -> anyhow::Result<Self> {
        Self::open_in(World::default(), settings, data).await
    }

    /// The same in another world.
    pub async fn open_in(world: World, settings: &Settings, data: &Path) -> anyhow::Result<Self> {
        let log = open_log(&settings.log, data, &world).await?;
        let server = open_server(settings).await?;
        let sql = open_sql(settings, server.as_ref(), data)?;
        let keyvalue = open_keyvalue(settings, server.as_ref(), data).await?;
        let cache = open_cache(&settings.cache).await?;
        let blobs = open_blobs(&settings.blobs, data).await?;
        let channels = open_channels(settings, &log, &world);
        Ok(Self { log, sql, keyvalue, cache, blobs, channels, world })
    }
}

async fn open_log(
    settings: &log::Settings,
    data: &Path,
    world: &World,
) -> anyhow::Result<Arc<dyn log::Log>> {
    Ok(match settings.backend {
        log::Backend::Embedded => {
            let (settings, directory) = (settings.clone(), data.join("log"));
            let world = world.clone();
            Arc::new(log::embedded::Embedded::open_in(world, settings, &directory).await?)
        }
        #[cfg(feature = "kafka")]
        log::Backend::Kafka => {
            let (settings, deadline) = (settings.kafka.clone(), settings.revoke_deadline.into());
            let opened = log::kafka::Kafka::open(settings, deadline).await;
            Arc::new(opened.context(Unusable("log.kafka"))?)
        }
        #[cfg(not(feature = "kafka"))]
        log::Backend::Kafka => anyhow::bail!(
            "this build has no Kafka client, which `[log] backend = \"kafka\"` needs; build it with \
             `cargo build --release --features kafka`"
        ),
    })
}

/// Hosts that share their topics share their channels.
fn open_channels(
    settings: &Settings,
    log: &Arc<dyn log::Log>,
    world: &World,
) -> Arc<channels::Hub> {
    let own = settings.channels.clone();
    if settings.log.backend == log::Backend::Kafka && own.shared {
        return channels::Hub::sharing(own, Arc::clone(log));
    }
    Arc::new(match world.as_fixed() {
        None => channels::Hub::new(own),
        Some(_) => channels::Hub::first(own),
    })
}

async fn open_server(settings: &Settings) -> anyhow::Result<Option<Arc<postgres::Server>>> {
    if !settings.need_postgres() {
        return Ok(None);
    }
    let server = postgres::Server::open(settings.postgres.clone()).await;
    Ok(Some(server.context(Unusable("postgres"))?))
}

fn open_sql(
    settings: &Settings,
    server: Option<&Arc<postgres::Server>>,
    data: &Path,
) -> anyhow::Result<Arc<dyn sql::Databases>> {
    Ok(match (settings.sql.backend, server) {
        (sql::Backend::Postgres, Some(server)) => {
            let databases = sql::postgres::Postgres::new(server.clone());
            Arc::new(databases.context(Unusable("postgres"))?)
        }
        _ => {
            let databases = sql::sqlite::Sqlite::open(settings.sql.clone(), &data.join("sql"));
            Arc::new(databases.context("cannot open the directory of the databases")?)
        }
    })
}

async fn open_keyvalue(
    settings: &Settings,
    server: Option<&Arc<postgres::Server>>,
    data: &Path,
) -> anyhow::Result<Arc<dyn keyvalue::KeyValue>> {
    Ok(match (settings.keyvalue.backend, server) {
        (keyvalue::Backend::Postgres, Some(server)) => {
            let stores = keyvalue::postgres::Postgres::open(server.clone()).await;
            Arc::new(stores.context("cannot make the table of the key-value stores")?)
        }
        _ => {
            let stores = data.join("keyvalue");
            let opening = tokio::task::spawn_blocking(move || {
                keyvalue::embedded::Embedded::open(&stores)
                    .context("cannot open the key-value stores")
            });
            Arc::new(opening.await??)
        }
    })
}

async fn open_cache(settings: &cache::Settings) -> anyhow::Result<Arc<dyn cache::Caches>> {
    Ok(match settings.backend {
        cache::Backend::Embedded => Arc::new(cache::embedded::Embedded::new(settings)),
        cache::Backend::Redis => {
            let opened = cache::redis::Redis::open(&settings.redis).await;
            Arc::new(opened.context(Unusable("cache.redis"))?)
        }
    })
}

async fn open_blobs(
    settings: &blobs::Settings,
    data: &Path,
) -> anyhow::Result<Arc<dyn blobs::Blobs>> {
    let (most, directory) = (settings.max_bytes.0, data.join("blobs"));
    let opening = tokio::task::spawn_blocking(move || blobs::files::Files::open(&directory, most));
    Ok(Arc::new(opening.await?.context("cannot open the directory of the blobs")?))
}
