//! The contract against the embedded log, and what only it promises.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tempfile::TempDir;

use super::{
    super::{
        Change,
        contract::{self, Subject},
    },
    *,
};
use crate::quantity::{Bytes, Millis};

mod crash;
mod full;
mod torn;

/// A log in a directory of its own.
struct Home {
    directory: TempDir,
    log: Option<Embedded>,
}

impl Home {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = Some(Embedded::open(settings(), directory.path()).await.unwrap());
        Self { directory, log }
    }

    fn log(&self) -> &Embedded {
        self.log.as_ref().unwrap()
    }
}

impl Subject for Home {
    fn log(&self) -> &dyn Log {
        self.log.as_ref().unwrap()
    }

    /// Opens what is in the files while the log runs: what `kill -9` leaves behind.
    async fn restarted(self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        let log = Some(Embedded::open(settings(), directory.path()).await.unwrap());
        Self { directory, log }
    }
}

/// Little memory, and nothing is deleted unless a test asks for it.
fn settings() -> Settings {
    let (tail_bytes, retention_check) = (Bytes(1 << 20), Millis(3_600_000));
    Settings { tail_bytes, retention_check, ..Settings::default() }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

contract::promises!(Home::open());

fn place(partition: u32) -> Partition {
    Partition { topic: "t".into(), partition }
}

fn limit(records: u32) -> Limit {
    Limit { records, bytes: 16 << 20, wait: Duration::from_secs(30) }
}

fn record(value: &[u8], timestamp_ms: Option<i64>) -> Outgoing {
    let record = Outgoing::new("t".into(), None, Some(value), &[]);
    Outgoing { partition: Some(0), timestamp_ms, ..record }
}

async fn create(log: &Embedded, settings: TopicSettings) {
    log.create("t", settings).await.unwrap();
}

/// Write records of 1,000 bytes, each in a chunk of its own.
async fn send(log: &Embedded, count: usize, timestamp_ms: Option<i64>) {
    for _ in 0..count {
        log.produce(vec![record(&[b'x'; 1000], timestamp_ms)]).await[0].as_ref().unwrap();
    }
}

fn now_ms() -> i64 {
    crate::quantity::now_ms() as i64
}

#[tokio::test]
async fn records_that_left_memory_come_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let tiny = Settings { tail_bytes: Bytes(10_000), ..settings() };
    let log = Embedded::open(tiny, directory.path()).await.unwrap();
    create(&log, TopicSettings { partitions: 1, ..TopicSettings::default() }).await;
    for base in 0..5 {
        let records =
            (0..1000).map(|index| record(format!("{}", base * 1000 + index).as_bytes(), None));
        assert!(log.produce(records.collect()).await.iter().all(Result::is_ok));
    }
    let (mut next, mut seen) = (0, 0);
    while next < 5000 {
        let batch = log.read(place(0), next, limit(300)).await.unwrap();
        for record in batch.records() {
            assert_eq!(record.tail.value().unwrap(), seen.to_string().as_bytes());
            seen += 1;
        }
        next = batch.next;
    }
    assert_eq!(seen, 5000);
}

#[tokio::test]
async fn old_records_are_deleted_and_offsets_never_come_back() {
    let mut home = Home::open().await;
    let settings_of =
        TopicSettings { partitions: 1, retention_ms: Some(60_000), ..TopicSettings::default() };
    create(home.log(), settings_of).await;
    send(home.log(), 3, Some(now_ms() - 120_000)).await;
    send(home.log(), 2, None).await;
    home.log().delete_old().await.unwrap();
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 3, end: 5 });
    let batch = home.log().read(place(0), 0, limit(10)).await.unwrap();
    assert_eq!((batch.records().next().unwrap().offset, batch.next), (3, 5));
    send(home.log(), 1, Some(now_ms() - 120_000)).await;

    home = home.restarted().await;
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 3, end: 6 });
}

#[tokio::test]
async fn a_partition_emptied_by_retention_goes_on_counting_after_a_restart() {
    let home = Home::open().await;
    create(
        home.log(),
        TopicSettings { retention_ms: Some(1), partitions: 1, ..TopicSettings::default() },
    )
    .await;
    send(home.log(), 4, Some(1000)).await;
    home.log().delete_old().await.unwrap();
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 4, end: 4 });
    let home = home.restarted().await;
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 4, end: 4 });
    assert_eq!(home.log().produce(vec![record(b"x", None)]).await[0].as_ref().unwrap().offset, 4);
}

