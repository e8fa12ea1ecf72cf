//! Kills the host at random moments while numbered events arrive, then looks for each of them.
//!
//! ```text
//! clients ─▶ tracker ─▶ raw ─▶ enricher ─▶ events ─▶ counters ─▶ sql
//!    acknowledged: in `raw` once, in `events` once
//!    unanswered:   in `raw` at most once, and in `events` as often
//!    each kind:    the count of `counters` is the number of records in `events`
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use serde_json::Value;
use trellis::backends::log::{Limit, Log, Partition, Settings, embedded::Embedded};

use crate::{
    built::Built,
    house::{House, log_directory},
    process::PATIENCE,
};

/// Clients that send at the same time.
const CLIENTS: usize = 16;
/// Kinds of events, each with a count of its own.
const KINDS: u64 = 50;

/// How to crash.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How often the host is killed.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// The longest the host runs before it is killed, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    longest: u64,
    /// Repeats the moments of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
}

/// What the clients know.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: BTreeSet<u64>,
    unanswered: BTreeSet<u64>,
}

/// Crash, look and report; an error where an event is lost or doubled.
pub async fn run(arguments: Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    let built = Built::make()?;
    let mut house = House::new(&built, None, "")?;
    for plugin in ["tracker", "enricher", "counters"] {
        house.install_all(&[built.component(plugin)?])?;
    }
    let (next, mut sent) = (Arc::new(AtomicU64::new(0)), Sent::default());
    for round in 1..=arguments.rounds {
        house.run().await?;
        let runs = Duration::from_millis(random.u64(50..=arguments.longest.max(51)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(client(house.client.clone(), house.url("/t"), Arc::clone(&next))))
            .collect();
        tokio::time::sleep(runs).await;
        house.kill();
        for client in join_all(clients).await {
            let own = client?;
            sent.acknowledged.extend(own.acknowledged);
            sent.unanswered.extend(own.unanswered);
        }
        println!("crash {round} after {runs:?}: {} acknowledged so far", sent.acknowledged.len());
    }
    house.run().await?;
    until_done(&house).await?;
    let counted = counted(&house).await?;
    house.stop().await?;
    let (raw, events) =
        (numbers(&house.data(), "raw").await?, numbers(&house.data(), "events").await?);
    check(&sent, &raw, &events, &counted)?;
    println!(
        "{} crashes: {} acknowledged events all there, {} of {} unanswered ones as well, each once; \
         {} counted",
        arguments.rounds,
        sent.acknowledged.len(),
        raw.len() - sent.acknowledged.len(),
        sent.unanswered.len(),
        counted.values().sum::<u64>()
    );
    Ok(())
}

/// Send events until the host is gone.
async fn client(client: crate::client::Client, url: String, next: Arc<AtomicU64>) -> Sent {
    let mut sent = Sent::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let answer = client.get(&format!("{url}/kind-{}?n={number}", number % KINDS)).await;
        match answer {
            Ok((status, _)) if status.is_success() => sent.acknowledged.insert(number),
            // Plugins that are not live yet, or a queue that is full: not stored, but who knows.
            Ok(_) => sent.unanswered.insert(number),
            Err(_) => {
                sent.unanswered.insert(number);
                return sent;
            }
        };
    }
}

