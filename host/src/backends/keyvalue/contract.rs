//! What every implementation must pass: `check` is given a way to open the same stores again.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;

use super::{Cursor, Error, KeyValue, MAX_KEY, Namespace, Page, Store, Swap};

const OWN: Namespace<'static> = Namespace::Own { plugin: "hits", store: "default" };

fn bytes(text: &str) -> Bytes {
    text.to_owned().into()
}

async fn get(store: &Arc<dyn Store>, key: &str) -> Option<Bytes> {
    store.get_many(vec![key.into()]).await.unwrap().remove(0)
}

/// A value is there until it is deleted, in its own store only, and after the stores were opened
/// again.
pub async fn values_last(mut reopen: impl AsyncFnMut() -> Arc<dyn KeyValue>) {
    let all = reopen().await;
    let store = all.store(OWN);
    store.set_many(vec![("a".into(), bytes("1")), ("b".into(), bytes(""))]).await.unwrap();
    store.set_many(vec![("a".into(), bytes("2"))]).await.unwrap();
    store.delete_many(vec!["b".into(), "never".into()]).await.unwrap();
    let others = [
        Namespace::Own { plugin: "hits", store: "other" },
        Namespace::Own { plugin: "other", store: "default" },
        Namespace::Shared("default"),
        Namespace::Host("default"),
    ];
    for other in others {
        assert_eq!(get(&all.store(other), "a").await, None);
        assert!(all.store(other).keys(Cursor::First).await.unwrap().keys.is_empty());
    }
    drop((all, store));
    let store = reopen().await.store(OWN);
    let values = store.get_many(vec!["a".into(), "b".into()]).await.unwrap();
    assert_eq!(values, [Some(bytes("2")), None]);
}

/// Additions of many writers at once all count.
pub async fn increments_do_not_get_lost(all: Arc<dyn KeyValue>) {
    let store = all.store(OWN);
    let adds = (0..200).map(|_| store.increment("n".into(), 3));
    let sums = futures_util::future::join_all(adds).await;
    let mut sums: Vec<i64> = sums.into_iter().map(Result::unwrap).collect();
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).map(|n| n * 3).collect::<Vec<_>>());
    assert_eq!(get(&store, "n").await, Some(bytes("600")));
    assert_eq!(store.increment("n".into(), -601).await, Ok(-1));
    store.set_many(vec![("text".into(), bytes("six"))]).await.unwrap();
    let refused = store.increment("text".into(), 1).await;
    assert_eq!(refused, Err(Error::NotANumber("text".into())));
    store.set_many(vec![("most".into(), bytes(&i64::MAX.to_string()))]).await.unwrap();
    assert_eq!(store.increment("most".into(), 1).await, Err(Error::OutOfRange("most".into())));
}

/// Of many who saw the same value, one replaces it.
pub async fn one_swap_wins(all: Arc<dyn KeyValue>) {
    let store = all.store(OWN);
    let swaps = (0..20).map(|n| store.compare_and_swap("k".into(), None, bytes(&n.to_string())));
    let ends = futures_util::future::join_all(swaps).await;
    let won: Vec<_> = (0..20).filter(|n| ends[*n] == Ok(Swap::Done)).collect();
    let [winner] = won[..] else { panic!("{won:?}") };
    let now = Some(bytes(&winner.to_string()));
    assert_eq!(get(&store, "k").await, now);
    assert!(ends.iter().filter(|end| **end == Ok(Swap::Lost(now.clone()))).count() == 19);
    assert_eq!(store.compare_and_swap("k".into(), now, bytes("x")).await, Ok(Swap::Done));
}

/// Pages of keys, whichever cursor is used, hold every key once.
pub async fn pages_hold_every_key(all: Arc<dyn KeyValue>) {
    let store = all.store(OWN);
    let keys: Vec<String> = (0..2500).map(|n| format!("key-{n:05}")).collect();
    let pairs = keys.iter().map(|key| (key.clone(), Bytes::new())).collect();
    store.set_many(pairs).await.unwrap();
    for by_key in [true, false] {
        let mut seen: Vec<String> = Vec::new();
        let mut from = Cursor::First;
        loop {
            let Page { keys, more } = store.keys(from).await.unwrap();
            seen.extend(keys);
            if !more {
                break;
            }
            from = match (by_key, seen.last()) {
                (true, Some(last)) => Cursor::After(last.clone()),
                _ => Cursor::Skip(seen.len() as u64),
            };
        }
        assert_eq!(seen, keys);
    }
}

/// Keys and values beyond the limits are refused and change nothing.
pub async fn limits_hold(all: Arc<dyn KeyValue>) {
    let store = all.store(OWN);
    let long = "k".repeat(MAX_KEY + 1);
    let pairs = vec![("fine".into(), bytes("1")), (long.clone(), bytes("1"))];
    assert_eq!(store.set_many(pairs).await, Err(Error::TooLarge));
    assert_eq!(get(&store, "fine").await, None);
    assert_eq!(store.increment(long, 1).await, Err(Error::TooLarge));
    let large = vec![("large".into(), Bytes::from(vec![0; super::MAX_BYTES + 1]))];
    assert_eq!(store.set_many(large).await, Err(Error::TooLarge));
}

/// Make the tests of an implementation: `$open` opens the stores in a directory.
macro_rules! contract {
    ($open:expr) => {
        mod contract {
            use crate::backends::keyvalue::contract;

            #[tokio::test]
            async fn values_last() {
                let directory = tempfile::tempdir().expect("a directory");
                contract::values_last(async || $open(directory.path()).await).await;
            }

            macro_rules! one {
                ($name:ident) => {
                    #[tokio::test]
                    async fn $name() {
                        let directory = tempfile::tempdir().expect("a directory");
                        contract::$name($open(directory.path()).await).await;
                    }
                };
            }
            one!(increments_do_not_get_lost);
            one!(one_swap_wins);
            one!(pages_hold_every_key);
            one!(limits_hold);
        }
    };
}
pub(super) use contract;
