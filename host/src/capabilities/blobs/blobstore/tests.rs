#![allow(clippy::unwrap_used)]

use crate::{
    backends::blobs::{self, Blobs as _, files::Files},
    capabilities::{Memory, blobs::Grant},
    quantity,
};

use super::{
    super::{Error, Prepared},
    MAX_OPEN, ObjectId,
    values::{Incoming, Outgoing},
};
use std::sync::{Arc, atomic::AtomicUsize};

use wasmtime_wasi::p2::StreamError;

const MUCH: u64 = 1 << 30;
/// The memory of the plugin.
const MEMORY: usize = 1 << 20;

async fn prepared(directory: &tempfile::TempDir) -> Arc<Prepared> {
    let all = Files::open(directory.path(), MUCH).unwrap();
    let containers = vec!["a".to_owned(), "b".to_owned()];
    let grant = Grant { containers, max_bytes: quantity::Bytes(MUCH) };
    assert!(all.most() >= MUCH);
    Arc::new(Prepared::new(&all, "one", &grant).await.unwrap())
}

fn id(container: &str, object: &str) -> ObjectId {
    ObjectId { container: container.into(), object: object.into() }
}

#[tokio::test]
async fn clearing_a_container_leaves_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = prepared(&directory).await;
    for container in ["a", "b"] {
        blobs.put(container, "k", "value".into(), None).await.unwrap();
    }
    blobs.clear("a").await.unwrap();
    assert_eq!(blobs.head("a", "k").await.unwrap(), None);
    assert!(blobs.head("b", "k").await.unwrap().is_some());
    assert_eq!(blobs.clear("c").await, Err(Error::NoContainer("c".into())));
}

#[tokio::test]
async fn an_object_that_is_moved_onto_itself_stays() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = prepared(&directory).await;
    blobs.put("a", "k", "value".into(), None).await.unwrap();
    blobs.relocate(&id("a", "k"), &id("a", "k")).await.unwrap();
    assert!(blobs.head("a", "k").await.unwrap().is_some());
    blobs.relocate(&id("a", "k"), &id("b", "l")).await.unwrap();
    assert_eq!(blobs.head("a", "k").await.unwrap(), None);
    assert!(blobs.head("b", "l").await.unwrap().is_some());
    let missing = blobs.relocate(&id("a", "k"), &id("a", "k")).await;
    assert_eq!(missing, Err(Error::NoBlob("k".into())));
}

#[tokio::test]
async fn only_so_many_objects_are_open_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = prepared(&directory).await;
    blobs.put("a", "k", "value".into(), None).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..MAX_OPEN {
        open.push(Incoming::open(&blobs, "a", "k", 0, 0).await.unwrap());
    }
    let refused = Incoming::open(&blobs, "a", "k", 0, 0).await.err();
    assert_eq!(refused, Some(Error::TooManyOpen(MAX_OPEN)));
    open.pop();
    assert!(Incoming::open(&blobs, "a", "k", 0, 0).await.is_ok());
}

#[test]
fn what_is_written_counts_as_memory_until_the_value_is_gone() {
    let shared: Arc<AtomicUsize> = Arc::default();
    let memory = Memory::new(shared.clone(), MEMORY);
    let mut value = Outgoing::new(memory.lender());
    let mut stream = value.stream().unwrap();
    assert!(value.stream().is_err(), "there is one stream");
    let piece = bytes::Bytes::from(vec![1; 64 << 10]);
    let mut written = 0;
    let refused = loop {
        match stream.write(piece.clone()) {
            Ok(()) => written += piece.len(),
            Err(StreamError::LastOperationFailed(error)) => break error.to_string(),
            Err(error) => panic!("{error:?}"),
        }
        assert!(written <= MEMORY);
    };
    assert_eq!(refused, "the memory of the plugin is used up");
    let counted = || shared.load(std::sync::atomic::Ordering::Relaxed);
    assert!((written..=MEMORY).contains(&counted()), "{} of {written}", counted());
    drop((stream, value));
    assert_eq!(counted(), 0);
}

#[test]
fn a_value_has_no_more_bytes_than_a_blob_is_written_with() {
    let memory = Memory::new(Arc::default(), usize::MAX);
    let mut value = Outgoing::new(memory.lender());
    let mut stream = value.stream().unwrap();
    stream.write(vec![0; blobs::MAX_WRITE].into()).unwrap();
    assert!(matches!(stream.write(vec![0].into()), Err(StreamError::LastOperationFailed(_))));
}

#[tokio::test]
async fn a_value_is_written_when_it_is_finished_and_nowhere_without_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = prepared(&directory).await;
    let lender = Memory::new(Arc::default(), MEMORY).lender();
    assert_eq!(Outgoing::new(lender.clone()).finish(&blobs).await, Err(Error::NoPlace));
    let mut value = Outgoing::new(lender);
    let mut stream = value.stream().unwrap();
    value.aim(blobs.place("a", "k").unwrap()).unwrap();
    assert!(value.aim(blobs.place("a", "l").unwrap()).unwrap_err().contains("`a/k`"));
    stream.write("value".into()).unwrap();
    assert_eq!(blobs.head("a", "k").await.unwrap(), None);
    value.finish(&blobs).await.unwrap();
    assert_eq!(blobs.get("a", "k").await.unwrap().unwrap().1, "value");
    assert!(matches!(stream.write("more".into()), Err(StreamError::Closed)));
}
