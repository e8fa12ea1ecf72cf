//! `websocket-fanout`: what a plugin publishes to thousands of websockets, beside a broadcast
//! channel and a task for each of them.

use anyhow::Result;

use super::Bench;
use crate::{
    house::House,
    listeners::{
        Form, Order,
        remote::{Listeners, PUBLISH},
    },
    machine,
    native::server::Server,
    process::Process,
    report::{Against, Row, median, spread},
};

/// How many listen.
const LISTENERS: [u32; 2] = [2_000, 8_000];
/// The bytes of a frame.
const SIZE: u64 = 200;
/// The frames of a request where they queue; as many again may be on their way.
const BURST: u64 = 100;
/// From one frame to the next where latency is measured: 100,000 deliveries a second.
const EVERY_US: u64 = 20_000;
/// Of how many listeners the last is waited for there.
const PACED: u32 = LISTENERS[0];
/// What that may take, in milliseconds.
const LIMIT_MS: f64 = 20.0;
/// Deliveries a second that are aimed at, one frame at a time and where they queue.
const AIMS: [f64; 2] = [200_000.0, 2_000_000.0];

/// A server and those who listen to it.
struct Side<'a> {
    process: &'a Process,
    listeners: Listeners,
}

/// What a run showed.
struct Run {
    /// Deliveries a second.
    rate: f64,
    /// The server's processor time of a delivery, in microseconds.
    cpu_us: f64,
    /// To the last listener.
    p99_ms: f64,
    /// How much of one processor the listeners took, in per cent: at 100 it is they who are slow.
    load: f64,
}

/// The runs of the plugin and of native code.
struct Runs {
    plugin: Vec<Run>,
    native: Vec<Run>,
}

/// All rows.
pub async fn websockets(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in LISTENERS {
        rows.extend(heard_by(bench, name, count).await?);
    }
    Ok(rows)
}

async fn heard_by(bench: &Bench, name: &str, count: u32) -> Result<Vec<Row>> {
    // A host gives connections half of its files.
    machine::open_files(2 * u64::from(count) + 1000)?;
    let pins = bench.server_pin();
    let native = Server::start("fanout", &[], pins.as_deref()).await?;
    let mut house = House::new(&bench.built, pins, "")?;
    house.install_all(&[bench.built.component("bench-fanout")?])?;
    house.run().await?;
    house.until_served(PUBLISH).await?;
    let pins = bench.load_pin();
    let listeners =
        Listeners::connect(house.address(), Form::Websocket, count, pins.as_deref()).await?;
    let mut plugin = Side { process: house.process()?, listeners };
    let listeners =
        Listeners::connect(native.address(), Form::Websocket, count, pins.as_deref()).await?;
    let mut native = Side { process: native.process(), listeners };

    let name = format!("{name}-{count}");
    let seconds = bench.seconds;
    let single = Order { seconds, burst: 1, size: SIZE, every_us: 0, waiting: 0 };
    let queued = Order { burst: BURST, waiting: BURST, ..single };
    let single = alternate(bench, &mut plugin, &mut native, &single).await?;
    let queued = alternate(bench, &mut plugin, &mut native, &queued).await?;
    let how = "each frame when all have the one before";
    let mut rows = rates(&name, &single, how, AIMS[0]).to_vec();
    let how = format!("{BURST} frames a call");
    rows.extend(rates(&format!("{name}-queued"), &queued, &how, AIMS[1]));
    if count == PACED {
        let paced = Order { seconds, burst: 1, size: SIZE, every_us: EVERY_US, waiting: 0 };
        let paced = alternate(bench, &mut plugin, &mut native, &paced).await?;
        rows.push(latency("websocket-fanout-p99", &paced));
    }
    Ok(rows)
}

/// Give each its turn in each round, after one turn each to warm up.
async fn alternate(
    bench: &Bench,
    plugin: &mut Side<'_>,
    native: &mut Side<'_>,
    order: &Order,
) -> Result<Runs> {
    let mut runs = Runs { plugin: Vec::new(), native: Vec::new() };
    let warming = Order { seconds: 1, ..*order };
    native.run(&warming).await?;
    plugin.run(&warming).await?;
    for _ in 0..bench.rounds {
        runs.native.push(native.run(order).await?);
        runs.plugin.push(plugin.run(order).await?);
    }
    Ok(runs)
}

impl Side<'_> {
    async fn run(&mut self, order: &Order) -> Result<Run> {
        let times = |side: &Self| {
            anyhow::Ok((side.process.processor_time()?, side.listeners.processor_time()?))
        };
        let before = times(self)?;
        let outcome = self.listeners.run(order).await?;
        let after = times(self)?;
        let deliveries = outcome.frames as f64 * f64::from(self.listeners.count());
        Ok(Run {
            rate: deliveries / outcome.seconds,
            cpu_us: (after.0 - before.0) * 1e6 / deliveries,
            p99_ms: outcome.p99_ms,
            load: (after.1 - before.1) * 100.0 / outcome.seconds,
        })
    }
}

impl Runs {
    /// The row of a figure, with how far a round lay from the middle.
    fn row(&self, name: &str, unit: &'static str, of: fn(&Run) -> f64) -> Row {
        let figures = |runs: &[Run]| runs.iter().map(of).collect::<Vec<_>>();
        let (plugin, native) = (figures(&self.plugin), figures(&self.native));
        let note = format!("±{:.0} %", spread(&plugin).max(spread(&native)));
        Row { native: Some(median(&native)), note, ..Row::new(name, unit, median(&plugin)) }
    }
}

/// Deliveries a second, and what one takes of the server's processors.
fn rates(name: &str, runs: &Runs, how: &str, aim: f64) -> [Row; 2] {
    let mut rate = runs.row(name, "/s", |run| run.rate);
    let load = middle(&runs.plugin, |run| run.load);
    rate.note = format!(
        "{how} · aim {:.1} M/s · listeners {load:.0} % of a processor · {}",
        aim / 1e6,
        rate.note
    );
    let mut cpu = runs.row(&format!("{name}-cpu"), "µs", |run| run.cpu_us);
    cpu.note = format!("of the server's processors, a delivery · {}", cpu.note);
    cpu.less_is_better = true;
    [rate, cpu]
}

fn middle(runs: &[Run], of: fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(of).collect::<Vec<_>>())
}

fn latency(name: &str, runs: &Runs) -> Row {
    let row = runs.row(name, "ms", |run| run.p99_ms);
    let rate = middle(&runs.plugin, |run| run.rate);
    Row {
        less_is_better: true,
        against: Against::Limit(LIMIT_MS),
        note: format!(
            "to the last of {PACED} at {rate:.0} deliveries/s · limit {LIMIT_MS} ms · {}",
            row.note
        ),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_time_is_better_and_more_deliveries_are() {
        let run = |rate, cpu_us, p99_ms| Run { rate, cpu_us, p99_ms, load: 50.0 };
        let plugin = vec![run(300.0, 2.0, 10.0), run(100.0, 4.0, 8.0), run(200.0, 3.0, 9.0)];
        let runs = Runs { plugin, native: vec![run(100.0, 6.0, 30.0)] };
        let [rate, cpu] = rates("a", &runs, "so", 1e6);
        assert_eq!((rate.ratio(), cpu.ratio()), (Some(2.0), Some(2.0)));
        assert!(rate.note.ends_with("±50 %"), "{}", rate.note);
        assert_eq!(latency("a", &runs).ratio(), Some(20.0 / 9.0));
    }
}
