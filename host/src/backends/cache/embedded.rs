//! Caches in the host's memory, one moka cache a plugin, so that what one plugin keeps pushes
//! nothing of another's out.
//!
//! Reads take no lock. Writes go through the lock of the plugin's claims, so that none comes
//! between a claim and its value.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use moka::{Expiry, notification::RemovalCause, policy::EvictionPolicy};
use tokio::time;

use super::{
    Cache, Caches, Claim, Claimed, Error, Key, Lease, Result, Settings, Value,
    claims::{Claims, Entered, Turn},
};

/// What a value takes beyond its own bytes and those of its key.
const OVERHEAD: usize = 128;

/// All plugins' caches.
pub struct Embedded {
    max_bytes: u64,
    /// Those that a generation has; the last one takes its cache along.
    open: Mutex<HashMap<String, Weak<Own>>>,
}

impl Embedded {
    /// Get ready; nothing is kept yet.
    pub fn new(settings: &Settings) -> Self {
        Self { max_bytes: settings.max_bytes.0, open: Mutex::default() }
    }
}

impl Caches for Embedded {
    fn open(&self, plugin: &str) -> Arc<dyn Cache> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get(plugin).and_then(Weak::upgrade) {
            return own;
        }
        open.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Own::new(plugin, self.max_bytes));
        open.insert(plugin.to_owned(), Arc::downgrade(&own));
        own
    }
}

/// One plugin's cache; a clone is the same one.
#[derive(Clone)]
struct Own {
    values: moka::sync::Cache<Key, Value>,
    claims: Arc<Claims>,
}

impl Own {
    fn new(plugin: &str, max_bytes: u64) -> Self {
        let evictions =
            metrics::counter!("trellis_cache_evictions_total", "plugin" => plugin.to_owned());
        let values = moka::sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(weight)
            // What was just computed is kept, whatever was asked for more often before.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(TimeToLive)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    evictions.increment(1);
                }
            })
            .build();
        Self { values, claims: Arc::default() }
    }

    fn look(&self, key: &Key) -> Option<Bytes> {
        Some(self.values.get(key)?.bytes)
    }

    fn write(&self, key: Key, value: Value) {
        self.values.insert(key, value);
        // moka puts its upkeep off for some writes, which may be large ones: the bound is to hold.
        self.values.run_pending_tasks();
    }

    async fn look_or_claim(&self, key: Key, lease: Lease, wait: Duration) -> Claimed {
        let deadline = time::Instant::now() + wait;
        loop {
            if let Some(value) = self.look(&key) {
                return Claimed::Value(value);
            }
            match self.claims.enter(&key, lease.0) {
                Entered::Mine(turn) => {
                    // The one before may have written since the look above.
                    return match self.look(&key) {
                        Some(value) => Claimed::Value(value),
                        None => Claimed::Yours(Box::new(Mine { cache: self.clone(), key, turn })),
                    };
                }
                Entered::Theirs(_) if time::Instant::now() >= deadline => return Claimed::Taken,
                Entered::Theirs(other) => other.over(deadline).await,
            }
        }
    }
}

impl Cache for Own {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>> {
        ready(Ok(self.look(&key))).boxed()
    }

    fn set(&self, key: Key, value: Value) -> BoxFuture<'_, Result<()>> {
        self.claims.write(&key, || {
            self.write(key.clone(), value);
            true
        });
        ready(Ok(())).boxed()
    }

    fn add(&self, key: Key, value: Value) -> BoxFuture<'_, Result<bool>> {
        let added = self.claims.write(&key, || {
            let free = !self.values.contains_key(&key);
            if free {
                self.write(key.clone(), value);
            }
            free
        });
        ready(Ok(added)).boxed()
    }

    fn delete(&self, key: Key) -> BoxFuture<'_, Result<()>> {
        self.claims.write(&key, || {
            self.values.invalidate(&key);
            true
        });
        ready(Ok(())).boxed()
    }

    fn claim(&self, key: Key, lease: Lease, wait: Duration) -> BoxFuture<'_, Result<Claimed>> {
        self.look_or_claim(key, lease, wait).map(Ok).boxed()
    }
}

/// A claim on a key.
struct Mine {
    cache: Own,
    key: Key,
    turn: Turn,
}

impl Claim for Mine {
    fn fill(self: Box<Self>, value: Value) -> BoxFuture<'static, Result<()>> {
        let Self { cache, key, turn } = *self;
        let good = turn.finish(|| cache.write(key, value));
        ready(if good { Ok(()) } else { Err(Error::Lost) }).boxed()
    }
}

fn weight(key: &Key, value: &Value) -> u32 {
    // Both are bounded far below.
    u32::try_from(OVERHEAD + key.0.len() + value.bytes.len()).unwrap_or(u32::MAX)
}

/// Each value says how long it lives.
struct TimeToLive;

impl Expiry<Key, Value> for TimeToLive {
    fn expire_after_create(&self, _: &Key, value: &Value, _: Instant) -> Option<Duration> {
        Some(value.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        value: &Value,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(value.ttl)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{backends::cache, quantity};

    fn caches(max_bytes: u64) -> Embedded {
        Embedded::new(&Settings { max_bytes: quantity::Bytes(max_bytes), ..Settings::default() })
    }

    async fn fresh() -> (Arc<dyn Caches>, ()) {
        (Arc::new(caches(1 << 24)), ())
    }

    cache::contract::contract!(fresh);

    async fn kept(cache: &dyn Cache, keys: usize) -> usize {
        let mut kept = 0;
        for key in 0..keys {
            kept += usize::from(
                cache.get(Key::new(&key.to_string()).unwrap()).await.unwrap().is_some(),
            );
        }
        kept
    }

    #[tokio::test]
    async fn a_flood_pushes_out_its_own_values_alone_and_the_oldest_first() {
        let all = caches(100_000);
        let (flooding, innocent) = (all.open("flooding"), all.open("innocent"));
        let value = || Value::new(vec![0; 9_000].into(), Duration::from_secs(60)).unwrap();
        for key in 0..5 {
            innocent.set(Key::new(&key.to_string()).unwrap(), value()).await.unwrap();
        }
        for key in 0..500 {
            flooding.set(Key::new(&key.to_string()).unwrap(), value()).await.unwrap();
        }
        assert_eq!((kept(&*flooding, 500).await, kept(&*innocent, 5).await), (10, 5));
        assert_eq!(kept(&*flooding, 490).await, 0);
    }

    #[tokio::test]
    async fn the_generations_of_a_plugin_share_its_cache_and_the_last_one_takes_it_along() {
        let all = caches(1 << 20);
        let key = || Key::new("k").unwrap();
        let old = all.open("p");
        old.set(key(), Value::new("v".into(), Duration::from_secs(60)).unwrap()).await.unwrap();
        let new = all.open("p");
        drop(old);
        assert_eq!(new.get(key()).await, Ok(Some("v".into())));
        drop(new);
        assert_eq!(all.open("p").get(key()).await, Ok(None));
    }
}
