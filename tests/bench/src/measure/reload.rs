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
    let mut house = House::new(&bench.built, None, "")?;
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
    let original = fs::read(bench.built.component("tracker")?)?;
    let swaps = async {
        for number in 1..=SWAPS {
            let component = variant(&original, version(number));
            house.install("tracker.wasm", &component)?;
            house.until_live("tracker", &digest(&component)).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    let swapped = wrk.run_until(&url, &request(), swaps).await?;
    // As long as the swaps took: what only happens now and then happens in both.
    let seconds = Duration::from_micros(swapped.duration_us as u64).as_secs().max(5);
    let quiet = wrk.run(&url, &request(), seconds).await?;
    ensure!(quiet.failed == 0.0, "{} requests failed without any swap", quiet.failed);
    let (failed, answered) = (swapped.failed, swapped.requests);
    let (p99, quiet_ms) = (swapped.p99_us / 1000.0, quiet.p99_us / 1000.0);
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
