//! The contract, and a disk without room.

#![allow(clippy::unwrap_used)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;

/// Opens again once the writer of an earlier opening has let the directory go.
async fn open(directory: &Path) -> Arc<dyn KeyValue> {
    loop {
        match Embedded::open(directory) {
            Ok(embedded) => return Arc::new(embedded),
            Err(error) if error.to_string().contains("Locked") => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

super::super::contract::contract!(super::open);

#[test]
fn no_prefix_begins_with_another() {
    let own = |plugin, store| prefix(Namespace::Own { plugin, store });
    let prefixes = [own("a", "bc"), own("ab", "c"), own("a", "b"), prefix(Namespace::Shared("a"))];
    for (at, one) in prefixes.iter().enumerate() {
        for other in prefixes.iter().skip(at + 1) {
            assert!(!one.starts_with(other) && !other.starts_with(one));
        }
    }
}

/// Names the store's directory to the process that meets the limit.
const VICTIM: &str = "TRELLIS_TEST_STORE_FULL";

/// Limits the size of files in another process, which the whole test run must not share. The
/// shell lets it ignore the signal, so that the write fails as on a full disk.
#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return meet_the_limit(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let name =
        "backends::keyvalue::embedded::tests::a_full_disk_refuses_writes_until_there_is_room";
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
    let stores = Embedded::open(directory).unwrap();
    let store = stores.store(Namespace::Shared("s"));
    let put = async |key: &str, size: usize| {
        // What does not compress.
        let value: Bytes = std::iter::repeat_with(|| fastrand::u8(..)).take(size).collect();
        store.set_many(vec![(key.to_owned(), value)]).await
    };
    put("before", 10).await.unwrap();

    limit_files(Some(1 << 20));
    let refused = put("large", 3 << 20).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused}");

    limit_files(None);
    let begun = Instant::now();
    while let Err(error) = put("room", 10).await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let kept = ["before", "room"].map(str::to_owned).to_vec();
    let kept = store.get_many(kept).await.unwrap();
    assert!(kept.iter().all(Option::is_some), "{kept:?}");
}
