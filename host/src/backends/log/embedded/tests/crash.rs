//! `kill -9` at any moment loses nothing that was acknowledged.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

/// Names the log's directory to the process that is to be killed.
const VICTIM: &str = "TRELLIS_TEST_LOG_VICTIM";
const PRODUCERS: u64 = 16;

/// Started by itself as another process: that one writes until it is killed, and prints what was
/// acknowledged.
#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return write_for_ever(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        acknowledged.extend(kill_after(directory.path(), 100 + round * 57));
        check(directory.path(), &acknowledged);
    }
}

/// Run a victim until it has acknowledged so many records; answers offset and value of each.
fn kill_after(directory: &Path, records: usize) -> Vec<(u64, String)> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(
            "backends::log::embedded::tests::crash::a_killed_process_loses_nothing_it_acknowledged",
        )
        .env(VICTIM, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<_> = Vec::new();
    for line in lines {
        acknowledged.extend(parse(&line.unwrap()));
        if acknowledged.len() == records {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    assert!(acknowledged.len() >= records, "the victim ended by itself");
    acknowledged
}

/// The last line may be cut off, and the test's own output is between them.
fn parse(line: &str) -> Option<(u64, String)> {
    let (offset, value) = line.strip_prefix("written ")?.strip_suffix(" .")?.split_once(' ')?;
    Some((offset.parse().ok()?, value.to_owned()))
}

#[tokio::main]
async fn write_for_ever(directory: &Path) {
    let log = Embedded::open(settings(), directory).await.unwrap();
    let settings = TopicSettings { partitions: 1, ..TopicSettings::default() };
    match log.create("t", settings).await {
        Ok(()) | Err(Error::TopicExists(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let producers = (0..PRODUCERS).map(|_| async {
        // Until it is killed.
        loop {
            let value = format!("{:x}", fastrand::u128(..)).repeat(fastrand::usize(1..40));
            let position =
                *log.produce(vec![record(value.as_bytes(), None)]).await[0].as_ref().unwrap();
            writeln!(std::io::stdout(), "written {} {value} .", position.offset).unwrap();
        }
    });
    futures_util::future::join_all::<_>(producers).await.into_iter().for_each(|()| {});
}

#[tokio::main]
async fn check(directory: &Path, acknowledged: &[(u64, String)]) {
    let log = Embedded::open(settings(), directory).await.unwrap();
    let end = log.range(place(0)).await.unwrap().end;
    let mut values = Vec::new();
    while (values.len() as u64) < end {
        let batch = log.read(place(0), values.len() as u64, limit(1000)).await.unwrap();
        for record in batch.records() {
            assert_eq!(record.offset, values.len() as u64, "offsets have a gap");
            values.push(String::from_utf8(record.tail.value().unwrap().to_vec()).unwrap());
        }
    }
    for (offset, value) in acknowledged {
        assert_eq!(values.get(*offset as usize), Some(value), "record {offset} is lost or torn");
    }
}