#[tokio::test]
async fn the_oldest_records_go_when_a_partition_grows_too_large() {
    let home = Home::open().await;
    let small =
        TopicSettings { partitions: 1, retention_bytes: Some(3000), ..TopicSettings::default() };
    create(home.log(), small).await;
    send(home.log(), 10, None).await;
    home.log().delete_old().await.unwrap();
    // A record takes 1,032 bytes; three of them are the least that hold 3,000.
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 7, end: 10 });
    home.log().delete_old().await.unwrap();
    assert_eq!(home.log().range(place(0)).await.unwrap(), Range { start: 7, end: 10 });
}

#[tokio::test]
async fn a_member_that_is_late_to_let_go_is_fenced() {
    let directory = tempfile::tempdir().unwrap();
    let revoke_deadline = Millis(20);
    let log =
        Embedded::open(Settings { revoke_deadline, ..settings() }, directory.path()).await.unwrap();
    create(&log, TopicSettings { partitions: 2, ..TopicSettings::default() }).await;
    let subscription =
        Subscription { group: "g".into(), topics: vec!["t".into()], start: Start::Earliest };
    let mut first = log.join(subscription.clone()).await.unwrap();
    let Change::Assigned(mut stuck) = first.next().await.unwrap() else { panic!("no partitions") };
    let mut second = log.join(subscription).await.unwrap();
    // Never asks what it is to let go.
    let Change::Assigned(got) = second.next().await.unwrap() else { panic!("no partition") };
    let moved = got[0].partition().clone();
    for reader in &mut stuck {
        let committed = reader.commit(0).await;
        assert_eq!(matches!(committed, Err(Error::Fenced { .. })), *reader.partition() == moved);
    }
}

#[tokio::test]
async fn every_record_is_relayed_once_also_when_members_lose_partitions_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let hasty = Settings { revoke_deadline: Millis(0), ..settings() };
    let log = Some(Embedded::open(hasty, directory.path()).await.unwrap());
    contract::every_record_is_relayed_once_while_members_come_and_go(Home { directory, log }).await;
}

#[tokio::test]
async fn a_closed_log_says_so_and_can_be_opened_again() {
    let mut home = Home::open().await;
    create(home.log(), TopicSettings { partitions: 1, ..TopicSettings::default() }).await;
    send(home.log(), 2, None).await;
    let subscription =
        Subscription { group: "g".into(), topics: vec!["t".into()], start: Start::Earliest };
    let mut member = home.log().join(subscription).await.unwrap();
    let Change::Assigned(mut readers) = member.next().await.unwrap() else {
        panic!("no partition")
    };
    home.log.take().unwrap().close().await;
    assert!(matches!(readers[0].commit(1).await, Err(Error::Unavailable(_))));
    let again = Embedded::open(settings(), home.directory.path()).await.unwrap();
    assert_eq!(again.range(place(0)).await.unwrap(), Range { start: 0, end: 2 });
}

#[tokio::test]
async fn a_directory_belongs_to_one_log() {
    let home = Home::open().await;
    let Err(second) = Embedded::open(settings(), home.directory.path()).await else {
        panic!("the directory was opened twice");
    };
    assert!(second.to_string().contains("in use by another process"), "{second}");
}

#[tokio::test]
async fn a_topic_without_members_has_no_lag_of_its_own() {
    let home = Home::open().await;
    let join = async |topic: &str| {
        home.log().create(topic, TopicSettings::default()).await.unwrap();
        let topics = vec![topic.into()];
        let subscription = Subscription { group: "g".into(), topics, start: Start::Earliest };
        home.log().join(subscription).await.unwrap()
    };
    let (_stays, leaves) = (join("a").await, join("b").await);
    assert_eq!(home.log().lag().await.unwrap().len(), 8);
    drop(leaves);
    let lags = home.log().lag().await.unwrap();
    assert_eq!(lags.len(), 4);
    assert!(lags.iter().all(|lag| &*lag.topic == "a"));
}
