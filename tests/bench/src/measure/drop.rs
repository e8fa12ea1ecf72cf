//! `drop-to-served`: from a file that is renamed into the plugin directory to the first answer.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::Bench;
use crate::{
    built::{Built, digest, variant},
    client::Client,
    house::House,
    peer::Peer,
    report::{Against, Row, median, milliseconds},
};

/// How often a file is dropped.
const DROPS: u64 = 25;
/// What a drop may take, in milliseconds.
const LIMIT_MS: f64 = 100.0;
/// The same where it has been compiled before.
const CACHED_LIMIT_MS: f64 = 20.0;

/// A component that nobody has compiled.
pub async fn compiled(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    measure(bench, name, false, LIMIT_MS).await
}

/// A component whose AOT file is there.
pub async fn cached(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    measure(bench, name, true, CACHED_LIMIT_MS).await
}

async fn measure(bench: &Bench, name: &str, cached: bool, limit: f64) -> Result<Vec<Row>> {
    let mut house = House::new(&bench.built, None, "")?;
    house.run().await?;
    let hello = fs::read(bench.built.component("bench-hello")?)?;
    let mut times = Vec::new();
    for number in 0..DROPS {
        let component = variant(&hello, number);
        if cached {
            // Compiled, then gone: what is left is the AOT file.
            drop_once(&house, &component).await?;
        }
        times.push(drop_once(&house, &component).await?);
    }
    let (peer, note) = match peer_ms(cached).await {
        Ok(peer) => (Some(peer), "peer: restarted with the new file".to_owned()),
        Err(error) => (None, format!("{error:#}")),
    };
    let most = times.iter().copied().fold(0.0, f64::max);
    Ok(vec![Row {
        less_is_better: true,
        peer,
        against: Against::Limit(limit),
        note: format!("p50 of {DROPS}, most {most:.1} ms · limit {limit:.0} ms · {note}"),
        ..Row::new(name, "ms", median(&times))
    }])
}

/// Milliseconds until the first 200; the file is taken away again afterwards.
async fn drop_once(house: &House, component: &[u8]) -> Result<f64> {
    house.install("bench-hello.wasm", component)?;
    let took = house.until_served("/bench-hello").await?;
    let live = house.plugin("bench-hello").await?.digest;
    ensure!(live == Some(digest(component)), "another version answered: {live:?}");
    fs::remove_file(house.plugins().join("bench-hello.wasm"))?;
    while house.client.get(&house.url("/bench-hello")).await?.0.is_success() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(took.as_secs_f64() * 1000.0)
}

/// The way the peer gets to a new version: it starts again.
async fn peer_ms(cached: bool) -> Result<f64> {
    let hello = fs::read(Built::foreign()?.join("wasi-02-sync.wasm"))?;
    let (dir, client) = (tempfile::tempdir()?, Client::default());
    let (file, cache) = (dir.path().join("hello.wasm"), dir.path().join("cache"));
    let mut times = Vec::new();
    for number in 0..DROPS / 2 {
        // One version again and again is compiled once.
        fs::write(&file, variant(&hello, if cached { 0 } else { number }))?;
        let begun = Instant::now();
        let mut peer = Peer::serve(&file, None, cached.then_some(cache.as_path())).await?;
        peer.until_served(&client).await?;
        times.push(milliseconds(begun));
    }
    Ok(median(&times))
}
