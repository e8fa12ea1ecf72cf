//! `idle-plugins`: what installed plugins cost that have little or nothing to do.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use trellis::plugins::status::State;

use super::Bench;
use crate::{
    built::variant,
    house::House,
    process::PATIENCE,
    report::{Against, Row, median, milliseconds},
};

/// Plugins that were used once.
const USED: u64 = 500;
/// Plugins that nobody called.
const SLEEPING: u64 = 5000;
/// Different components among those.
const DIFFERENT: u64 = 250;
/// What either may take, in MiB.
const LIMIT_MIB: f64 = 256.0;
/// What the first call of a sleeping plugin may take, in milliseconds.
const LIMIT_MS: f64 = 2.0;

/// Memory of 500 plugins that were called once.
pub async fn used(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let house = installed(bench, USED, USED).await?;
    for number in 0..USED {
        let (status, _) = house.client.get(&house.url(&path(number))).await?;
        ensure!(status.is_success(), "plugin {number} answers {status}");
    }
    let what = format!("{USED} different plugins, each called once");
    Ok(vec![memory(&house, name, &what)?])
}

/// Memory of 5,000 plugins that nobody called, and the first call of one of them.
pub async fn sleeping(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let mut house = installed(bench, SLEEPING, DIFFERENT).await?;
    // The usual case is a start that finds everything compiled.
    house.stop().await?;
    let begun = Instant::now();
    house.run().await?;
    let ready = begun.elapsed().as_secs_f64();
    until_installed(&house, SLEEPING).await?;
    let what = format!(
        "{SLEEPING} plugins of {DIFFERENT} components that nobody called, ready after {ready:.1} s"
    );
    let memory = memory(&house, name, &what)?;
    Ok(vec![memory, first_calls(&house, &format!("{name}-first-call")).await?])
}

fn path(number: u64) -> String {
    format!("/idle-{number}")
}

/// A host with so many plugins of so many components.
async fn installed(bench: &Bench, count: u64, different: u64) -> Result<House> {
    let mut house = House::new(&bench.built, None, "")?;
    let hello = fs::read(bench.built.component("bench-hello")?)?;
    for number in 0..count {
        let component = variant(&hello, number % different);
        let manifest =
            format!("name = \"idle-{number}\"\n[http]\nroutes = [\"{}\"]\n", path(number));
        fs::write(house.plugins().join(format!("idle-{number}.wasm")), component)?;
        fs::write(house.plugins().join(format!("idle-{number}.toml")), manifest)?;
    }
    house.run().await?;
    until_installed(&house, count).await?;
    Ok(house)
}

async fn until_installed(house: &House, count: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let plugins = house.all_plugins().await?;
        let live = plugins.iter().filter(|plugin| plugin.state == State::Live).count();
        if live as u64 == count {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE * 5 {
            bail!("{live} of {count} plugins are live:\n{}", house.said());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn memory(house: &House, name: &str, what: &str) -> Result<Row> {
    let (resident, anonymous) = house.memory()?;
    Ok(Row {
        less_is_better: true,
        against: Against::Limit(LIMIT_MIB),
        note: format!("{what} · {anonymous:.0} MiB of it anonymous · limit {LIMIT_MIB:.0} MiB"),
        ..Row::new(name, "MiB", resident)
    })
}

/// How much longer the first call takes than the second, over plugins of different components.
async fn first_calls(house: &House, name: &str) -> Result<Row> {
    // The connection is not what is measured.
    house.client.get(&house.url("/nothing")).await?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for number in 0..DIFFERENT {
        let url = house.url(&path(number));
        for times in [&mut first, &mut second] {
            let begun = Instant::now();
            let (status, _) = house.client.get(&url).await?;
            times.push(milliseconds(begun));
            ensure!(status.is_success(), "{url} answers {status}");
        }
    }
    let most = first.iter().copied().fold(0.0, f64::max);
    Ok(Row {
        less_is_better: true,
        native: Some(median(&second)),
        against: Against::Limit(LIMIT_MS),
        note: format!(
            "p50 of {DIFFERENT}, most {most:.2} ms · native: the second call · limit {LIMIT_MS} ms"
        ),
        ..Row::new(name, "ms", median(&first))
    })
}
