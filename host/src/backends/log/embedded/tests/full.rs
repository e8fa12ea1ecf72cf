//! A disk that is full: nothing is acknowledged that is not there, and the log goes on once there
//! is room again.

use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;

/// Names the log's directory to the process that meets the limit.
const VICTIM: &str = "TRELLIS_TEST_LOG_FULL";

/// Limits the size of files in another process, which the whole test run must not share. The
/// shell lets it ignore the signal, so that the write fails as on a full disk.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return meet_the_limit(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let victim = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("backends::log::embedded::tests::full::a_full_disk_refuses_writes_until_there_is_room")
        .env(VICTIM, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&victim.stderr);
    assert!(victim.status.success(), "{said}");
}

fn limit_files(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[tokio::main]
async fn meet_the_limit(directory: &Path) {
    let log = Embedded::open(settings(), directory).await.unwrap();
    create(&log, TopicSettings { partitions: 1, ..TopicSettings::default() }).await;
    send(&log, 3, None).await;

    let reading =
        Subscription { group: "g".into(), topics: vec!["t".into()], start: Start::Earliest };
    let mut member = log.join(reading).await.unwrap();
    let Change::Assigned(mut readers) = member.next().await.unwrap() else { panic!("revoked") };
    let reader = &mut readers[0];
    reader.commit(1).await.unwrap();

    limit_files(Some(1 << 20));
    let large = || (0..40).map(|_| record(&[b'x'; 50_000], None)).collect();
    for answer in log.produce(large()).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)));
        assert!(error.to_string().contains("a write failed"), "{error}");
    }
    assert!(log.produce(vec![record(b"small", None)]).await[0].is_err());
    assert_eq!(log.range(place(0)).await.unwrap(), Range { start: 0, end: 3 });
    assert!(reader.commit(2).await.is_err());
    let unknown = reader.committed().await.unwrap_err();
    assert!(matches!(unknown, Error::Unavailable(_)), "nobody knows what of it is on disk");
    assert_eq!(log.read(place(0), 0, limit(10)).await.unwrap().count, 3);

    limit_files(None);
    let room_again = async {
        loop {
            if let Ok(position) = log.produce(vec![record(b"room", None)]).await[0] {
                return position.offset;
            }
        }
    };
    let offset = tokio::time::timeout(Duration::from_secs(60), room_again).await.unwrap();
    assert_eq!(reader.committed().await.unwrap(), Some(1));
    let batch = log.read(place(0), offset, limit(1)).await.unwrap();
    assert_eq!(batch.records().next().unwrap().tail.value(), Some(&b"room"[..]));
    log.close().await;

    let log = Embedded::open(settings(), directory).await.unwrap();
    assert_eq!(log.range(place(0)).await.unwrap(), Range { start: 0, end: offset + 1 });
    let (mut next, mut count) = (0, 0);
    while next <= offset {
        let batch = log.read(place(0), next, limit(10)).await.unwrap();
        count += u64::from(batch.count);
        next = batch.next;
    }
    assert_eq!(count, offset + 1, "offsets have a gap");
}
