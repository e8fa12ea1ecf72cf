//! `websocket-idle`: the memory of websockets on which nothing happens.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use crate::{
    client::Client,
    house::House,
    listeners::remote::{Listeners, PUBLISH},
    machine,
    native::server::Server,
    process::Process,
    report::{Against, Row},
};

/// How many are connected.
const COUNT: u32 = 10_000;
/// What each may take, in KiB.
const LIMIT_KIB: f64 = 3.0;
/// Memory is settled when it has not grown or shrunk by so much, in MiB ...
const STILL_MIB: f64 = 0.1;
/// ... in this time, ...
const STILL: Duration = Duration::from_secs(2);
/// ... which it is given up to wait for after this one.
const RESTLESS: Duration = Duration::from_secs(20);

/// Resident memory of idle websockets, in a channel that nobody publishes to.
pub async fn idle(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    // A host gives connections half of its files.
    machine::open_files(2 * u64::from(COUNT))?;
    let native = Server::start("fanout", &[], None).await?;
    let native = each(native.process(), native.address()).await?;
    let mut house = House::new(&bench.built, None, "")?;
    house.install_all(&[bench.built.component("bench-fanout")?])?;
    house.run().await?;
    house.until_served(PUBLISH).await?;
    // What the compiler had and gave back would be there for the listeners, uncounted.
    house.stop().await?;
    house.run().await?;
    house.until_served(PUBLISH).await?;
    // Ends the connection that asked, whose place the last listener needs.
    house.client = Client::default();
    let plugin = each(house.process()?, house.address()).await?;
    Ok(vec![Row {
        less_is_better: true,
        native: Some(native),
        against: Against::Limit(LIMIT_KIB),
        note: format!("each of {COUNT}, without the system's part · limit {LIMIT_KIB} KiB"),
        ..Row::new(name, "KiB", plugin)
    }])
}

/// How much more memory, in KiB, a server has for each.
async fn each(process: &Process, address: &str) -> Result<f64> {
    let before = settled(process).await?;
    let _listeners = Listeners::connect(address, COUNT, None).await?;
    let after = settled(process).await?;
    Ok((after - before) * 1024.0 / f64::from(COUNT))
}

/// The resident memory of a process that has come to rest, in MiB.
async fn settled(process: &Process) -> Result<f64> {
    let begun = Instant::now();
    let (mut memory, _) = process.memory()?;
    loop {
        tokio::time::sleep(STILL).await;
        let (now, _) = process.memory()?;
        if (now - memory).abs() < STILL_MIB || begun.elapsed() > RESTLESS {
            return Ok(now);
        }
        memory = now;
    }
}
