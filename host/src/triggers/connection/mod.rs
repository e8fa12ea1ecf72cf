//! The connection trigger: websockets, event streams and answers that go on.
//!
//! ```text
//!  request ── http's door ──▶ open ── guest decides ──▶ websocket: a shard owns the socket
//!                                                  └──▶ stream: the body of the answer
//!  what comes ──▶ desk ── lane ── batches ──▶ live generation ── effects ──▶ space
//!  what goes  ◀── shard, stream ◀── rings of channels, and what is sent to one
//! ```
//! A connection belongs to its plugin and to no generation, so a swap falls between two batches of
//! events and touches no socket. Frames of channels go from their ring to the sockets without a
//! guest; see [`crate::backends::channels`].

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http::Response;
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backends::channels::{Effect, End, Ends, Hub, Rules, Space},
    plugins::{Generation, Watch},
    quantity::Millis,
    triggers::http::{Body, Door, Knock, Opening, Tune},
};

mod desk;
mod lane;
pub(in crate::triggers) mod meters;
mod open;
mod shard;
mod socket;
mod stream;
mod websocket;

use desk::{Desk, Origin};
use shard::Shards;

/// How long a client may take to read the answer to its upgrade.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to answer the host's last words.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often is looked for those who are left.
const LOOK: Duration = Duration::from_millis(20);
/// How long the last events may take to be handled once no connection is left.
const LAST_EVENTS: Duration = Duration::from_secs(10);

/// `[connections]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Threads that own the sockets of websockets; 0: one for each two cores.
    pub threads: usize,
    /// A websocket that is silent for so long is pinged, and cut when it stays silent as long
    /// again.
    pub ping: Millis,
    /// A connection that takes no byte for so long, though there are some for it, is cut.
    pub stalled: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threads: 0, ping: Millis(30_000), stalled: Millis(30_000) }
    }
}

/// All connections of all plugins.
pub struct Connections {
    hub: Arc<Hub>,
    live: Watch,
    shards: Arc<Shards>,
    desks: Mutex<HashMap<Arc<str>, Arc<Desk>>>,
    /// Websockets whose sockets are on their way, and the lanes.
    tasks: TaskTracker,
    /// Nobody is let in any longer.
    stopping: AtomicBool,
}

/// The connections as the edge and the hub know them.
pub struct Entrance(pub Arc<Connections>);

impl Connections {
    /// Start the threads that own sockets. Fails where the system has none left.
    pub fn open(settings: &Settings, hub: Arc<Hub>, live: Watch) -> std::io::Result<Arc<Self>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = if settings.threads == 0 { cores.div_ceil(2) } else { settings.threads };
        let shards = Arc::new(Shards::start(threads, socket::shard_settings(settings))?);
        let (desks, tasks) = (Mutex::default(), TaskTracker::new());
        let stopping = AtomicBool::new(false);
        let connections = Arc::new(Self { hub, live, shards, desks, tasks, stopping });
        connections.hub.on_end(Arc::new(Entrance(connections.clone())));
        Ok(connections)
    }

    /// Watch over connections until `shutdown` is cancelled, then end them all with 1001, and
    /// return once their plugins have been told.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut live = self.live.clone();
        let sweeping = tokio::spawn({
            let hub = self.hub.clone();
            async move { hub.run().await }
        });
        loop {
            self.end_those_of_nobody();
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = live.changed() => if changed.is_err() { shutdown.cancelled().await; break },
            }
        }
        self.stopping.store(true, Ordering::SeqCst);
        for space in self.hub.all() {
            end(&space, "the host stops", |_| true);
        }
        let shards = self.shards.clone();
        let closing = move || shards.close(1001, "the host stops", FAREWELL);
        let _ = tokio::task::spawn_blocking(closing).await;
        // Streams of HTTP/2 end with their bodies, and mailboxes when somebody looks.
        let last = Instant::now() + FAREWELL;
        while self.hub.all().iter().any(|space| !space.ids().is_empty()) && Instant::now() < last {
            self.hub.sweep();
            tokio::time::sleep(LOOK).await;
        }
        for desk in self.desks().values() {
            desk.close();
        }
        self.tasks.close();
        let _ = tokio::time::timeout(LAST_EVENTS, self.tasks.wait()).await;
        sweeping.abort();
    }

    /// What a plugin has of channels.
    fn space(&self, plugin: &Arc<str>) -> Arc<Space> {
        self.hub.space(plugin)
    }

    /// Where events of a plugin wait; its lanes begin with the first. Another number of them is
    /// taken up once no connection is open, so that none changes its lane.
    fn desk(&self, generation: &Generation) -> Arc<Desk> {
        let plugin = &generation.plugin;
        let connect = generation.manifest().connect.as_ref();
        let lanes = connect.map_or(1, |connect| connect.lanes as usize);
        let mut desks = self.desks();
        if let Some(desk) = desks.get(plugin) {
            if desk.lanes() == lanes || !self.space(plugin).ids().is_empty() {
                return desk.clone();
            }
            desk.close();
        }
        let desk = Arc::new(Desk::new(plugin.clone(), lanes));
        for lane in 0..desk.lanes() {
            self.tasks.spawn(lane::run(desk.clone(), lane, self.live.clone()));
        }
        desks.insert(plugin.clone(), desk.clone());
        desk
    }

    /// Connections of plugins that were taken away end, and those of plugins that take none any
    /// longer, but for those that need no handler.
    fn end_those_of_nobody(&self) {
        for space in self.hub.all() {
            if !lane::is_live(&self.live, space.plugin()) {
                end(&space, "the plugin was removed", |_| true);
            } else if lane::serving(&self.live, space.plugin()).is_none() {
                let reason = "the plugin takes no connections any longer";
                end(&space, reason, |id| space.needs_handler(id));
            }
        }
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Desk>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// End the connections of a space that are meant.
fn end(space: &Space, reason: &str, is_meant: impl Fn(u64) -> bool) {
    for id in space.ids().into_iter().filter(|id| is_meant(*id)) {
        // To close a connection makes no channel, and nothing else can fail.
        let _ = space.apply(Effect::Close(id, 1001, reason.to_owned()), &Rules::default());
    }
}

impl Door for Entrance {
    fn open<'a>(&'a self, knock: Knock<'a>) -> Opening<'a> {
        Box::pin(self.0.clone().decide(knock))
    }

    fn stream<'a>(&'a self, tune: Tune<'a>, head: Response<Body>) -> Opening<'a> {
        Box::pin(self.0.stream(tune, head))
    }
}

impl Ends for Entrance {
    fn ended(&self, plugin: &Arc<str>, connection: u64, tag: Arc<str>, end: End) {
        let Some(generation) = lane::serving(&self.0.live, plugin) else { return };
        let space = self.0.space(plugin);
        Origin::new(connection, self.0.desk(&generation), space).tell_end(tag, end);
    }
}
