//! What every implementation must pass: each test is given a way to open the same blobs again.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{
    Blob, Blobs, COST, Container, ContentType, Entry, Error, Key, MAX_WRITE, Place, Range, Store,
};

const MUCH: u64 = 1 << 30;

pub fn at(key: &str) -> Place {
    Place { container: container("c"), key: Key::new(key).unwrap() }
}

fn container(name: &str) -> Container {
    Container::new(name).unwrap()
}

fn bytes(text: &str) -> Bytes {
    text.to_owned().into()
}

pub async fn read(store: &Arc<dyn Store>, key: &str) -> Option<Bytes> {
    let blob = store.open(at(key)).await.unwrap()?;
    let all = usize::try_from(blob.info().size).unwrap();
    Some(blob.read(0, all).await.unwrap())
}

async fn keys(store: &Arc<dyn Store>, range: Range) -> Vec<String> {
    let entries = store.list(container("c"), range).await.unwrap();
    entries.into_iter().map(|Entry { key, .. }| key).collect()
}

fn all() -> Range {
    Range { most: usize::MAX, ..Range::default() }
}

/// A blob is there until it is deleted, in its own place only, also after all was opened again.
pub async fn blobs_last(mut reopen: impl AsyncFnMut() -> Arc<dyn Blobs>) {
    let blobs = reopen().await;
    let store = blobs.open("p", MUCH).await.unwrap();
    let kind = Some(ContentType::new("audio/mpeg").unwrap());
    let first = store.put(at("a"), bytes("one"), kind.clone()).await.unwrap();
    assert_eq!((first.size, &first.content_type), (3, &kind));
    let second = store.put(at("a"), bytes("other"), None).await.unwrap();
    assert_eq!((second.size, second.content_type), (5, None));
    assert_ne!(first.etag, second.etag);
    let typed = store.put(at("typed"), bytes(""), kind.clone()).await.unwrap();
    store.put(at("gone"), bytes("x"), None).await.unwrap();
    store.delete(at("gone")).await.unwrap();
    store.delete(at("never")).await.unwrap();
    let other = Place { container: container("d"), ..at("a") };
    assert!(store.open(other).await.unwrap().is_none());
    let others = blobs.open("q", MUCH).await.unwrap();
    assert_eq!(read(&others, "a").await, None);
    assert!(keys(&others, all()).await.is_empty());
    drop((blobs, store, others));
    let store = reopen().await.open("p", MUCH).await.unwrap();
    assert_eq!(read(&store, "a").await, Some(bytes("other")));
    assert_eq!(read(&store, "gone").await, None);
    assert_eq!(store.open(at("typed")).await.unwrap().unwrap().info(), &typed);
    assert_eq!(keys(&store, all()).await, ["a", "typed"]);
}

/// An opened blob stays what it was, and any part of it can be read.
pub async fn an_opened_blob_stays_what_it_was(blobs: Arc<dyn Blobs>) {
    let store = blobs.open("p", MUCH).await.unwrap();
    store.put(at("a"), bytes("0123456789"), None).await.unwrap();
    let blob: Arc<dyn Blob> = store.open(at("a")).await.unwrap().unwrap();
    store.append(at("a"), bytes("more")).await.unwrap();
    assert_eq!(read(&store, "a").await, Some(bytes("0123456789more")));
    store.put(at("a"), bytes("other"), None).await.unwrap();
    store.delete(at("a")).await.unwrap();
    for (offset, length, part) in
        [(0, 10, "0123456789"), (3, 4, "3456"), (8, 100, "89"), (10, 1, ""), (u64::MAX, 1, "")]
    {
        assert_eq!(blob.clone().read(offset, length).await.unwrap(), bytes(part));
    }
}

/// What many append at once is all there, each in one piece.
pub async fn appends_do_not_get_lost(blobs: Arc<dyn Blobs>) {
    let store = blobs.open("p", MUCH).await.unwrap();
    let appends = (0..100_u8).map(|n| store.append(at("log"), vec![n; 100].into()));
    let mut sizes: Vec<_> =
        join_all(appends).await.into_iter().map(|info| info.unwrap().size).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, (1..=100).map(|n| n * 100).collect::<Vec<_>>());
    let all = read(&store, "log").await.unwrap();
    let mut pieces: Vec<u8> = all.chunks(100).map(|piece| piece[0]).collect();
    assert!(all.chunks(100).all(|piece| piece.iter().all(|byte| *byte == piece[0])));
    pieces.sort_unstable();
    assert_eq!(pieces, (0..100).collect::<Vec<u8>>());
    // A content type stays.
    let kind = Some(ContentType::new("text/plain").unwrap());
    let put = store.put(at("typed"), bytes("a"), kind.clone()).await.unwrap();
    let appended = store.append(at("typed"), bytes("b")).await.unwrap();
    assert_eq!((appended.size, appended.content_type), (2, kind));
    assert_ne!(appended.etag, put.etag);
}

