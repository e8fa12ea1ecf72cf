//! Looks at what is there once everything is well again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bench::house::House;
use serde_json::Value;
use tokio::time::sleep;
use trellis::backends::log::{Limit, Log, Partition};

use crate::{
    history::{Number, There, Topic, Violation},
    stage::Stage,
};

/// How long the groups may take to come to the end once everything is well again.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);
/// How long a read may take to find the next record. One that finds none sooner says that there is
/// nothing but the ends of transactions.
const WAIT: Duration = Duration::from_secs(20);

/// Wait until the groups of a running host have come to the end, stop it, and read everything.
/// The inner error is a group that does not come to its end.
pub async fn everything(stage: &Stage, house: &mut House) -> Result<Result<There, Violation>> {
    let passed_on = until(async || match left(house).await {
        Ok(Some(0)) => Ok(()),
        Ok(Some(left)) => Err(format!("{left} records of `raw` are left")),
        Ok(None) => Err("not all of `raw` is read".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    if let Err(violation) = passed_on.await {
        return Ok(Err(violation));
    }
    // What the enricher sends appears with its offset, so `events` is complete now.
    let passed_on = stage.records(house, "events").await?;
    let all_counted = until(async || match house.counted().await {
        Ok(counted) if counted == passed_on => Ok(()),
        Ok(counted) => Err(format!("{counted} of {passed_on} events are counted")),
        Err(error) => Err(error.to_string()),
    });
    if let Err(violation) = all_counted.await {
        return Ok(Err(violation));
    }
    let counted = counted(house).await?;
    house.stop().await?;
    let log = stage.log(house).await?;
    let (raw, events) = (topic(&*log, "raw").await?, topic(&*log, "events").await?);
    log.close().await;
    Ok(Ok(There { raw, events, counted }))
}

/// How many records the enricher has not finished; `None` while it does not read all partitions,
/// since one that the group has not taken over yet shows no lag.
async fn left(house: &House) -> Result<Option<u64>> {
    let topics = house.admin("/api/topics").await?;
    let topics = topics.as_array().context("the topics are a list")?;
    let raw = topics.iter().find(|topic| topic["name"] == "raw");
    let partitions = raw.and_then(|raw| raw["partitions"].as_u64());
    let partitions = partitions.context("there is no topic `raw`")?;
    let lags = house.admin("/api/lag").await?;
    let lags = lags.as_array().context("the lag is a list")?.iter();
    let of_raw = lags.filter(|lag| lag["group"] == "enricher" && lag["topic"] == "raw");
    let left: Option<Vec<u64>> = of_raw.map(|lag| lag["lag"].as_u64()).collect();
    Ok(left.filter(|left| left.len() as u64 == partitions).map(|left| left.iter().sum()))
}

/// What the counters answer, by kind.
async fn counted(house: &House) -> Result<BTreeMap<String, u64>> {
    let (status, body) = house.client.get(&house.url("/consumers/event_counter/data")).await?;
    ensure!(status.is_success(), "the counters answer {status}");
    let answer: Value = serde_json::from_slice(&body)?;
    let pairs = answer["data"].as_array().context("`data` is a list")?.iter();
    let pairs = pairs.filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].as_u64()?)));
    Ok(pairs.collect())
}

/// The events of a topic, each partition in its order.
pub async fn topic(log: &dyn Log, name: &str) -> Result<Topic> {
    let limit = Limit { records: 5000, bytes: 16 << 20, wait: WAIT };
    let topics = log.topics().await?;
    let found = topics.iter().find(|found| &*found.name == name);
    let partitions = found.with_context(|| format!("there is no topic `{name}`"))?.partitions;
    let mut topic = Topic::new();
    for number in 0..partitions {
        let partition = Partition { topic: name.into(), partition: number };
        let range = log.range(partition.clone()).await?;
        let (mut at, numbers) = (range.start, topic.entry(number).or_default());
        while at < range.end {
            let batch = log.read(partition.clone(), at, limit).await?;
            for record in batch.records() {
                numbers.push(event(record.tail.value().unwrap_or_default())?);
            }
            if batch.next <= at {
                // Nothing but the ends of transactions.
                break;
            }
            at = batch.next;
        }
    }
    Ok(topic)
}

/// The number of an event as the tracker or the enricher writes it.
fn event(value: &[u8]) -> Result<Number> {
    let event: Value = serde_json::from_slice(value)?;
    let number = event["query"].as_str().and_then(|query| query.strip_prefix("n="));
    Ok(Number(number.with_context(|| format!("no number in {event}"))?.parse()?))
}

async fn until(
    mut look: impl AsyncFnMut() -> std::result::Result<(), String>,
) -> std::result::Result<(), Violation> {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(()) => return Ok(()),
            Err(instead) if begun.elapsed() > PATIENCE => {
                return Err(Violation::Stuck(format!("{instead} after {PATIENCE:?}")));
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}
