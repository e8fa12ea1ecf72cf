//! `websocket-idle`: the memory of websockets on which nothing happens.

use anyhow::Result;

use super::Bench;
use crate::{
    client::Client,
    house::House,
    listeners::{
        Form,
        remote::{Listeners, PUBLISH},
    },
    machine,
    native::server::Server,
    process::Process,
    report::{Against, Row},
};

/// How many are connected.
const COUNT: u32 = 10_000;
/// What each may take, in KiB.
const LIMIT_KIB: f64 = 3.0;

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
    let before = process.settled_memory().await?;
    let _listeners = Listeners::connect(address, Form::Websocket, COUNT, None).await?;
    let after = process.settled_memory().await?;
    Ok((after - before) * 1024.0 / f64::from(COUNT))
}
