//! `/api/topics` and `/api/lag`: topics, their records and the groups that read them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::{
    Host,
    error::{Body, Error},
};
use crate::backends::log::{
    Lag, Outgoing, Partition, Position, Range, Start, Topic, TopicSettings,
};

mod consume;
mod data;

pub use consume::Record;
pub(super) use consume::consume;
pub use data::Data;

/// The most records one request may bring.
const MAX_RECORDS: usize = 10_000;

/// A topic with what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Name, partitions and settings.
    #[serde(flatten)]
    pub topic: Topic,
    /// The records that each partition keeps.
    pub ranges: Vec<Range>,
}

impl Overview {
    /// How many records are kept.
    pub fn records(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }
}

/// All topics by name.
pub(super) async fn list(State(host): State<Host>) -> Result<Json<Vec<Overview>>, Error> {
    let log = &*host.sources.log;
    let overviews = log.topics().await?.into_iter().map(|topic| async move {
        let partitions = (0..topic.partitions)
            .map(|partition| Partition { topic: topic.name.clone(), partition });
        let ranges = try_join_all(partitions.map(|partition| log.range(partition))).await?;
        Ok::<_, Error>(Overview { topic, ranges })
    });
    Ok(Json(try_join_all(overviews).await?))
}

/// Create a topic.
pub(super) async fn create(
    State(host): State<Host>,
    Path(topic): Path<String>,
    Body(settings): Body<TopicSettings>,
) -> Result<StatusCode, Error> {
    host.sources.log.create(&topic, settings).await?;
    Ok(StatusCode::CREATED)
}

/// Records to write.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Produce {
    /// In order.
    pub records: Vec<NewRecord>,
}

/// A record to write.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NewRecord {
    /// Records with the same key keep their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Data>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Data>,
    /// Names and values, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Option<Data>)>,
    /// Where; by the key when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// When, in milliseconds since 1970; now when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_ms: Option<i64>,
}

/// What became of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Produced {
    /// It is durable.
    At(Position),
    /// It was refused.
    Failed {
        /// Why.
        error: String,
    },
}

/// Write records: one outcome a record, in order. The status is that of the first failure.
pub(super) async fn produce(
    State(host): State<Host>,
    Path(topic): Path<String>,
    Body(Produce { records }): Body<Produce>,
) -> Result<(StatusCode, Json<Vec<Produced>>), Error> {
    if records.len() > MAX_RECORDS {
        let message = format!("{} records are more than a request may bring", records.len());
        return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            .hint(format!("send at most {MAX_RECORDS} at a time")));
    }
    let topic: Arc<str> = topic.into();
    let records = records.into_iter().map(|record| record.outgoing(topic.clone()));
    let records = records.collect::<Result<_, _>>()?;
    let mut status = StatusCode::OK;
    let outcomes = host.sources.log.produce(records).await.into_iter().map(|outcome| {
        outcome.map_or_else(
            |error| {
                let failed = Produced::Failed { error: error.to_string() };
                if status == StatusCode::OK {
                    status = Error::from(error).status();
                }
                failed
            },
            Produced::At,
        )
    });
    let outcomes = outcomes.collect();
    Ok((status, Json(outcomes)))
}

impl NewRecord {
    fn outgoing(self, topic: Arc<str>) -> Result<Outgoing, Error> {
        let decode = |data: Option<Data>| data.map(Data::into_bytes).transpose();
        let (key, value) = (decode(self.key)?, decode(self.value)?);
        let headers = self.headers.into_iter().map(|(name, value)| Ok((name, decode(value)?)));
        let headers: Vec<(String, Option<Vec<u8>>)> = headers.collect::<Result<_, Error>>()?;
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let mut record = Outgoing::new(topic, key.as_deref(), value.as_deref(), &headers);
        (record.partition, record.timestamp_ms) = (self.partition, self.timestamp_ms);
        Ok(record)
    }
}

/// Where to move which group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The group, which a live plugin reads for.
    pub group: String,
    /// As [`start`] reads it.
    pub to: String,
}

/// Move a group to another place in all partitions of a topic.
pub(super) async fn replay(
    State(host): State<Host>,
    Path(topic): Path<String>,
    Body(Replay { group, to }): Body<Replay>,
) -> Result<StatusCode, Error> {
    (host.sources.replay)(&group, &topic, start(&to)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How far every group is.
pub(super) async fn lag(State(host): State<Host>) -> Result<Json<Vec<Lag>>, Error> {
    Ok(Json(host.sources.log.lag().await?))
}

/// A place in a topic as people write it: `earliest`, `latest`, an offset, or a time such as
/// `2026-01-31T08:00:00Z`.
pub fn start(text: &str) -> Result<Start, Error> {
    match text {
        "earliest" => return Ok(Start::Earliest),
        "latest" => return Ok(Start::Latest),
        _ => {}
    }
    if let Ok(offset) = text.parse() {
        return Ok(Start::Offset(offset));
    }
    let time = text.parse::<jiff::Timestamp>().map(|time| Start::Time(time.as_millisecond()));
    time.map_err(|_| {
        Error::new(StatusCode::BAD_REQUEST, format!("`{text}` is no place in a topic"))
            .hint("write `earliest`, `latest`, an offset, or a time such as `2026-01-31T08:00:00Z`")
    })
}