/// Of many who write one key at once, one wrote last, and all of it is there.
pub async fn one_put_wins_wholly(blobs: Arc<dyn Blobs>) {
    let store = blobs.open("p", MUCH).await.unwrap();
    let puts = (0..20_u8).map(|n| {
        let body = vec![n; 10_000 + usize::from(n)];
        store.put(at("deep/er/a"), body.into(), None)
    });
    let deletes = (0..20).map(|_| store.delete(at("deep/er/b")));
    let (puts, deletes) = tokio::join!(join_all(puts), join_all(deletes));
    assert!(puts.iter().all(Result::is_ok), "{puts:?}");
    assert!(deletes.iter().all(Result::is_ok), "{deletes:?}");
    let body = read(&store, "deep/er/a").await.unwrap();
    assert_eq!(body.len(), 10_000 + usize::from(body[0]));
    assert!(body.iter().all(|byte| *byte == body[0]));
}

/// A copy has the type of the original, and a life of its own.
pub async fn a_copy_is_apart(blobs: Arc<dyn Blobs>) {
    let store = blobs.open("p", MUCH).await.unwrap();
    assert_eq!(store.copy(at("a"), at("b")).await, Ok(None));
    let kind = Some(ContentType::new("text/plain").unwrap());
    store.put(at("a"), bytes("text"), kind.clone()).await.unwrap();
    let to = Place { container: container("d"), ..at("b") };
    let copied = store.copy(at("a"), to.clone()).await.unwrap().unwrap();
    assert_eq!((copied.size, copied.content_type), (4, kind));
    store.append(at("a"), bytes("!")).await.unwrap();
    let blob = store.open(to).await.unwrap().unwrap();
    assert_eq!(blob.read(0, 9).await.unwrap(), bytes("text"));
    assert_eq!(store.copy(at("a"), at("a")).await.unwrap().unwrap().size, 5);
    assert_eq!(read(&store, "a").await, Some(bytes("text!")));
}

/// Pages hold every key once, in the order of their bytes, whatever the keys look like.
pub async fn pages_hold_every_key(blobs: Arc<dyn Blobs>) {
    let store = blobs.open("p", MUCH).await.unwrap();
    let long = "l".repeat(super::MAX_PART);
    let mut every: Vec<String> =
        ["a", "a/b", "a/b/c", "a-b", "a.b", "a.b/c", "a.d/b", "a0", "ab", "ü/é", "x.d", "x.b", "…"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{long}/{long}/{long}"), long])
            .chain((0..30).map(|n| format!("many/{n:02}")))
            .collect();
    for key in &every {
        store.put(at(key), bytes(key), None).await.unwrap();
    }
    every.sort();
    assert_eq!(keys(&store, all()).await, every);
    for most in [1, 2, 7] {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let after = seen.last().cloned();
            let page = keys(&store, Range { after, most, ..Range::default() }).await;
            assert!(page.len() <= most);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, every);
    }
    for prefix in ["a", "a/", "a/b", "a.", "many/1", "..", "../", "/", "z", "ü"] {
        for after in [None, Some("a/b"), Some("many/15"), Some("a/"), Some("zzz")] {
            let range =
                Range { prefix: prefix.into(), after: after.map(str::to_owned), most: usize::MAX };
            let behind = |key: &&String| after.is_none_or(|after| key.as_str() > after);
            let wanted = every.iter().filter(|key| key.starts_with(prefix)).filter(behind);
            assert_eq!(keys(&store, range).await, wanted.cloned().collect::<Vec<_>>());
        }
    }
}

