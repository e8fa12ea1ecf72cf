//! `reload-under-load`: the tracker swapped again and again while events arrive.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};

use super::{Bench, tracker::request};
use crate::{
    built::{digest, variant},
    house::House,
    report::{Against, Row},
    wrk::Wrk,
};

/// How often it is swapped.
const SWAPS: u64 = 100;
/// How many times the quiet p99 it may be.
const LIMIT: f64 = 2.0;
/// From one swap to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// p99 quiet, then with each version compiled anew, then with two versions that take turns.
pub async fn tracker(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let mut house = House::new(&bench.built, None)?;
    house.install_all(&[bench.built.component("tracker")?])?;
    house.run().await?;
    house.until_served("/t/ready").await?;
    let wrk = Wrk::new(None, 64)?;
    let url = house.url("/t/purchase");
    wrk.run(&url, &request(), 2).await?;
    let new = swapped(bench, &house, &wrk, name, |number| number).await?;
    let known =
        swapped(bench, &house, &wrk, &format!("{name}-cached"), |number| number % 2).await?;
    Ok(vec![new, known])
}

async fn swapped(
    bench: &Bench,
    house: &House,
    wrk: &Wrk,
    name: &str,
    version: fn(u64) -> u64,
) -> Result<Row> {
    let url = house.url("/t/purchase");
    let event = request();
    let quiet = wrk.run(&url, &event, bench.seconds.max(5)).await?;
    let original = fs::read(bench.built.component("tracker")?)?;
    let swaps = async {
        for number in 1..=SWAPS {
            let component = variant(&original, version(number));
            house.install("tracker.wasm", &component)?;
            house.until_live("tracker", &digest(&component)).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    let mut outcomes = Vec::new();
    let mut swaps = std::pin::pin!(swaps);
    let mut done = false;
    while !done {
        // A run ends by itself; the last one may outlast the swaps.
        let mut run = std::pin::pin!(wrk.run(&url, &event, 5));
        let outcome = loop {
            tokio::select! {
                outcome = &mut run => break outcome?,
                swapped = &mut swaps, if !done => { swapped?; done = true; }
            }
        };
        outcomes.push(outcome);
    }
    let failed: f64 = outcomes.iter().map(|outcome| outcome.failed).sum();
    let answered: f64 = outcomes.iter().map(|outcome| outcome.requests).sum();
    ensure!(quiet.failed == 0.0, "{} requests failed without any swap", quiet.failed);
    let p99 = outcomes.iter().map(|outcome| outcome.p99_us).fold(0.0, f64::max) / 1000.0;
    let quiet_ms = quiet.p99_us / 1000.0;
    Ok(Row {
        less_is_better: true,
        native: Some(quiet_ms),
        against: Against::Limit(LIMIT * quiet_ms),
        note: format!(
            "p99; native: quiet · {SWAPS} swaps, {failed} failed of {answered} · limit twice quiet"
        ),
        ..Row::new(name, "ms", p99)
    })
}
