//! Where a scenario plays: a host with the plugins, and the log it stands on.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bench::{
    built::Built,
    house::{House, log_directory},
};
use servers::{Broker, Postgres};
use trellis::backends::log::{
    Log, Settings as LogSettings, embedded::Embedded, kafka::Kafka,
    settings::kafka::Settings as KafkaSettings,
};

use crate::{behind::Behind, reading};

/// The plugins that every event passes.
pub const PLUGINS: [&str; 3] = ["tracker", "enricher", "counters"];
/// A transaction of a host that is gone keeps nobody waiting for longer than this.
const TIMEOUTS: &str = "delivery-timeout = \"10s\"\nsession-timeout = \"6s\"\n";

/// Where topics are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// In the host's data directory.
    Embedded,
    /// In a cluster of one real broker.
    Kafka,
    /// There as well, and the databases and stores in a real PostgreSQL.
    Servers,
}

/// The log, and what hosts need to find it.
pub struct Stage {
    /// What is built.
    pub built: Built,
    cluster: Option<Behind<Broker>>,
    database: Option<Behind<Postgres>>,
}

impl Stage {
    /// A log with nothing in it.
    pub async fn new(kind: Kind) -> Result<Self> {
        let cluster = match kind {
            Kind::Embedded => None,
            Kind::Kafka | Kind::Servers => Some(Behind::open().await?),
        };
        let database = match kind {
            Kind::Embedded | Kind::Kafka => None,
            Kind::Servers => Some(Behind::open().await?),
        };
        Ok(Self { built: Built::found().or_else(|_| Built::make())?, cluster, database })
    }

    /// A host with the plugins that does not run yet; it has these settings besides.
    pub fn house(&self, more: &str) -> Result<House> {
        let log = self.cluster.as_ref().map_or_else(String::new, |cluster| {
            format!(
                "[log]\nbackend = \"kafka\"\nrevoke-deadline = \"5s\"\n[log.kafka]\n\
                 brokers = [\"{}\"]\n{TIMEOUTS}",
                cluster.door().address()
            )
        });
        let sql = self.database.as_ref().map_or_else(|| Ok(String::new()), database_settings)?;
        let house = House::new(&self.built, None, &format!("{log}{sql}{more}"))?;
        let components: Result<Vec<PathBuf>> =
            PLUGINS.iter().map(|plugin| self.built.component(plugin)).collect();
        house.install_all(&components?)?;
        Ok(house)
    }

    /// The log as one who looks at it has it. An embedded one must have no host.
    pub async fn log(&self, house: &House) -> Result<Arc<dyn Log>> {
        Ok(match &self.cluster {
            None => {
                let dir = log_directory(&house.data());
                Arc::new(Embedded::open(LogSettings::default(), &dir).await?)
            }
            Some(cluster) => {
                let brokers = vec![cluster.door().address().to_string()];
                let settings = KafkaSettings { brokers, ..KafkaSettings::default() };
                Arc::new(Kafka::open(settings, Duration::from_secs(5)).await?)
            }
        })
    }

    /// How many records a topic of a running host holds.
    pub async fn records(&self, house: &House, topic: &str) -> Result<u64> {
        if self.cluster.is_none() {
            return house.records(topic).await;
        }
        // The offsets of a cluster also count the ends of transactions.
        let log = self.log(house).await?;
        let records = reading::topic(&*log, topic).await?;
        log.close().await;
        Ok(records.values().map(|numbers| numbers.len() as u64).sum())
    }

    /// The database server.
    pub fn database(&mut self) -> Result<&mut Behind<Postgres>> {
        self.database.as_mut().context("the databases are on no server")
    }

    /// The cluster.
    pub fn cluster(&mut self) -> Result<&mut Behind<Broker>> {
        self.cluster.as_mut().context("the log is in no cluster")
    }
}

/// What a host is told of its database server.
fn database_settings(database: &Behind<Postgres>) -> Result<String> {
    let (server, password) = (database.server()?, database.file("password"));
    fs::write(&password, server.password())?;
    Ok(format!(
        "[sql]\nbackend = \"postgres\"\n[keyvalue]\nbackend = \"postgres\"\n[postgres]\n\
         host = \"127.0.0.1\"\nport = {}\ndatabase = \"{}\"\nuser = \"{}\"\n\
         password = {{ file = \"{}\" }}\n",
        database.door().address().port(),
        server.database(),
        server.user(),
        password.display()
    ))
}
