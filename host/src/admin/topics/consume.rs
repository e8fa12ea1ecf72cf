//! Reading a topic without a group: one JSON object a record.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    response::Response,
};
use futures_util::{StreamExt, stream, stream::BoxStream};
use serde::{Deserialize, Serialize};

use super::{Data, start};
use crate::{
    admin::{
        Host,
        error::{Error, Query},
        lines,
    },
    backends::log::{self, Batch, Limit, Log, Partition, Start},
};

/// How much is read at once, and how long the wait for more is.
const LIMIT: Limit = Limit { records: 500, bytes: 1 << 20, wait: Duration::from_secs(5) };

/// The query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Which {
    /// As [`start`] reads it; `earliest` when not given.
    from: Option<String>,
    /// One partition; all when not given.
    partition: Option<u32>,
    /// The most records.
    limit: Option<usize>,
    /// Whether to go on with records that come later.
    #[serde(default)]
    follow: bool,
}

/// A record as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The partition.
    pub partition: u32,
    /// The place in it.
    pub offset: u64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Data>,
    /// The value.
    pub value: Option<Data>,
    /// Names and values in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Option<Data>)>,
}

/// What stands in a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Record(Record),
    Failed { error: String },
}

/// Records, in order within each partition: those that are there now, or with `follow` also all
/// later ones.
pub(in crate::admin) async fn consume(
    State(host): State<Host>,
    Path(topic): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    let log = host.sources.log.clone();
    let from = start(which.from.as_deref().unwrap_or("earliest"))?;
    let mut partitions = Vec::new();
    for partition in partitions_of(&*log, &topic).await? {
        if which.partition.is_none_or(|wanted| wanted == partition.partition) {
            partitions.push(Reading::open(log.clone(), partition, from, which.follow).await?);
        }
    }
    if let (true, Some(partition)) = (partitions.is_empty(), which.partition) {
        return Err(log::Error::UnknownPartition { topic, partition }.into());
    }
    let records = stream::select_all(partitions.into_iter().map(Reading::records));
    let records = records.take(which.limit.unwrap_or(usize::MAX));
    Ok(lines::lines(records, host.shutdown))
}

async fn partitions_of(log: &dyn Log, topic: &str) -> Result<Vec<Partition>, Error> {
    let topics = log.topics().await?;
    let found = topics.into_iter().find(|found| *found.name == *topic);
    let found = found.ok_or_else(|| log::Error::UnknownTopic(topic.to_owned()))?;
    let partition = |partition| Partition { topic: found.name.clone(), partition };
    Ok((0..found.partitions).map(partition).collect())
}

/// A place in a partition that moves on.
struct Reading {
    log: Arc<dyn Log>,
    partition: Partition,
    next: u64,
    /// Where to stop; `None`: never.
    end: Option<u64>,
    /// Older records are left out.
    since: i64,
}

impl Reading {
    async fn open(
        log: Arc<dyn Log>,
        partition: Partition,
        from: Start,
        follow: bool,
    ) -> log::Result<Self> {
        let range = log.range(partition.clone()).await?;
        let (next, since) = match from {
            Start::Earliest => (range.start, i64::MIN),
            Start::Latest => (range.end, i64::MIN),
            Start::Offset(offset) => (offset, i64::MIN),
            Start::Time(time) => (range.start, time),
        };
        Ok(Self { log, partition, next, end: (!follow).then_some(range.end), since })
    }

    /// The records up to the end. Stops at the first error, which is the last line then.
    fn records(self) -> BoxStream<'static, Line> {
        let batches = stream::unfold(Some(self), |reading| async {
            let mut reading = reading?;
            if reading.end.is_some_and(|end| reading.next >= end) {
                return None;
            }
            match reading.log.read(reading.partition.clone(), reading.next, LIMIT).await {
                Ok(batch) => Some((reading.lines(&batch), Some(reading))),
                Err(error) => Some((vec![Line::Failed { error: error.to_string() }], None)),
            }
        });
        batches.flat_map(stream::iter).boxed()
    }

    fn lines(&mut self, batch: &Batch) -> Vec<Line> {
        // A batch that stayed empty before the end: what was there has been deleted meanwhile.
        self.next = match (batch.is_empty(), self.end) {
            (true, Some(end)) => end,
            _ => batch.next,
        };
        let end = self.end.unwrap_or(u64::MAX);
        let wanted = batch
            .records()
            .filter(|record| record.offset < end && record.timestamp_ms >= self.since);
        wanted.map(|record| Line::Record(show(self.partition.partition, record))).collect()
    }
}

fn show(partition: u32, record: log::record::Record<'_>) -> Record {
    let headers = record.tail.headers();
    Record {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.tail.key().map(Data::of),
        value: record.tail.value().map(Data::of),
        headers: headers.map(|(name, value)| (name.to_owned(), value.map(Data::of))).collect(),
    }
}
