//! `cache`: values that may be forgotten, `trellis:storage/cache`.
//!
//! The claims that a call takes end with it: at its end here, after a trap by the drop of the
//! store.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use metrics::Counter;
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::backends::{
    Backends,
    cache::{self, Caches, Claim, Claimed, Key, Lease, Value},
};

mod host;
#[cfg(test)]
mod tests;

/// The most claims of a call at a time.
const MAX_CLAIMS: usize = 64;

/// The capability: all plugins' caches.
pub struct Cache {
    caches: Arc<dyn Caches>,
}

/// `[needs.cache]`. The operator grants it by the presence of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {}

/// What a generation has: the plugin's cache, and what is counted of it.
pub struct Prepared {
    cache: Arc<dyn cache::Cache>,
    hits: Counter,
    misses: Counter,
    errors: Counter,
}

/// One store's part of the cache.
pub struct Instance {
    prepared: Arc<Prepared>,
    /// Those of the call in progress, by their numbers.
    claims: HashMap<u64, Box<dyn Claim>>,
    /// Counts the claims that were taken.
    taken: u64,
}

/// Why a call had no effect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Backend(#[from] cache::Error),
    #[error("a call has {MAX_CLAIMS} claims already; fill or drop one")]
    TooManyClaims,
}

/// What a claim came to; the number is that of the instance's own.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Value(Bytes),
    Yours(u64),
    Taken,
}

impl Prepared {
    /// A generation's part of the plugin's cache.
    fn new(caches: &dyn Caches, plugin: &str) -> Self {
        let counter = |name| metrics::counter!(name, "plugin" => plugin.to_owned());
        Self {
            cache: caches.open(plugin),
            hits: counter("trellis_cache_hits_total"),
            misses: counter("trellis_cache_misses_total"),
            errors: counter("trellis_cache_errors_total"),
        }
    }

    /// Count a look into the cache.
    fn looked(&self, found: bool) {
        if found { self.hits.increment(1) } else { self.misses.increment(1) }
    }

    /// Count what the cache could not answer; mistakes of the plugin are its own.
    fn answered<T>(&self, answer: cache::Result<T>) -> Result<T, Error> {
        if let Err(cache::Error::Unavailable(_)) = answer {
            self.errors.increment(1);
        }
        Ok(answer?)
    }
}

impl Instance {
    fn new(prepared: Arc<Prepared>) -> Self {
        Self { prepared, claims: HashMap::new(), taken: 0 }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let value = self.prepared.cache.get(Key::new(key)?).await;
        let value = self.prepared.answered(value)?;
        self.prepared.looked(value.is_some());
        Ok(value)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), Error> {
        let (key, value) = (Key::new(key)?, Value::new(value, ttl)?);
        self.prepared.answered(self.prepared.cache.set(key, value).await)
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, Error> {
        let (key, value) = (Key::new(key)?, Value::new(value, ttl)?);
        self.prepared.answered(self.prepared.cache.add(key, value).await)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.prepared.answered(self.prepared.cache.delete(Key::new(key)?).await)
    }

    /// Claim a key for a call that ends at `deadline`: a claim is good for no longer, so that the
    /// end of its host does not keep others waiting.
    async fn claim(
        &mut self,
        key: &str,
        lease: Duration,
        wait: Duration,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let (key, lease) = (Key::new(key)?, Lease::new(lease)?);
        if self.claims.len() >= MAX_CLAIMS {
            return Err(Error::TooManyClaims);
        }
        let lease = lease.until(deadline);
        let claimed = self.prepared.cache.claim(key, lease, wait).await;
        let claimed = self.prepared.answered(claimed)?;
        self.prepared.looked(matches!(claimed, Claimed::Value(_)));
        Ok(match claimed {
            Claimed::Value(value) => Outcome::Value(value),
            Claimed::Taken => Outcome::Taken,
            Claimed::Yours(claim) => {
                self.taken += 1;
                self.claims.insert(self.taken, claim);
                Outcome::Yours(self.taken)
            }
        })
    }

    async fn fill(&mut self, number: u64, value: Bytes, ttl: Duration) -> Result<(), Error> {
        // A mistake is refused before the claim ends.
        let value = Value::new(value, ttl)?;
        let claim = self.claims.remove(&number).ok_or(cache::Error::Lost)?;
        self.prepared.answered(claim.fill(value).await)
    }

    fn drop_claim(&mut self, number: u64) {
        self.claims.remove(&number);
    }
}

impl Capability for Cache {
    const NAME: &'static str = "cache";
    const INTERFACES: &'static [&'static str] = &[host::INTERFACE];
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { caches: backends.cache.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        host::link(linker)
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, _grant: &Grant) -> anyhow::Result<Prepared> {
        Ok(Prepared::new(&*self.caches, &plugin.name))
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance::new(prepared.clone())
    }

    fn end_call(instance: &mut Instance) {
        instance.claims.clear();
    }
}
