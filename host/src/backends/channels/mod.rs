//! Channels: named streams of frames, and the connections that hear them.
//!
//! ```text
//!  Hub ── plugin ──▶ Space ─┬─ Channels ── name ──▶ Channel ── ring ──▶ Frame: encoded once a form
//!                           ├─ connections ── Outlet: whoever serves the socket, or a Reader
//!                           └─ presence: who is shown where
//!                                 ▲
//!  Shared: the topic of all nodes ┘
//! ```
//! No sockets and no guests in here. Who serves connections reads the rings at its own pace; a
//! channel waits for nobody, and what becomes of those who fall behind is its rule.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::task::AbortOnDropHandle;

mod channel;
#[cfg(test)]
mod contract;
mod frame;
mod hearing;
mod mailbox;
pub mod presence;
mod reader;
mod registry;
mod ring;
mod rules;
mod settings;
mod shared;
mod space;
mod title;

use self::shared::Shared;
use crate::backends::log::Log;
pub use channel::{Channel, Listener, Options, Slow, TooSlow};
pub use frame::{Form, Frame, Kind, Tally};
pub use hearing::{Hearer, Hearing};
pub use mailbox::Mailbox;
pub use reader::{End, Reader};
pub use registry::{Channels, Error as Refused, MAX_NAME};
pub use ring::{History, Limits, Portion, Read, Ring, Start};
pub use rules::{Rule, Rules};
pub use settings::Settings;
pub use space::{Effect, Error, MAX_JOINED, Outlet, Space};
pub use title::Title;

/// The numbers of nodes. With those of their connections they have 53 bits, so that languages whose
/// numbers are doubles have them as they are.
const NODES: std::ops::Range<u32> = 1..1 << (f64::MANTISSA_DIGITS - shared::NODE_SHIFT);
/// How often what nobody uses is looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Is told of connections without a socket of this host that have ended.
pub trait Ends: Send + Sync {
    /// A mailbox of a plugin is no more, or a connection of a node that is gone; its last tag, and
    /// why.
    fn ended(&self, plugin: &Arc<str>, connection: u64, tag: Arc<str>, end: End);
}

/// The spaces of all plugins, and the numbers of their connections.
pub struct Hub {
    settings: Settings,
    spaces: Mutex<HashMap<Arc<str>, Arc<Space>>>,
    numbers: Arc<AtomicU64>,
    ends: OnceLock<Arc<dyn Ends>>,
    shared: Option<Arc<Shared>>,
    /// Reads and writes what is shared.
    sharing: OnceLock<AbortOnDropHandle<()>>,
}

impl Hub {
    /// One where plugins may have so much, for this host alone.
    pub fn new(settings: Settings) -> Self {
        Self::of(settings, fastrand::u32(NODES), None)
    }

    /// The same, whose connections are numbered from the beginning.
    pub fn first(settings: Settings) -> Self {
        Self::of(settings, 0, None)
    }

    /// One that shares its channels with all others that have the same topic in this log. It does
    /// not wait for that: see [`Self::ready`].
    pub fn sharing(settings: Settings, log: Arc<dyn Log>) -> Arc<Self> {
        let node = fastrand::u32(NODES);
        let shared = Arc::new(Shared::new(node, &settings));
        let hub = Arc::new(Self::of(settings, node, Some(shared.clone())));
        let task = tokio::spawn(shared::run(shared, Arc::downgrade(&hub), log));
        let _ = hub.sharing.set(AbortOnDropHandle::new(task));
        hub
    }

    fn of(settings: Settings, node: u32, shared: Option<Arc<Shared>>) -> Self {
        // Several hosts number their connections: the upper part tells them apart.
        let numbers = Arc::new(AtomicU64::new(u64::from(node) << shared::NODE_SHIFT));
        let (spaces, ends) = (Mutex::default(), OnceLock::new());
        Self { settings, spaces, numbers, ends, shared, sharing: OnceLock::new() }
    }

    /// Whether connections may come: what is shared with other nodes is known here.
    pub fn is_ready(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| *shared.ready().borrow())
    }

    /// Wait until they may.
    pub async fn ready(&self) {
        if let Some(shared) = &self.shared {
            // Who could make it so lives as long as this.
            let _ = shared.ready().wait_for(|ready| *ready).await;
        }
    }

    /// Tell the other nodes that this one stops, and all that they have yet to hear.
    pub async fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.close().await;
        }
    }

    /// How much plugins may have.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a plugin has.
    pub fn space(&self, plugin: &Arc<str>) -> Arc<Space> {
        let new = || {
            let (numbers, shared) = (self.numbers.clone(), self.shared.clone());
            Arc::new(Space::new(plugin.clone(), &self.settings, numbers, shared))
        };
        self.spaces().entry(plugin.clone()).or_insert_with(new).clone()
    }

    /// Those of all plugins.
    pub fn all(&self) -> Vec<Arc<Space>> {
        self.spaces().values().cloned().collect()
    }

    /// Tell this of connections that end with nobody else to say so.
    pub fn on_end(&self, ends: Arc<dyn Ends>) {
        let _ = self.ends.set(ends);
    }

    /// Let go what nobody uses any longer, again and again, until it is dropped.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(SWEEP);
        loop {
            ticks.tick().await;
            self.sweep();
        }
    }

    /// Let go what nobody uses any longer.
    pub fn sweep(&self) {
        let now = Instant::now();
        for space in self.all() {
            for (connection, tag, end) in space.sweep(now) {
                self.ended(space.plugin(), connection, tag, end);
            }
        }
    }

    fn ended(&self, plugin: &Arc<str>, connection: u64, tag: Arc<str>, end: End) {
        if let Some(ends) = self.ends.get() {
            ends.ended(plugin, connection, tag, end);
        }
    }

    /// Tell the other nodes who is shown here; `anew`: what they know does not hold.
    fn tell_people(&self, shared: &Shared, anew: bool) {
        let spaces = self.all();
        for partition in 0..shared.partitions() {
            shared.tell(partition, anew, |telling| {
                spaces.iter().for_each(|space| space.tell(telling));
            });
        }
    }

    fn spaces(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Space>>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a connection that has just come. They begin again when a node has used up its own.
fn next(numbers: &AtomicU64) -> u64 {
    const COUNT: u64 = (1 << shared::NODE_SHIFT) - 1;
    let count = |last: u64| Some((last & !COUNT) | ((last + 1) & COUNT));
    numbers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_connections_stay_those_of_their_node_and_are_exact_as_doubles() {
        let last_of_all = (u64::from(NODES.end - 1) << shared::NODE_SHIFT) | u64::from(u32::MAX);
        let numbers = AtomicU64::new(last_of_all);
        let (last, again) = (next(&numbers), next(&numbers));
        assert_eq!((last, again & u64::from(u32::MAX)), (last_of_all, 0));
        assert_eq!(shared::node_of(again), shared::node_of(last));
        assert!(last < 1 << f64::MANTISSA_DIGITS);
    }
}
