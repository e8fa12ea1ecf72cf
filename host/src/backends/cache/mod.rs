//! Values that may be forgotten, kept so that they need not be computed again.
//!
//! The cache capability enters here. Two implementations: [`embedded`] in the host's memory, and
//! [`redis`] in a server that hosts share. What both have in common is [`claims`]: who of this
//! host computes which value, and who waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;

mod claims;
pub mod embedded;
pub mod redis;
mod settings;

#[cfg(test)]
mod contract;

pub use settings::{Backend, Settings};

/// The longest key in bytes.
pub const MAX_KEY: usize = 1024;
/// The most bytes of a value.
pub const MAX_VALUE: usize = 1 << 20;
/// The longest time to live.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 86_400);
/// The longest lease of a claim.
pub const MAX_LEASE: Duration = Duration::from_secs(15 * 60);

/// The shortest time to live or lease.
const MIN_TIME: Duration = Duration::from_millis(1);

/// Why a cache did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key is too long.
    #[error("a key has `{0}` bytes; make it {MAX_KEY} at most")]
    LongKey(usize),
    /// The value is too large.
    #[error("a value has `{0}` bytes; make it {MAX_VALUE} at most")]
    LargeValue(usize),
    /// The time to live is out of range.
    #[error("a time to live is `{0:?}`; make it from {MIN_TIME:?} to 30 days")]
    Ttl(Duration),
    /// The lease is out of range.
    #[error("a lease is `{0:?}`; make it from {MIN_TIME:?} to 15 minutes")]
    Lease(Duration),
    /// Whether something was written is open; the same call may succeed later.
    #[error("the cache is not available: {0}")]
    Unavailable(String),
    /// The claim has ended before it was filled. Nothing was written.
    #[error("the claim has ended; claim the key again")]
    Lost,
}

/// A `Result` of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// A key within its limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Check a key.
    pub fn new(key: &str) -> Result<Self> {
        if key.len() > MAX_KEY {
            return Err(Error::LongKey(key.len()));
        }
        Ok(Self(key.into()))
    }
}

/// A value within its limits, and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    bytes: Bytes,
    ttl: Duration,
}

impl Value {
    /// Check a value.
    pub fn new(bytes: Bytes, ttl: Duration) -> Result<Self> {
        if bytes.len() > MAX_VALUE {
            return Err(Error::LargeValue(bytes.len()));
        }
        if !(MIN_TIME..=MAX_TTL).contains(&ttl) {
            return Err(Error::Ttl(ttl));
        }
        Ok(Self { bytes, ttl })
    }
}

/// How long a computation may take, within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(Duration);

impl Lease {
    /// Check a lease.
    pub fn new(lease: Duration) -> Result<Self> {
        if !(MIN_TIME..=MAX_LEASE).contains(&lease) {
            return Err(Error::Lease(lease));
        }
        Ok(Self(lease))
    }

    /// The same, but no longer than until `deadline`.
    pub fn until(self, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self(self.0.min(left).max(MIN_TIME))
    }
}

/// All plugins' caches.
pub trait Caches: Send + Sync + 'static {
    /// The cache of a plugin, whose name has no `:`. Its generations share it.
    fn open(&self, plugin: &str) -> Arc<dyn Cache>;
}

/// One plugin's cache.
///
/// Promises, which `contract.rs` checks for every implementation:
/// - No other plugin's calls read or change its values.
/// - A value is not answered after its time to live, and may be gone before.
/// - Of many callers of [`Cache::add`] at once, one is told that it wrote.
/// - At most one claim on a key is good at a time, and only a good one writes. `set`, `add` that
///   wrote, and `delete` end it.
/// - Whoever waits for a claim goes on soon after it has ended, whatever ended it.
/// - No call blocks the thread it is polled on, and none waits much longer than the settings, or
///   its own wait, allow.
pub trait Cache: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>>;

    /// Write a value over whatever is there.
    fn set(&self, key: Key, value: Value) -> BoxFuture<'_, Result<()>>;

    /// Write a value where there is none; whether it was written.
    fn add(&self, key: Key, value: Value) -> BoxFuture<'_, Result<bool>>;

    /// Forget a key; a missing one is fine.
    fn delete(&self, key: Key) -> BoxFuture<'_, Result<()>>;

    /// The value of a key, or the right to compute it; waits for somebody else's at most `wait`.
    /// Dropping the future claims nothing.
    fn claim(&self, key: Key, lease: Lease, wait: Duration) -> BoxFuture<'_, Result<Claimed>>;
}

/// How the attempt to claim a key ended.
pub enum Claimed {
    /// There is a value.
    Value(Bytes),
    /// There is none: compute it.
    Yours(Box<dyn Claim>),
    /// Somebody else computes it and was not done within the wait.
    Taken,
}

/// The right to compute the value of one key. Dropping it lets somebody else.
pub trait Claim: Send + Sync {
    /// Write the value and end the claim. [`Error::Lost`]: it had ended before.
    fn fill(self: Box<Self>, value: Value) -> BoxFuture<'static, Result<()>>;
}
