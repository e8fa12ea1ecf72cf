//! What every implementation must pass. Each test gets a fresh set of caches, and what keeps them
//! alive.

#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    Cache, Caches, Claim, Claimed, Error, Key, Lease, MAX_KEY, MAX_LEASE, MAX_TTL, MAX_VALUE, Value,
};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn value(text: &str) -> Value {
    lasting(text, LONG)
}

fn lasting(text: &str, ttl: Duration) -> Value {
    Value::new(text.to_owned().into(), ttl).unwrap()
}

fn bytes(text: &str) -> Option<Bytes> {
    Some(text.to_owned().into())
}

async fn get(cache: &Arc<dyn Cache>, name: &str) -> Option<Bytes> {
    cache.get(key(name)).await.unwrap()
}

/// Look until there is no value.
async fn until_gone(cache: &Arc<dyn Cache>, name: &str) {
    while get(cache, name).await.is_some() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn claim(cache: &Arc<dyn Cache>, lease: Duration, wait: Duration) -> Claimed {
    cache.claim(key("k"), Lease::new(lease).unwrap(), wait).await.unwrap()
}

/// The claim that nobody else has.
async fn mine(cache: &Arc<dyn Cache>, lease: Duration) -> Box<dyn Claim> {
    match claim(cache, lease, Duration::ZERO).await {
        Claimed::Yours(claim) => claim,
        Claimed::Value(value) => panic!("there is a value: {value:?}"),
        Claimed::Taken => panic!("somebody else has it"),
    }
}

/// Another caller, who waits for the claim on `k`.
fn waiting(cache: &Arc<dyn Cache>) -> tokio::task::JoinHandle<Claimed> {
    let cache = cache.clone();
    tokio::spawn(async move { claim(&cache, LONG, LONG).await })
}

/// Values are there until they are deleted, and each plugin has its own.
pub async fn values_are_the_plugins_own(all: Arc<dyn Caches>) {
    let (one, two) = (all.open("one"), all.open("two"));
    // A separator, a wildcard, nothing, and what a host would use to tell its own keys apart.
    for name in ["k", "", "*", "a:b", "two:k", "\0\u{7f}é\n", &"k".repeat(MAX_KEY)] {
        assert_eq!(get(&one, name).await, None);
        one.set(key(name), value("1")).await.unwrap();
        one.set(key(name), value("2")).await.unwrap();
        assert_eq!(get(&one, name).await, bytes("2"));
        assert_eq!(get(&all.open("one"), name).await, bytes("2"));
        assert_eq!(get(&two, name).await, None);
        two.delete(key(name)).await.unwrap();
        assert_eq!(get(&one, name).await, bytes("2"), "{name:?} of another plugin was deleted");
        one.delete(key(name)).await.unwrap();
        one.delete(key(name)).await.unwrap();
        assert_eq!(get(&one, name).await, None);
    }
    let large = Value::new(vec![7; MAX_VALUE].into(), LONG).unwrap();
    one.set(key("large"), large.clone()).await.unwrap();
    one.set(key("empty"), value("")).await.unwrap();
    assert_eq!(get(&one, "large").await, Some(large.bytes));
    assert_eq!(get(&one, "empty").await, bytes(""));
}

/// A value is gone after its time, which a later write sets anew.
pub async fn values_end_with_their_time(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    cache.set(key("set"), lasting("1", SHORT)).await.unwrap();
    assert!(cache.add(key("added"), lasting("1", SHORT)).await.unwrap());
    cache.set(key("shorter"), value("1")).await.unwrap();
    cache.set(key("shorter"), lasting("2", SHORT)).await.unwrap();
    cache.set(key("longer"), lasting("1", SHORT)).await.unwrap();
    cache.set(key("longer"), lasting("2", MAX_TTL)).await.unwrap();
    mine(&cache, LONG).await.fill(lasting("1", SHORT)).await.unwrap();
    for name in ["set", "added", "shorter", "k"] {
        until_gone(&cache, name).await;
    }
    assert_eq!(get(&cache, "longer").await, bytes("2"));
    assert!(cache.add(key("added"), value("2")).await.unwrap());
    assert_eq!(get(&cache, "added").await, bytes("2"));
}

/// Of many who add, one does.
pub async fn one_adds(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let adds = (0..50).map(|n| cache.add(key("k"), value(&n.to_string())));
    let added: Vec<_> = join_all(adds).await.into_iter().map(Result::unwrap).collect();
    let winner = added.iter().position(|added| *added).unwrap();
    assert_eq!(added.iter().filter(|added| **added).count(), 1);
    assert_eq!(get(&cache, "k").await, bytes(&winner.to_string()));
    cache.delete(key("k")).await.unwrap();
    assert!(cache.add(key("k"), value("again")).await.unwrap());
}

/// Of many who claim, one computes and the others get its value.
pub async fn one_computes_for_all(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let first = mine(&cache, LONG).await;
    let others: Vec<_> = (0..50).map(|_| waiting(&cache)).collect();
    assert!(matches!(claim(&cache, LONG, SHORT).await, Claimed::Taken));
    // Nobody else's claim is in the way.
    assert!(matches!(claim(&all.open("q"), LONG, Duration::ZERO).await, Claimed::Yours(_)));
    first.fill(value("computed")).await.unwrap();
    for other in others {
        let Claimed::Value(value) = other.await.unwrap() else { panic!("it was not the value") };
        assert_eq!(Some(value), bytes("computed"));
    }
    assert_eq!(get(&cache, "k").await, bytes("computed"));
}

/// When the first gives up, one of those that wait takes over, and so on.
pub async fn a_dropped_claim_goes_to_another(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let first = mine(&cache, LONG).await;
    let mut others: Vec<_> = (0..5).map(|_| waiting(&cache)).collect();
    let begun = Instant::now();
    drop(first);
    while others.len() > 1 {
        let (next, _, rest) = futures_util::future::select_all(others).await;
        let Claimed::Yours(next) = next.unwrap() else { panic!("nothing was computed") };
        assert!(!rest.iter().any(tokio::task::JoinHandle::is_finished), "two compute at once");
        drop(next);
        others = rest;
    }
    let Claimed::Yours(last) = others.remove(0).await.unwrap() else { panic!("no value") };
    assert!(begun.elapsed() < LONG / 2, "they waited for the lease");
    last.fill(value("1")).await.unwrap();
    assert_eq!(get(&cache, "k").await, bytes("1"));
}

/// Whoever stops waiting claims nothing.
pub async fn a_wait_that_is_dropped_leaves_nothing(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let first = mine(&cache, LONG).await;
    let others: Vec<_> = (0..5).map(|_| waiting(&cache)).collect();
    for other in &others {
        other.abort();
    }
    join_all(others).await;
    drop(first);
    let Claimed::Yours(_) = claim(&cache, LONG, LONG / 2).await else { panic!("it is free") };
}

/// When the lease is over another takes over, and the first writes nothing any more.
pub async fn a_lease_ends(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let slow = mine(&cache, SHORT).await;
    let Claimed::Yours(next) = waiting(&cache).await.unwrap() else { panic!("no value") };
    assert_eq!(slow.fill(value("old")).await, Err(Error::Lost));
    assert_eq!(get(&cache, "k").await, None);
    next.fill(value("new")).await.unwrap();
    assert_eq!(get(&cache, "k").await, bytes("new"));
}

/// A write or a delete ends the claim: what was computed from older data is not kept.
pub async fn what_is_written_meanwhile_wins(all: Arc<dyn Caches>) {
    let cache = all.open("p");
    let set = mine(&cache, LONG).await;
    cache.set(key("k"), value("set")).await.unwrap();
    assert_eq!(set.fill(value("computed")).await, Err(Error::Lost));
    assert_eq!(get(&cache, "k").await, bytes("set"));

    cache.delete(key("k")).await.unwrap();
    let added = mine(&cache, LONG).await;
    assert!(cache.add(key("k"), value("added")).await.unwrap());
    assert_eq!(added.fill(value("computed")).await, Err(Error::Lost));
    assert_eq!(get(&cache, "k").await, bytes("added"));

    cache.delete(key("k")).await.unwrap();
    let deleted = mine(&cache, LONG).await;
    cache.delete(key("k")).await.unwrap();
    let next = mine(&cache, LONG).await;
    assert_eq!(deleted.fill(value("computed")).await, Err(Error::Lost));
    assert_eq!(get(&cache, "k").await, None);
    // The one that was lost took nothing of the next one's.
    next.fill(value("next")).await.unwrap();
    assert_eq!(get(&cache, "k").await, bytes("next"));
}

#[test]
fn what_is_beyond_the_limits_is_refused() {
    assert_eq!(Key::new(&"k".repeat(MAX_KEY + 1)), Err(Error::LongKey(MAX_KEY + 1)));
    let large = Value::new(vec![0; MAX_VALUE + 1].into(), LONG);
    assert_eq!(large, Err(Error::LargeValue(MAX_VALUE + 1)));
    for ttl in [Duration::ZERO, MAX_TTL + Duration::from_millis(1)] {
        assert_eq!(Value::new(Bytes::new(), ttl), Err(Error::Ttl(ttl)));
    }
    for lease in [Duration::ZERO, MAX_LEASE + Duration::from_millis(1)] {
        assert_eq!(Lease::new(lease), Err(Error::Lease(lease)));
    }
}

/// Make the tests of an implementation: `$open` makes fresh caches and what keeps them alive.
macro_rules! contract {
    ($open:expr) => {
        mod contract {
            use super::*;
            use crate::backends::cache::contract;

            macro_rules! one {
                ($name:ident) => {
                    #[tokio::test]
                    async fn $name() {
                        let (caches, _server) = $open().await;
                        contract::$name(caches).await;
                    }
                };
            }
            one!(values_are_the_plugins_own);
            one!(values_end_with_their_time);
            one!(one_adds);
            one!(one_computes_for_all);
            one!(a_dropped_claim_goes_to_another);
            one!(a_wait_that_is_dropped_leaves_nothing);
            one!(a_lease_ends);
            one!(what_is_written_meanwhile_wins);
        }
    };
}
pub(super) use contract;
