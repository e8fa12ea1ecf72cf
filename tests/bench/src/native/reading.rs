//! Reading all partitions of a topic to their end, each in a task of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use trellis::backends::log::{
    Change, Limit, Log, Partition, Reader, Start, Subscription, embedded::Embedded,
};

/// How long a read waits for a record.
const WAIT: Duration = Duration::from_secs(1);

/// So many records a batch, as a plugin's manifest has it.
pub fn batches_of(records: u32) -> Limit {
    Limit { records, bytes: 16 << 20, wait: WAIT }
}

/// Give each partition of `topic` to `work` with the offset where it ends; the seconds until all
/// are done.
pub async fn run<W, F>(log: &Embedded, topic: &str, group: &str, work: W) -> Result<f64>
where
    W: Fn(Box<dyn Reader>, u64) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let topic: Arc<str> = topic.into();
    let subscription =
        Subscription { group: group.into(), topics: vec![topic.clone()], start: Start::Earliest };
    let mut member = log.join(subscription).await?;
    let Change::Assigned(readers) = member.next().await? else {
        bail!("`{topic}` was not assigned");
    };
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for reader in readers {
        let partition = Partition { topic: topic.clone(), partition: reader.partition().partition };
        let end = log.range(partition).await?.end;
        tasks.push(tokio::spawn(work(reader, end)));
    }
    for done in try_join_all(tasks).await? {
        done?;
    }
    Ok(begun.elapsed().as_secs_f64())
}