/// The bound holds for what is written, counts what is there when all is opened again, and takes
/// nothing for what was refused or is gone.
pub async fn the_bound_holds(mut reopen: impl AsyncFnMut() -> Arc<dyn Blobs>) {
    let most = 2 * COST + 100;
    let store = reopen().await.open("p", most).await.unwrap();
    store.put(at("a"), vec![1; 60].into(), None).await.unwrap();
    let full = |wanted: u64| Err(Error::Full { wanted: 2 * COST + wanted, most });
    assert_eq!(store.put(at("b"), vec![2; 41].into(), None).await, full(101));
    assert_eq!(store.append(at("b"), vec![2; 41].into()).await, full(101));
    assert_eq!(store.copy(at("a"), at("b")).await.map(drop), full(120).map(drop));
    assert_eq!(read(&store, "b").await, None);
    store.append(at("b"), vec![2; 40].into()).await.unwrap();
    assert_eq!(store.append(at("a"), vec![1; 1].into()).await, full(101));
    assert_eq!(store.put(at("a"), vec![1; 61].into(), None).await, full(101));
    drop(store);
    let blobs = reopen().await;
    let store = blobs.open("p", most).await.unwrap();
    assert_eq!(
        store.put(at("c"), Bytes::new(), None).await.map(drop),
        Err(Error::Full { wanted: 3 * COST + 100, most })
    );
    assert_eq!(read(&store, "a").await.unwrap().len(), 60);
    // Less is always allowed, also where the bound became smaller.
    let smaller = blobs.open("p", COST).await.unwrap();
    smaller.put(at("a"), vec![1; 50].into(), None).await.unwrap();
    smaller.delete(at("b")).await.unwrap();
    store.put(at("b"), vec![2; 50].into(), None).await.unwrap();
    let large = store.put(at("a"), vec![0; MAX_WRITE + 1].into(), None).await;
    assert_eq!(large, Err(Error::TooLarge(MAX_WRITE + 1)));
}

/// Make the tests of an implementation: `$open` opens the blobs in a directory.
macro_rules! contract {
    ($open:expr) => {
        mod contract {
            use super::*;
            use crate::backends::blobs::contract;

            macro_rules! one {
                ($name:ident) => {
                    #[tokio::test]
                    async fn $name() {
                        let directory = tempfile::tempdir().expect("a directory");
                        contract::$name($open(directory.path()).await).await;
                    }
                };
            }
            macro_rules! again {
                ($name:ident) => {
                    #[tokio::test]
                    async fn $name() {
                        let directory = tempfile::tempdir().expect("a directory");
                        contract::$name(async || $open(directory.path()).await).await;
                    }
                };
            }
            again!(blobs_last);
            again!(the_bound_holds);
            one!(an_opened_blob_stays_what_it_was);
            one!(appends_do_not_get_lost);
            one!(one_put_wins_wholly);
            one!(a_copy_is_apart);
            one!(pages_hold_every_key);
        }
    };
}
pub(super) use contract;

#[test]
fn what_cannot_be_a_key_is_refused_with_what_to_do() {
    for key in ["a", "a b", "ü", "...", "a/..b/c", ".a", "~", "-", "%2e%2e", "\\", "a\\..\\b", "#1"]
    {
        assert!(Key::new(key).is_ok(), "{key}");
    }
    for key in ["/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/.", "./a"] {
        assert_eq!(Key::new(key), Err(Error::Part(key.to_owned())));
    }
    assert_eq!(Key::new(""), Err(Error::KeyLength(0)));
    assert_eq!(Key::new(&"a/".repeat(513)), Err(Error::KeyLength(1026)));
    assert_eq!(Key::new(&"a".repeat(251)), Err(Error::PartLength(251)));
    assert_eq!(Key::new("a\0b"), Err(Error::Control("a\\0b".into())));
    assert_eq!(Key::new("a\r\nb"), Err(Error::Control("a\\r\\nb".into())));
}

#[test]
fn what_cannot_be_a_container_or_a_content_type_is_refused() {
    for name in ["", "..", "a/b", "A", "1a", "-a", ".staging", "a_b", &"a".repeat(64)] {
        assert!(Container::new(name).is_err(), "{name}");
    }
    assert!(Container::new("tracks-2").is_ok());
    for text in ["", "a\r\nb: c", "ü", &"a".repeat(256)] {
        assert!(ContentType::new(text).is_err(), "{text}");
    }
    assert!(ContentType::new("text/html; charset=utf-8").is_ok());
}
