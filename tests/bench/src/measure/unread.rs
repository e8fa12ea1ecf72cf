//! `listeners-that-never-read`: what they keep of a server, beside others that hear everything.

use std::{collections::HashSet, net::TcpStream};

use anyhow::{Result, ensure};

use super::Bench;
use crate::{
    house::House,
    listeners::{
        Form, Order,
        remote::{LISTEN, Listeners, PUBLISH},
        socket::let_in,
    },
    report::{Against, Row},
    sockets,
};

/// How many never read, and how many do.
const COUNT: u32 = 100;
/// What each that never reads may take of the host and of the system, in KiB.
const LIMIT_KIB: f64 = 64.0;
/// Short frames, 50 a second ...
const SHORT: Order = Order { seconds: 0, burst: 1, size: 200, every_us: 20_000, waiting: 0 };
/// ... and long ones, more than any socket takes and less than the channel keeps: who is passed by
/// the channel is closed, and takes nothing.
const LONG: Order = Order { seconds: 4, burst: 1, size: 16 << 10, every_us: 10_000, waiting: 0 };
/// Nobody is cut while it is measured.
const SETTINGS: &str = "[connections]\nstalled = \"1h\"\nping = \"1h\"\n";

/// What it is of each that never reads, in KiB.
struct Kept {
    host: f64,
    system: f64,
}

/// Memory of websockets, and of streams, that never read.
pub async fn listeners(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, form) in
        [(name.to_owned(), Form::Websocket), (format!("{name}-streams"), Form::Stream)]
    {
        let Kept { host, system } = beside_others(bench, form).await?;
        rows.push(Row {
            less_is_better: true,
            against: Against::Limit(LIMIT_KIB),
            note: format!(
                "each of {COUNT}: {host:.1} of the host, {system:.1} of the system · limit \
                 {LIMIT_KIB} KiB"
            ),
            ..Row::new(name, "KiB", host + system)
        });
    }
    Ok(rows)
}

async fn beside_others(bench: &Bench, form: Form) -> Result<Kept> {
    let mut house = House::new(&bench.built, bench.server_pin(), SETTINGS)?;
    house.install_all(&[bench.built.component("bench-fanout")?])?;
    house.run().await?;
    house.until_served(PUBLISH).await?;
    let pins = bench.load_pin();
    let mut others = Listeners::connect(house.address(), form, COUNT, pins.as_deref()).await?;
    // Twice, so that the channel keeps as much as it ever does.
    publish(bench, &mut others).await?;
    publish(bench, &mut others).await?;
    let before = house.process()?.settled_memory().await?;

    let address = house.address().parse()?;
    let unread: Vec<TcpStream> =
        (0..COUNT).map(|_| let_in(address, LISTEN, form)).collect::<Result<_>>()?;
    publish(bench, &mut others).await?;
    let after = house.process()?.settled_memory().await?;

    let names: HashSet<_> = unread.iter().map(TcpStream::local_addr).collect::<Result<_, _>>()?;
    let mut ends = sockets::ends_at(address)?;
    ends.retain(|end| names.contains(&end.peer));
    ensure!(
        ends.len() == names.len(),
        "{} of {COUNT} are connected:\n{}",
        ends.len(),
        house.said()
    );
    let waits = ends.iter().filter(|end| end.kept > 0).count();
    ensure!(waits == names.len(), "only for {waits} of {COUNT} there is more than they take");
    let system: u64 = ends.iter().map(|end| end.kept).sum();
    let each = |kib: f64| kib / f64::from(COUNT);
    Ok(Kept { host: each((after - before) * 1024.0), system: each(system as f64 / 1024.0) })
}

/// Publish both kinds, and wait until those that read have all.
async fn publish(bench: &Bench, others: &mut Listeners) -> Result<()> {
    others.run(&Order { seconds: bench.seconds, ..SHORT }).await?;
    others.run(&LONG).await?;
    Ok(())
}
