//! `counters-consumer` and `relay-exactly-once`: a topic read to its end, beside the same code
//! without a guest; `kafka-…`: a topic in a cluster.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{
    Bench,
    topics::{Kind, Topics},
};
use crate::{
    house::House,
    native::server::seconds,
    process::PATIENCE,
    report::{Row, median, spread},
};

/// How often it is looked how much is done: each look asks the log.
const LOOK: Duration = Duration::from_millis(20);

/// What is read by whom.
struct Reading {
    progress: Progress,
    plugin: &'static str,
    native: &'static str,
    group: &'static str,
    topics: &'static [&'static str],
}

/// Where it shows how much is done.
enum Progress {
    /// In the group's offsets.
    Offsets,
    /// In what the counters answer: their offsets lie in the database.
    Counted,
}

/// Events counted into the plugin's own database.
pub async fn counters(bench: &Bench, name: &str, kind: Kind) -> Result<Vec<Row>> {
    let reading = Reading {
        progress: Progress::Counted,
        plugin: "counters",
        native: "counters",
        group: "counters",
        topics: &["events"],
    };
    measure(bench, name, kind, &reading).await
}

/// Events written to another topic, exactly once.
pub async fn relay(bench: &Bench, name: &str, kind: Kind) -> Result<Vec<Row>> {
    let reading = Reading {
        progress: Progress::Offsets,
        plugin: "bench-relay",
        native: "relay",
        group: "bench-relay",
        topics: &["relay-in", "relay-out"],
    };
    measure(bench, name, kind, &reading).await
}

async fn measure(bench: &Bench, name: &str, kind: Kind, reading: &Reading) -> Result<Vec<Row>> {
    let topics = Topics::new(kind, reading.topics, bench.messages).await?;
    let (mut native, mut plugin) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        native.push(native_rate(bench, reading, &topics).await?);
        plugin.push(plugin_rate(bench, reading, &topics).await?);
    }
    let note = format!(
        "{} messages of about 300 bytes, ±{:.0} %",
        bench.messages,
        spread(&native).max(spread(&plugin))
    );
    let row = Row { native: Some(median(&native)), ..Row::new(name, "msg/s", median(&plugin)) };
    Ok(vec![Row { note, ..row }])
}

async fn native_rate(bench: &Bench, reading: &Reading, topics: &Topics) -> Result<f64> {
    let data = tempfile::tempdir()?;
    let arguments = topics.arguments(data.path())?;
    Ok(bench.messages as f64 / seconds(reading.native, &arguments).await?)
}

/// Install the plugin into a running host; from the first batch on, the time until nothing is
/// left.
async fn plugin_rate(bench: &Bench, reading: &Reading, topics: &Topics) -> Result<f64> {
    topics.rewind(reading.group, reading.topics[0]).await?;
    let mut house = topics.house(bench, None)?;
    house.run().await?;
    house.install_all(&[bench.built.component(reading.plugin)?])?;
    let (first, begun) = until_begun(&house, reading, bench.messages).await?;
    loop {
        if left(&house, reading, bench.messages).await? == 0 {
            break;
        }
        if begun.elapsed() > PATIENCE * 4 {
            bail!("{} does not get to the end:\n{}", reading.plugin, house.said());
        }
        tokio::time::sleep(LOOK).await;
    }
    let rate = first as f64 / begun.elapsed().as_secs_f64();
    house.stop().await?;
    Ok(rate)
}

/// How many messages are not finished.
async fn left(house: &House, reading: &Reading, messages: u64) -> Result<u64> {
    match reading.progress {
        Progress::Offsets => house.lag(reading.group, reading.topics[0]).await,
        Progress::Counted => Ok(messages.saturating_sub(house.counted().await?)),
    }
}

/// Wait until the group has finished something, but not all; what is left then, and when that
/// was.
async fn until_begun(house: &House, reading: &Reading, messages: u64) -> Result<(u64, Instant)> {
    let begun = Instant::now();
    loop {
        let left = left(house, reading, messages).await?;
        if left > 0 && left < messages {
            return Ok((left, Instant::now()));
        }
        if begun.elapsed() > PATIENCE {
            bail!("{} does not begin:\n{}", reading.plugin, house.said());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
