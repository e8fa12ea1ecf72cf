//! The files of the embedded log, changed while no host runs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trellis::backends::log::{
    Limit, Log, Outgoing, Partition, Settings, TopicSettings, embedded::Embedded,
};

use super::Door;
use crate::Verdict;

/// Records of the log that is changed.
const RECORDS: u64 = 50;

/// A log as it lies on disk, and the file of it that is replaced.
pub struct Segment {
    runtime: Runtime,
    full: TempDir,
    file: PathBuf,
}

impl Segment {
    /// Write the log.
    pub fn open() -> Result<Self> {
        let (runtime, full) = (Runtime::new()?, tempfile::tempdir()?);
        runtime.block_on(write(full.path()))?;
        let file = largest(full.path())?;
        let file = file.strip_prefix(full.path())?.to_owned();
        Ok(Self { runtime, full, file })
    }
}

impl Door for Segment {
    fn feed(&mut self, input: &[u8]) -> Verdict {
        let Ok(dir) = tempfile::tempdir() else { panic!("no directory can be made") };
        let copied = copy(self.full.path(), dir.path());
        let written = copied.and_then(|()| Ok(fs::write(dir.path().join(&self.file), input)?));
        assert!(written.is_ok(), "the log cannot be laid out: {written:?}");
        match self.runtime.block_on(read(dir.path())) {
            Ok(count) => {
                assert!(count <= RECORDS, "{count} records were read, {RECORDS} were written");
                Verdict::Taken
            }
            Err(_) => Verdict::Refused,
        }
    }
}

/// The file with the records.
pub fn seeds() -> Result<Vec<Vec<u8>>> {
    let segment = Segment::open()?;
    Ok(vec![fs::read(segment.full.path().join(&segment.file))?])
}

async fn write(dir: &Path) -> Result<()> {
    let log = Embedded::open(Settings::default(), dir).await?;
    log.create("t", TopicSettings::default()).await?;
    let topic: Arc<str> = "t".into();
    for number in 0..RECORDS {
        let value = format!("{{\"number\":{number}}}");
        let record = Outgoing::new(Arc::clone(&topic), Some(b"key"), Some(value.as_bytes()), &[]);
        for written in log.produce(vec![record]).await {
            written?;
        }
    }
    log.close().await;
    Ok(())
}

/// How many records of the topic can be read.
async fn read(dir: &Path) -> Result<u64> {
    let log = Embedded::open(Settings::default(), dir).await?;
    let limit = Limit { records: 1000, bytes: 1 << 20, wait: Duration::ZERO };
    let mut count = 0;
    for topic in log.topics().await? {
        for number in 0..topic.partitions {
            let partition = Partition { topic: Arc::clone(&topic.name), partition: number };
            let range = log.range(partition.clone()).await?;
            let batch = log.read(partition, range.start, limit).await?;
            count += batch.records().count() as u64;
        }
    }
    log.close().await;
    Ok(count)
}

/// The file that a log has most of its bytes in.
fn largest(dir: &Path) -> Result<PathBuf> {
    let (mut largest, mut dirs) = (None, vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => dirs.push(entry.path()),
                false => largest = largest.max(Some((used(&entry.path())?, entry.path()))),
            }
        }
    }
    Ok(largest.context("the log has no files")?.1)
}

/// How far a file is filled: the rest of it may be room for later.
fn used(path: &Path) -> Result<usize> {
    let bytes = fs::read(path)?;
    Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
