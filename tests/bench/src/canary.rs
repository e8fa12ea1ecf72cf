//! Splits requests between two versions and counts whose answers came; then drops versions that
//! fail, and times the host until it has taken each back by itself.
//!
//! ```text
//!  split 95 5 ── 100,000 requests ── the candidate's share, none failed
//!  bad version ─┬─ swapped        ── from its first failure to the last
//!               └─ as a candidate ── the same
//! ```

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde_json::json;
use trellis::{
    manifest::{self, section},
    plugins::{
        Status,
        status::{Version, VersionState},
    },
};

use crate::{built::Built, client::Client, house::House, process::PATIENCE};

/// Clients that ask at the same time.
const CLIENTS: u64 = 16;
/// The plugin.
const NAME: &str = "bench-canary";
/// How long the host may take to take a version back.
const LIMIT: Duration = Duration::from_secs(5);
/// How many standard deviations the candidate's share may be off.
const SIGMAS: f64 = 5.0;
/// How long to go on asking after a version was taken back: nothing may fail any more.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How to split.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Requests that are counted.
    #[arg(long, default_value_t = 100_000)]
    requests: u64,
    /// The candidate's part, in a hundred requests.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..100))]
    percent: u32,
}

/// Split, count and report; an error where the shares are wrong, a request fails that must not, or
/// a bad version stays.
pub async fn run(arguments: Arguments) -> Result<()> {
    let built = Built::make()?;
    let component = fs::read(built.component(NAME)?)?;
    let mut house = House::new(&built, None, "")?;
    house.install("bench-canary.wasm", version(&component, "one")?)?;
    house.run().await?;
    house.until_served("/bench-canary").await?;
    let weights = json!({ "live": 100 - arguments.percent, "candidate": arguments.percent });
    house.order(NAME, "split", &weights).await?;
    house.install("bench-canary.wasm", version(&component, "two")?)?;
    until(&house, VersionState::Canary).await?;
    count(&house, &arguments).await?;

    let failed = Failures::of(&house, version(&component, "bad")?).await?;
    println!("a bad candidate with {} %: {failed}", arguments.percent);
    house.order(NAME, "split", &json!({ "live": 1, "candidate": 0 })).await?;
    // Another file than before, which is remembered.
    let again = crate::built::variant(&version(&component, "bad")?, 1);
    let failed = Failures::of(&house, again).await?;
    println!("a bad version swapped: {failed}");
    house.stop().await
}

/// The component as a version that says this.
fn version(component: &[u8], says: &str) -> Result<Vec<u8>> {
    let text = section::find(component).context("components carry their manifests")?;
    let mut manifest = manifest::read(text, NAME)?;
    manifest.version = Some(says.to_owned());
    manifest.config.insert("says".to_owned(), says.to_owned());
    Ok(section::embed(component, &manifest)?)
}

/// Wait until a version is in this state.
async fn until(house: &House, state: VersionState) -> Result<Version> {
    let begun = Instant::now();
    loop {
        let status: Status = house.plugin(NAME).await?;
        let found = status.versions.into_iter().find(|version| version.state == state);
        match found {
            Some(version) => return Ok(version),
            None if begun.elapsed() > PATIENCE => {
                bail!("no version is {state:?}: {}", house.said())
            }
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Count the answers of both versions.
async fn count(house: &House, arguments: &Arguments) -> Result<()> {
    let asked = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let (client, url, asked) =
            (house.client.clone(), house.url("/bench-canary"), asked.clone());
        let requests = arguments.requests;
        async move { tokio::spawn(ask(client, url, asked, requests)).await? }
    });
    let mut answers: BTreeMap<String, u64> = BTreeMap::new();
    for counted in try_join_all(clients).await? {
        for (answer, times) in counted {
            *answers.entry(answer).or_default() += times;
        }
    }
    let of = |answer: &str| answers.get(answer).copied().unwrap_or_default();
    let (one, two, all) = (of("200 one"), of("200 two"), arguments.requests);
    ensure!(one + two == all, "requests failed: {answers:?}");
    let share = f64::from(arguments.percent) / 100.0;
    let (expected, sigma) = (share * all as f64, (all as f64 * share * (1.0 - share)).sqrt());
    let off = (two as f64 - expected) / sigma;
    println!(
        "{all} requests in {:.1} s: {two} to the candidate, {:.3} % ({off:+.2} standard deviations \
         from {} %), 0 failed",
        begun.elapsed().as_secs_f64(),
        100.0 * two as f64 / all as f64,
        arguments.percent
    );
    ensure!(off.abs() < SIGMAS, "{two} is not {} % of {all}", arguments.percent);
    Ok(())
}

/// Ask until all have asked so often; how often each answer came.
async fn ask(
    client: Client,
    url: String,
    asked: Arc<AtomicU64>,
    requests: u64,
) -> Result<BTreeMap<String, u64>> {
    let mut answers = BTreeMap::new();
    while asked.fetch_add(1, Ordering::Relaxed) < requests {
        *answers.entry(said(client.get(&url).await?)).or_default() += 1;
    }
    Ok(answers)
}

fn said((status, body): (http::StatusCode, Bytes)) -> String {
    format!("{} {}", status.as_u16(), String::from_utf8_lossy(&body))
}

/// What clients saw of a version that fails.
#[derive(Debug, Default)]
struct Failures {
    answers: u64,
    failed: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Failures {
    /// Drop a version that fails while clients ask, until some time after it was taken back.
    async fn of(house: &House, component: Vec<u8>) -> Result<Self> {
        let before = house.plugin(NAME).await?.reverts;
        let (seen, done) =
            (Arc::new(Mutex::new(Self::default())), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (client, url) = (house.client.clone(), house.url("/bench-canary"));
                tokio::spawn(watch(client, url, seen.clone(), done.clone()))
            })
            .collect();
        let dropped = Instant::now();
        house.install("bench-canary.wasm", component)?;
        while house.plugin(NAME).await?.reverts == before {
            ensure!(dropped.elapsed() < PATIENCE, "it was not taken back: {}", house.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let taken_back = Instant::now();
        tokio::time::sleep(AFTERWARDS).await;
        done.store(true, Ordering::Relaxed);
        for client in clients {
            client.await??;
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        ensure!(seen.failed > 0, "nothing failed, so nothing was shown");
        ensure!(seen.took() < LIMIT, "it took {:?}", seen.took());
        ensure!(seen.last < Some(taken_back + AFTERWARDS / 2), "requests fail afterwards");
        Ok(seen)
    }

    fn took(&self) -> Duration {
        self.last.zip(self.first).map_or(Duration::ZERO, |(last, first)| last - first)
    }
}

impl std::fmt::Display for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, failed, .. } = self;
        let seconds = self.took().as_secs_f64();
        write!(f, "taken back {seconds:.2} s after its first failure, {failed} of {answers} failed")
    }
}

/// Ask until all is done, and note what fails.
async fn watch(
    client: Client,
    url: String,
    seen: Arc<Mutex<Failures>>,
    done: Arc<AtomicBool>,
) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        let (status, _) = client.get(&url).await?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.answers += 1;
        if !status.is_success() {
            seen.failed += 1;
            seen.first.get_or_insert_with(Instant::now);
            seen.last = Some(Instant::now());
        }
    }
    Ok(())
}
