//! Soak: events at a part of what the host can take, for long, while its plugins are replaced again
//! and again; whether anything fails, and whether its memory stays what it is.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    built::{Built, digest, variant},
    client::Client,
    house::House,
    report::median,
};

/// The plugins that every event passes; each is replaced in its turn.
const PLUGINS: [&str; 3] = ["tracker", "enricher", "counters"];
/// Clients that send at the same time.
const CLIENTS: u32 = 32;
/// How long the most that the host can take is looked for.
const LOOK: Duration = Duration::from_secs(15);
/// How often its memory is looked at.
const SAMPLE: Duration = Duration::from_secs(5);
/// So much more memory in the last quarter than in the second is flat; the first is warm-up.
const FLAT: f64 = 1.05;

/// How long and how much.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Minutes under load.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// The load, in a hundred parts of what the host can take.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
    /// Seconds between two swaps.
    #[arg(long, default_value_t = 2)]
    every: u64,
}

/// What clients have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    failed: AtomicU64,
    enough: AtomicBool,
}

impl Seen {
    /// Requests that were answered, and that failed.
    fn so_far(&self) -> (u64, u64) {
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// Send, swap and watch; an error where a request failed or the memory grew.
pub async fn run(arguments: Arguments) -> Result<()> {
    let built = Built::make()?;
    let components: Result<Vec<_>> = PLUGINS.iter().map(|name| built.component(name)).collect();
    let components = components?;
    let mut house = House::new(&built, None, "")?;
    house.install_all(&components)?;
    house.run().await?;
    house.until_served("/t/ready").await?;

    let most = most(&house).await?;
    let wanted = most * f64::from(arguments.percent) / 100.0;
    println!("{most:.0} requests/s at most; {wanted:.0} requests/s from now on");
    let seen = Arc::new(Seen::default());
    let clients = send(&house, Some(wanted), &seen);
    let originals: std::io::Result<Vec<_>> = components.iter().map(fs::read).collect();
    let originals = originals?;
    let swapping = swap(&house, &originals, Duration::from_secs(arguments.every), &seen);
    let watching = watch(&house, Duration::from_secs(60 * arguments.minutes), &seen);
    let (sent, swaps, memory) = tokio::join!(try_join_all(clients), swapping, watching);
    sent?;
    let (swaps, memory) = (swaps?, memory?);
    let (answered, failed) = seen.so_far();
    let quarter = memory.len() / 4;
    let (before, after) = (median(&memory[quarter..2 * quarter]), median(&memory[3 * quarter..]));
    println!(
        "{answered} requests, {failed} failed, {swaps} swaps; memory {before:.0} MiB in the second \
         quarter, {after:.0} MiB in the last"
    );
    ensure!(failed == 0, "{failed} requests failed: {}", house.said());
    ensure!(after < before * FLAT, "the memory grows");
    house.stop().await
}

/// What the host answers in a second where clients send as much as they can.
async fn most(house: &House) -> Result<f64> {
    let seen = Arc::new(Seen::default());
    let (clients, begun) = (send(house, None, &seen), Instant::now());
    tokio::time::sleep(LOOK).await;
    seen.enough.store(true, Ordering::Relaxed);
    try_join_all(clients).await?;
    let (answered, failed) = seen.so_far();
    ensure!(failed == 0, "{failed} requests failed: {}", house.said());
    Ok(answered as f64 / begun.elapsed().as_secs_f64())
}

/// Clients that send so much in a second together, or as much as they can.
fn send(house: &House, wanted: Option<f64>, seen: &Arc<Seen>) -> Vec<JoinHandle<()>> {
    let gap = wanted.map(|wanted| Duration::from_secs_f64(f64::from(CLIENTS) / wanted));
    let client = |number| {
        let (client, url, seen) = (house.client.clone(), house.url("/t/visit"), seen.clone());
        let behind = gap.unwrap_or_default() * number / CLIENTS;
        tokio::spawn(ask(client, url, gap, behind, seen))
    };
    (0..CLIENTS).map(client).collect()
}

async fn ask(
    client: Client,
    url: String,
    gap: Option<Duration>,
    behind: Duration,
    seen: Arc<Seen>,
) {
    let mut due = Instant::now() + behind;
    while !seen.enough.load(Ordering::Relaxed) {
        sleep_until(due).await;
        let well = client.get(&url).await.is_ok_and(|(status, _)| status.is_success());
        let counter = if well { &seen.answered } else { &seen.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        due = gap.map_or_else(Instant::now, |gap| due + gap);
    }
}

/// Replace one plugin after the other by versions that were never there; how often that was.
async fn swap(house: &House, originals: &[Vec<u8>], every: Duration, seen: &Seen) -> Result<u64> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swaps = 0;
    for (number, (name, original)) in (1..).zip(PLUGINS.iter().zip(originals).cycle()) {
        ticks.tick().await;
        if seen.enough.load(Ordering::Relaxed) {
            break;
        }
        let component = variant(original, number);
        house.install(&format!("{name}.wasm"), &component)?;
        house.until_live(name, &digest(&component)).await?;
        swaps = number;
    }
    Ok(swaps)
}

/// Look at the host's memory until the time is over, in MiB.
async fn watch(house: &House, length: Duration, seen: &Seen) -> Result<Vec<f64>> {
    let (begun, mut memory) = (Instant::now(), Vec::new());
    let mut ticks = interval(SAMPLE);
    while begun.elapsed() < length {
        ticks.tick().await;
        let (resident, _) = house.memory()?;
        memory.push(resident);
        if memory.len() % 12 == 0 {
            let (answered, failed) = seen.so_far();
            let minutes = begun.elapsed().as_secs() / 60;
            println!("minute {minutes}: {answered} answered, {failed} failed, {resident:.0} MiB");
        }
    }
    seen.enough.store(true, Ordering::Relaxed);
    Ok(memory)
}
