//! What a power cut leaves: a journal whose last write lacks some of its middle.

use std::fs;

use super::*;

/// A log with three records in writes of their own, closed by a crash; `damaged` is overwritten.
async fn crashed(damaged: &[u8]) -> TempDir {
    let home = Home::open().await;
    create(home.log(), TopicSettings { partitions: 1, ..TopicSettings::default() }).await;
    for value in [b"the first", b"the other", b"the third"] {
        home.log().produce(vec![record(value, None)]).await[0].as_ref().unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    copy(home.directory.path(), directory.path());
    let mut journal = fs::read(journal(directory.path())).unwrap();
    let at = journal.windows(damaged.len()).position(|bytes| bytes == damaged).unwrap();
    journal[at..at + damaged.len()].fill(0);
    fs::write(self::journal(directory.path()), journal).unwrap();
    directory
}

fn journal(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut journals = entries.filter(|path| path.extension().is_some_and(|name| name == "jnl"));
    journals.next().unwrap()
}

#[tokio::test]
async fn a_torn_last_write_is_dropped_and_the_rest_kept() {
    let directory = crashed(b"the third").await;
    let log = Embedded::open(settings(), directory.path()).await.unwrap();
    assert_eq!(log.range(place(0)).await.unwrap(), Range { start: 0, end: 2 });
    assert_eq!(log.produce(vec![record(b"new", None)]).await[0].as_ref().unwrap().offset, 2);
    log.close().await;
    let log = Embedded::open(settings(), directory.path()).await.unwrap();
    let batch = log.read(place(0), 0, limit(10)).await.unwrap();
    let values: Vec<_> = batch.records().map(|record| record.tail.value().unwrap()).collect();
    assert_eq!(values, [&b"the first"[..], b"the other", b"new"]);
}

#[tokio::test]
async fn damage_before_the_last_write_is_reported_and_left_alone() {
    let directory = crashed(b"the first").await;
    let before = fs::read(journal(directory.path())).unwrap();
    let Err(error) = Embedded::open(settings(), directory.path()).await else {
        panic!("a damaged log was opened");
    };
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(fs::read(journal(directory.path())).unwrap() == before);
}
