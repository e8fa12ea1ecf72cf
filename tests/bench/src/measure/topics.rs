//! Where the topics of a measurement are: in files, which each side has a copy of, or in a cluster
//! that they share.

use std::{ffi::OsString, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use servers::Broker;
use tempfile::TempDir;
use trellis::backends::log::{Log, Start, kafka::Kafka, settings::kafka::Settings};

use super::Bench;
use crate::{fill, house::House};

/// Which log is measured.
#[derive(Clone, Copy)]
pub enum Kind {
    /// The embedded one.
    Embedded,
    /// A cluster of one real broker.
    Kafka,
}

/// Topics with events in the first of them.
pub enum Topics {
    /// In a data directory.
    Embedded(TempDir),
    /// In a cluster.
    Kafka(Box<Cluster>),
}

/// A broker, and somebody who asks it.
pub struct Cluster {
    log: Kafka,
    broker: Broker,
}

impl Topics {
    /// Create topics with four partitions and write so many events to the first.
    pub async fn new(kind: Kind, topics: &[&str], messages: u64) -> Result<Self> {
        match kind {
            Kind::Embedded => {
                let data = tempfile::tempdir()?;
                fill::fill(data.path(), topics, messages).await?;
                Ok(Self::Embedded(data))
            }
            Kind::Kafka => {
                let broker = tokio::task::spawn_blocking(|| Broker::start(None)).await?;
                let brokers = vec![broker.plain().to_owned()];
                let settings = Settings { brokers, ..Settings::default() };
                let log = Kafka::open(settings, Duration::from_secs(60)).await?;
                fill::fill_log(&log, topics, messages).await?;
                Ok(Self::Kafka(Box::new(Cluster { log, broker })))
            }
        }
    }

    /// What a native program is told, which may write into `data`.
    pub fn arguments(&self, data: &Path) -> Result<Vec<OsString>> {
        let mut arguments = vec![OsString::from("--data"), data.into()];
        match self {
            Self::Embedded(full) => fill::copy(full.path(), data)?,
            Self::Kafka(cluster) => {
                arguments.extend([OsString::from("--broker"), cluster.broker.plain().into()]);
            }
        }
        Ok(arguments)
    }

    /// A host that has them and no plugins.
    pub fn house(&self, bench: &Bench, pinned: Option<String>) -> Result<House> {
        match self {
            Self::Embedded(full) => {
                let house = House::new(&bench.built, pinned, "")?;
                fill::copy(full.path(), &house.data())?;
                Ok(house)
            }
            Self::Kafka(cluster) => {
                let brokers = cluster.broker.plain();
                let log =
                    format!("[log]\nbackend = \"kafka\"\n[log.kafka]\nbrokers = [\"{brokers}\"]\n");
                House::new(&bench.built, pinned, &log)
            }
        }
    }

    /// Let a group that nobody is in begin at the start.
    pub async fn rewind(&self, group: &str, topic: &str) -> Result<()> {
        match self {
            // Each host has a copy of its own, in which the group has read nothing.
            Self::Embedded(_) => Ok(()),
            Self::Kafka(cluster) => {
                let moved = cluster.log.replay(group, topic, Start::Earliest).await;
                moved.with_context(|| format!("group `{group}` does not go back"))
            }
        }
    }

    /// What a figure was measured on, for the note.
    pub fn describe(&self, data: &Path) -> String {
        match self {
            Self::Embedded(_) => format!(
                "the log on {}",
                filesystem(data).unwrap_or_else(|| "an unknown filesystem".into())
            ),
            Self::Kafka(_) => "a broker on the same machine".to_owned(),
        }
    }
}

/// What a sync costs depends on it.
fn filesystem(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(mount, _)| path.starts_with(mount));
    holding.max_by_key(|(mount, _)| mount.len()).map(|(_, kind)| kind.to_owned())
}
