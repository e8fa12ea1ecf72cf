//! What comes from outside of the house unasked: the time, chance, and the answers of other hosts.
//!
//! A host that serves lives in the real one. Where a plugin's cases are tried the world is
//! [`Fixed`]: the clock stands where the case puts it, what is random follows from a seed, other
//! hosts answer what the case says, and what the plugin says is heard. So the same case sees the
//! same each time.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::quantity;

/// The world that a host stands in. Clones share it.
#[derive(Clone, Default)]
pub struct World(Option<Arc<Fixed>>);

/// A world in which everything comes as it was put down.
pub struct Fixed {
    /// Milliseconds since 1970.
    now_ms: AtomicU64,
    /// What the steady clock was moved to, and since when it stands.
    moved: Mutex<(Duration, Instant)>,
    chance: Mutex<fastrand::Rng>,
    hosts: Box<dyn Hosts>,
    heard: Mutex<Vec<Heard>>,
}

/// The hosts that plugins call.
pub trait Hosts: Send + Sync + 'static {
    /// Answer a request; the error says why nobody answers it.
    fn answer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String>;
}

/// A line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// `trace` to `critical`.
    pub level: &'static str,
    /// What it says.
    pub message: String,
}

/// Lines of a plugin that are kept; further ones are not.
const MOST_HEARD: usize = 10_000;
/// For how long the steady clock stands after it was moved. A guest that sleeps and looks whether
/// its time is over sees time go on after that, and wakes up.
const STANDS: Duration = Duration::from_secs(1);
/// What the steady clock shows at first. Not zero, which some guests (Go's runtime) take for a clock
/// that does not work.
const BEGINNING: Duration = Duration::from_secs(1);

impl World {
    /// This world, in which nothing else than is put down happens.
    pub fn fixed(fixed: Arc<Fixed>) -> Self {
        Self(Some(fixed))
    }

    /// The fixed world, if it is one.
    pub fn as_fixed(&self) -> Option<&Arc<Fixed>> {
        self.0.as_ref()
    }

    /// Now, in milliseconds since 1970; 0 for a clock that is before.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            None => quantity::now_ms(),
            Some(fixed) => fixed.now_ms(),
        }
    }

    /// Wait until something is tried again. In a fixed world that takes no time.
    pub async fn pause(&self, time: Duration) {
        match &self.0 {
            None => tokio::time::sleep(time).await,
            Some(_) => tokio::task::yield_now().await,
        }
    }
}

impl Fixed {
    /// A world at this time, in milliseconds since 1970, whose chance follows from a seed.
    pub fn new(now_ms: u64, seed: u64, hosts: Box<dyn Hosts>) -> Arc<Self> {
        Arc::new(Self {
            now_ms: AtomicU64::new(now_ms),
            moved: Mutex::new((BEGINNING, Instant::now())),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            hosts,
            heard: Mutex::default(),
        })
    }

    /// Now, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// What a steady clock shows that stands for a second each time it was moved. Never zero.
    pub fn elapsed(&self) -> Duration {
        let (moved, since) = *lock(&self.moved);
        moved + since.elapsed().saturating_sub(STANDS)
    }

    /// Move the clock on.
    pub fn advance(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        // The only error is that there was no change.
        let _ = self
            .now_ms
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_add(ms)));
        let mut moved = lock(&self.moved);
        *moved = (moved.0.saturating_add(time), Instant::now());
    }

    /// The next random bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        lock(&self.chance).fill(bytes);
    }

    /// Ask another host.
    pub fn ask(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        self.hosts.answer(request)
    }

    /// Note a line of a plugin's log.
    pub fn hear(&self, level: &'static str, message: &str) {
        let mut heard = lock(&self.heard);
        if heard.len() < MOST_HEARD {
            heard.push(Heard { level, message: message.to_owned() });
        }
    }

    /// The lines that came since this was asked last.
    pub fn take_heard(&self) -> Vec<Heard> {
        mem::take(&mut *lock(&self.heard))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Hosts for Nobody {
        fn answer(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
            Err("nobody".into())
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_the_clock_moves_when_it_is_moved() {
        let world = || Fixed::new(1000, 7, Box::new(Nobody));
        let (one, two) = (world(), world());
        let draw = |world: &Fixed| {
            let mut bytes = [0; 32];
            world.fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(&one), draw(&two));
        assert_ne!(draw(&one), [0; 32]);
        assert_ne!(one.elapsed(), Duration::ZERO, "some guests take that for a broken clock");
        one.advance(Duration::from_secs(2));
        assert_eq!((one.now_ms(), two.now_ms()), (3000, 1000));
        assert!(one.elapsed() >= Duration::from_secs(2));
    }
}