/// Wait until both consumers have finished everything.
async fn until_done(house: &House) -> Result<()> {
    let begun = Instant::now();
    loop {
        // The enricher's records and its offset appear together, so what follows is all of them.
        let left = house.lag("enricher", "raw").await?;
        if left == 0 && house.counted().await? == house.records("events").await? {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{left} records are left after {PATIENCE:?}:\n{}", house.said());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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

/// How often each number is in a topic of a host that does not run.
async fn numbers(data: &Path, topic: &str) -> Result<BTreeMap<u64, u64>> {
    let log = Embedded::open(Settings::default(), &log_directory(data)).await?;
    let limit = Limit { records: 5000, bytes: 16 << 20, wait: Duration::ZERO };
    let mut numbers = BTreeMap::new();
    let topics = log.topics().await?;
    let found = topics.iter().find(|found| &*found.name == topic).context("no such topic")?;
    for partition in 0..found.partitions {
        let partition = Partition { topic: topic.into(), partition };
        let mut at = log.range(partition.clone()).await?.start;
        loop {
            let batch = log.read(partition.clone(), at, limit).await?;
            if batch.is_empty() {
                break;
            }
            for record in batch.records() {
                let event: Value = serde_json::from_slice(record.tail.value().unwrap_or_default())?;
                let number = event["query"].as_str().and_then(|query| query.strip_prefix("n="));
                let number = number.with_context(|| format!("no number in {event}"))?.parse()?;
                *numbers.entry(number).or_default() += 1;
            }
            at = batch.next;
        }
    }
    log.close().await;
    Ok(numbers)
}

fn check(
    sent: &Sent,
    raw: &BTreeMap<u64, u64>,
    events: &BTreeMap<u64, u64>,
    counted: &BTreeMap<String, u64>,
) -> Result<()> {
    let lost: Vec<_> = sent.acknowledged.iter().filter(|id| !raw.contains_key(id)).collect();
    ensure!(lost.is_empty(), "{} acknowledged events are lost: {lost:?}", lost.len());
    let doubled: Vec<_> = raw.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(doubled.is_empty(), "events are doubled in `raw`: {doubled:?}");
    let known = |id: &u64| sent.acknowledged.contains(id) || sent.unanswered.contains(id);
    let invented: Vec<_> = raw.keys().filter(|id| !known(id)).collect();
    ensure!(invented.is_empty(), "nobody sent {invented:?}");
    ensure!(raw == events, "`raw` and `events` differ: {:?}", differences(raw, events));
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (number, times) in events {
        *kinds.entry(format!("kind-{}", number % KINDS)).or_default() += times;
    }
    ensure!(kinds == *counted, "the counts differ: {kinds:?} in `events`, {counted:?} counted");
    Ok(())
}

fn differences(raw: &BTreeMap<u64, u64>, events: &BTreeMap<u64, u64>) -> Vec<(u64, u64, u64)> {
    let all: BTreeSet<u64> = raw.keys().chain(events.keys()).copied().collect();
    let times = |of: &BTreeMap<u64, u64>, id: &u64| of.get(id).copied().unwrap_or_default();
    let pairs = all.iter().map(|id| (*id, times(raw, id), times(events, id)));
    pairs.filter(|(_, raw, events)| raw != events).take(20).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn counts(numbers: &[u64]) -> BTreeMap<u64, u64> {
        numbers.iter().map(|number| (*number, 1)).collect()
    }

    fn sent() -> Sent {
        Sent { acknowledged: [1, 2].into(), unanswered: [3, 4].into() }
    }

    fn kinds(numbers: &[u64]) -> BTreeMap<String, u64> {
        numbers.iter().map(|number| (format!("kind-{number}"), 1)).collect()
    }

    #[test]
    fn an_unanswered_event_may_be_there_or_not() {
        for numbers in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 4]] {
            let all = counts(numbers);
            check(&sent(), &all, &all, &kinds(numbers)).unwrap();
        }
    }

    #[test]
    fn a_lost_a_doubled_an_invented_and_a_miscounted_event_are_noticed() {
        let (all, right) = (counts(&[1, 2, 3]), kinds(&[1, 2, 3]));
        let mut doubled = all.clone();
        doubled.insert(2, 2);
        assert!(check(&sent(), &counts(&[1]), &counts(&[1]), &kinds(&[1])).is_err());
        assert!(check(&sent(), &doubled, &doubled, &right).is_err());
        assert!(check(&sent(), &counts(&[1, 2, 9]), &counts(&[1, 2, 9]), &right).is_err());
        assert!(check(&sent(), &all, &doubled, &right).is_err());
        assert!(check(&sent(), &all, &all, &kinds(&[1, 2])).is_err());
        check(&sent(), &all, &all, &right).unwrap();
    }
}
