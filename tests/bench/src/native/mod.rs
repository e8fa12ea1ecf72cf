//! The same work without a plugin: each is a program of its own, as the host is.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use axum::serve::{ListenerExt, TapIo};
use clap::Subcommand;
use tokio::net::{TcpListener, TcpStream};
use trellis::backends::log::{Log, Settings, embedded::Embedded};

use crate::house::log_directory;

mod counters;
mod fanout;
mod hello;
mod kafka;
mod reading;
mod relay;
pub mod server;
mod tracker;

/// A native program.
#[derive(Debug, Subcommand)]
pub enum Native {
    /// Answers `Hello, world!`.
    Hello {
        /// Where to write the address once it listens.
        #[arg(long)]
        ports_file: PathBuf,
    },
    /// Publishes frames to websockets.
    Fanout {
        /// Where to write the address once it listens.
        #[arg(long)]
        ports_file: PathBuf,
    },
    /// Stores events in the topic `raw`.
    Tracker {
        /// Where to write the address once it listens.
        #[arg(long)]
        ports_file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Relays `relay-in` to `relay-out` and says how long that took.
    Relay {
        #[command(flatten)]
        place: Place,
        /// Where to write the seconds.
        #[arg(long)]
        result: PathBuf,
    },
    /// Counts the topic `events` into a database and says how long that took.
    Counters {
        #[command(flatten)]
        place: Place,
        /// Where to write the seconds.
        #[arg(long)]
        result: PathBuf,
    },
}

/// Where the topics are.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The data directory of a host that does not run.
    #[arg(long)]
    data: PathBuf,
    /// A broker of the cluster that has the topics; without it they lie in the data directory.
    #[arg(long)]
    broker: Option<String>,
}

impl Native {
    /// Run until it is done or killed.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Hello { ports_file } => {
                Ok(axum::serve(listen(&ports_file).await?, hello::router()).await?)
            }
            Self::Fanout { ports_file } => fanout::serve(&ports_file).await,
            Self::Tracker { ports_file, place } => {
                let store = match &place.broker {
                    Some(broker) => tracker::Store::Kafka(kafka::Writer::new(broker)?),
                    None => tracker::Store::Embedded(open(&place.data).await?),
                };
                let router = tracker::router(store);
                let service = router.into_make_service_with_connect_info::<SocketAddr>();
                Ok(axum::serve(listen(&ports_file).await?, service).await?)
            }
            Self::Relay { place, result } => {
                let seconds = match place.broker {
                    Some(broker) => {
                        tokio::task::spawn_blocking(move || kafka::relay::run(&broker)).await??
                    }
                    None => {
                        let log = open(&place.data).await?;
                        let seconds = relay::run(&log).await?;
                        log.close().await;
                        seconds
                    }
                };
                Ok(std::fs::write(result, seconds.to_string())?)
            }
            Self::Counters { place, result } => {
                let seconds = match &place.broker {
                    Some(broker) => kafka::counters::run(broker, &place.data).await?,
                    None => {
                        let log = open(&place.data).await?;
                        let seconds = counters::run(&log, &place.data).await?;
                        log.close().await;
                        seconds
                    }
                };
                Ok(std::fs::write(result, seconds.to_string())?)
            }
        }
    }
}

async fn open(data: &Path) -> Result<Embedded> {
    Ok(Embedded::open(Settings::default(), &log_directory(data)).await?)
}

/// Listen on a free port and say which.
async fn bind(ports_file: &Path) -> Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let unfinished = ports_file.with_extension("new");
    std::fs::write(&unfinished, listener.local_addr()?.to_string())?;
    std::fs::rename(&unfinished, ports_file)?;
    Ok(listener)
}

/// The same; answers leave at once, as the host's do.
async fn listen(ports_file: &Path) -> Result<TapIo<TcpListener, fn(&mut TcpStream)>> {
    Ok(bind(ports_file).await?.tap_io(|stream| {
        // Without it the answer comes a little later, that is all.
        let _ = stream.set_nodelay(true);
    }))
}
