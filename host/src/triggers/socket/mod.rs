//! The socket trigger: TCP ports of plugins that speak protocols of their own.
//!
//! ```text
//!  [[listen]] ── Port ── accept, TLS ──▶ Session: one task a connection
//!                                          │ bytes ──▶ Guest: an instance of its own ── reply
//!                                          │ frames ◀─ Reader: channels, and what others send
//!                                          └ writes what there is, and reads while that is little
//! ```
//! A port belongs to its plugin and stays open over swaps. A connection is in the plugin's space like
//! those of [`super::connection`], so that all its instances reach it by its number. A swap moves it
//! to the new version where both want that, see [`guest`].

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backends::channels::Hub,
    manifest::Listen,
    plugins::{Blueprint, Check, Claim, Generation, Watch},
    quantity::Millis,
};

mod guest;
mod meters;
mod outbox;
mod places;
mod port;
mod session;
mod tls;

use port::Port;

/// How long connections may take to end once the host stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// `[sockets]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The address whose ports plugins listen on.
    pub address: IpAddr,
    /// A file with the certificate for those that want TLS and its chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The file with its key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// A client that takes no byte for so long, though there are some for it, is cut.
    pub stalled: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, certificate: None, key: None, stalled: Millis(30_000) }
    }
}

/// All ports of all plugins.
pub struct Sockets {
    house: Arc<House>,
}

/// What all of them share.
struct House {
    settings: Settings,
    tls: Option<tls::Acceptor>,
    hub: Arc<Hub>,
    live: Watch,
    sessions: TaskTracker,
    shutdown: CancellationToken,
}

/// A port of a plugin, for as long as it listens there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    plugin: Arc<str>,
    /// The name of the `[[listen]]` table.
    name: String,
    port: u16,
}

impl Sockets {
    /// Ready to listen, until `shutdown` is cancelled. Fails where the certificate cannot be read.
    pub fn open(
        settings: Settings,
        hub: Arc<Hub>,
        live: Watch,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let tls = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => Some(
                tls::acceptor(certificate, key)
                    .context("`[sockets]` has a certificate that cannot be used")?,
            ),
            (None, None) => None,
            _ => bail!("`[sockets]` needs both `certificate` and `key`, or neither"),
        };
        let sessions = TaskTracker::new();
        Ok(Self { house: Arc::new(House { settings, tls, hub, live, sessions, shutdown }) })
    }

    /// Listen where the live plugins want to, until the shutdown. Returns once all connections have
    /// ended.
    pub async fn run(self) {
        let Self { house } = self;
        let mut live = house.live.clone();
        let mut open: HashMap<Key, CancellationToken> = HashMap::new();
        loop {
            let wanted = ports(&live);
            open.retain(|key, stop| {
                let stays = wanted.contains(key);
                if !stays {
                    stop.cancel();
                }
                stays
            });
            for key in wanted {
                open.entry(key.clone()).or_insert_with(|| {
                    let stop = house.shutdown.child_token();
                    house.sessions.spawn(Port::new(house.clone(), key, stop.clone()).run());
                    stop
                });
            }
            tokio::select! {
                () = house.shutdown.cancelled() => break,
                changed = live.changed() => if changed.is_err() {
                    house.shutdown.cancelled().await;
                    break;
                },
            }
        }
        house.sessions.close();
        if tokio::time::timeout(FAREWELL, house.sessions.wait()).await.is_err() {
            tracing::warn!(
                open = house.sessions.len(),
                "connections of sockets were cut at the end"
            );
        }
    }
}

/// The ports of all plugins that are live.
fn ports(live: &Watch) -> Vec<Key> {
    let live = live.borrow();
    let of = |generation: &Arc<Generation>| {
        let plugin = generation.plugin.clone();
        let key = move |listen: &Listen| Key {
            plugin: plugin.clone(),
            name: listen.name.clone(),
            port: listen.port,
        };
        generation.manifest().listen.iter().map(key).collect::<Vec<_>>()
    };
    live.generations.iter().filter(|one| one.offered().socket).flat_map(of).collect()
}

/// The generation of a plugin that takes connections now.
fn serving(live: &Watch, plugin: &str) -> Option<Arc<Generation>> {
    let live = live.borrow();
    live.generations.iter().find(|one| *one.plugin == *plugin && one.offered().socket).cloned()
}

/// Whether a plugin is there at all.
fn is_live(live: &Watch, plugin: &str) -> bool {
    live.borrow().generations.iter().any(|one| *one.plugin == *plugin)
}

/// Gives each port to one plugin, and refuses TLS where there is no certificate.
pub struct PortCheck {
    /// Whether there is one.
    pub tls: bool,
}

impl Check for PortCheck {
    fn claims(&self, blueprint: &Blueprint) -> anyhow::Result<Vec<Claim>> {
        let claim = |listen: &Listen| {
            ensure!(
                self.tls || !listen.tls,
                "the listener `{}` wants TLS, and this host has no certificate\nhint: add \
                 `certificate` and `key` to `[sockets]` of the settings",
                listen.name
            );
            Ok(Claim {
                thing: format!("port {}", listen.port),
                said: format!("port {}", listen.port),
                remedy: "change `port` in the `[[listen]]` of one",
            })
        };
        blueprint.manifest.listen.iter().map(claim).collect()
    }
}
