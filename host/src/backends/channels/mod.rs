//! Channels: named streams of frames, and the connections that hear them.
//!
//! ```text
//!  Hub ── plugin ──▶ Space ─┬─ Channels ── name ──▶ Channel ── ring ──▶ Frame: encoded once a form
//!                           ├─ connections ── Outlet: whoever serves the socket, or a Reader
//!                           └─ presence: who is shown where
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

mod channel;
mod frame;
mod hearing;
mod mailbox;
pub mod presence;
mod reader;
mod registry;
mod ring;
mod rules;
mod settings;
mod space;
mod title;

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

/// How often what nobody uses is looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Is told of connections without a socket that have ended.
pub trait Ends: Send + Sync {
    /// A mailbox of a plugin is no more; its last tag, and why.
    fn ended(&self, plugin: &Arc<str>, connection: u64, tag: Arc<str>, end: End);
}

/// The spaces of all plugins, and the numbers of their connections.
pub struct Hub {
    settings: Settings,
    spaces: Mutex<HashMap<Arc<str>, Arc<Space>>>,
    numbers: Arc<AtomicU64>,
    ends: OnceLock<Arc<dyn Ends>>,
}

impl Hub {
    /// One where plugins may have so much.
    pub fn new(settings: Settings) -> Self {
        // Several hosts number their connections: the upper part tells them apart.
        let numbers = Arc::new(AtomicU64::new(fastrand::u64(1..1 << 23) << 40));
        Self { settings, spaces: Mutex::default(), numbers, ends: OnceLock::new() }
    }

    /// How much plugins may have.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a plugin has.
    pub fn space(&self, plugin: &Arc<str>) -> Arc<Space> {
        let new = || Arc::new(Space::new(plugin.clone(), &self.settings, self.numbers.clone()));
        self.spaces().entry(plugin.clone()).or_insert_with(new).clone()
    }

    /// Those of all plugins.
    pub fn all(&self) -> Vec<Arc<Space>> {
        self.spaces().values().cloned().collect()
    }

    /// Tell this of mailboxes that end, from [`Self::run`].
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
                if let Some(ends) = self.ends.get() {
                    ends.ended(space.plugin(), connection, tag, end);
                }
            }
        }
    }

    fn spaces(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Space>>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a connection that has just come.
fn next(numbers: &AtomicU64) -> u64 {
    numbers.fetch_add(1, Ordering::Relaxed)
}
