//! What is true of files alone: what a kill leaves, a full disk, hostile names.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use rustix::process::{Rlimit, setrlimit};

use super::*;
use crate::backends::blobs::contract::{at, read};

const MUCH: u64 = 1 << 30;

async fn open(directory: &Path) -> Arc<dyn Blobs> {
    Arc::new(Files::open(directory, MUCH).unwrap())
}

crate::backends::blobs::contract::contract!(open);

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn what_an_append_did_not_finish_is_never_read_and_is_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.open("p", MUCH).await.unwrap();
    store.put(at("a"), "begun".into(), None).await.unwrap();
    drop(store);
    // As a kill between the bytes and the size leaves it; and a file that has no name yet.
    let [file] = &files(directory.path())[..] else { panic!("{:?}", files(directory.path())) };
    let length = fs::metadata(file).unwrap().len();
    fs::File::options().write(true).open(file).unwrap().write_all_at(b"torn..", length).unwrap();
    fs::write(directory.path().join(STAGING).join("half"), "half").unwrap();
    let store = open(directory.path()).await.open("p", MUCH).await.unwrap();
    assert_eq!(read(&store, "a").await, Some("begun".into()));
    store.append(at("a"), ", on".into()).await.unwrap();
    assert_eq!(read(&store, "a").await, Some("begun, on".into()));
    assert_eq!(files(directory.path()).len(), 1);
}

#[tokio::test]
async fn directories_go_with_their_last_blob() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.open("p", MUCH).await.unwrap();
    for key in ["a/b/c/d", "a/b/e"] {
        store.put(at(key), "x".into(), None).await.unwrap();
    }
    let is_there = |below: &str| directory.path().join("p/c").join(below).exists();
    store.delete(at("a/b/c/d")).await.unwrap();
    assert!(!is_there("a.d/b.d/c.d") && is_there("a.d/b.d"));
    store.delete(at("a/b/e")).await.unwrap();
    assert!(!is_there("a.d") && is_there(""));
    store.put(at("a/b/e"), "y".into(), None).await.unwrap();
    assert_eq!(read(&store, "a/b/e").await, Some("y".into()));
}

#[tokio::test]
async fn writes_and_deletes_that_share_directories_do_not_hinder_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.open("p", MUCH).await.unwrap();
    let churn = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let place = || at(&format!("shared/deep/{n}"));
                store.put(place(), "x".into(), None).await.unwrap();
                store.delete(place()).await.unwrap();
            }
        })
    });
    for task in churn.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(files(directory.path()).is_empty());
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_goes_on_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.open("p", 4 * super::super::COST).await.unwrap();
    for key in ["0", "1", "2"] {
        let mut put = store.put(at(key), "x".into(), None);
        // Begun, then dropped.
        let _ = futures_util::poll!(&mut put);
        drop(put);
        while read(&store, key).await.is_none() {
            tokio::task::yield_now().await;
        }
    }
    let refused = store.put(at("more"), "x".into(), None).await;
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_file_is_told_and_can_be_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await.open("p", MUCH).await.unwrap();
    store.put(at("a"), "x".into(), None).await.unwrap();
    fs::write(&files(directory.path())[0], [0; 600]).unwrap();
    let damaged = store.open(at("a")).await.map(drop).unwrap_err();
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
    store.put(at("a"), "y".into(), None).await.unwrap();
    assert_eq!(read(&store, "a").await, Some("y".into()));
}

/// Names the directory to the process that meets the limit.
const VICTIM: &str = "TRELLIS_TEST_BLOBS_FULL";

/// Limits the size of files in another process, which the whole test run must not share. The
/// shell lets it ignore the signal, so that the write fails as on a full disk.
#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return meet_the_limit(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let name = "backends::blobs::files::tests::a_full_disk_refuses_writes_and_loses_nothing";
    let victim = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", name])
        .env(VICTIM, directory.path())
        .output()
        .unwrap();
    assert!(victim.status.success(), "{}", String::from_utf8_lossy(&victim.stderr));
    assert!(String::from_utf8_lossy(&victim.stdout).contains("1 passed"), "nothing was tried");
}

fn limit_files(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[tokio::main]
async fn meet_the_limit(directory: &Path) {
    let store = open(directory).await.open("p", 4 << 20).await.unwrap();
    store.put(at("a"), vec![1; 1000].into(), None).await.unwrap();
    limit_files(Some(1 << 20));
    for _ in 0..10 {
        let put = store.put(at("a"), vec![2; 2 << 20].into(), None).await;
        let append = store.append(at("a"), vec![2; 2 << 20].into()).await;
        for refused in [put, append] {
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        }
    }
    assert_eq!(read(&store, "a").await, Some(vec![1; 1000].into()));
    limit_files(None);
    store.append(at("a"), vec![1; 2 << 20].into()).await.unwrap();
    let all = read(&store, "a").await.unwrap();
    assert_eq!((all.len(), all.iter().all(|byte| *byte == 1)), (1000 + (2 << 20), true));
    assert_eq!(files(directory).len(), 1);
}
