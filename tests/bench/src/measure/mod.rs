//! What can be measured, by name.

use anyhow::Result;

use crate::{
    built::Built,
    machine,
    report::{Row, median, spread},
    wrk::{Outcome, Request, Wrk},
};

mod abuse;
mod consume;
mod drop;
mod fanout;
mod greeter;
mod hello;
mod idle;
mod languages;
mod radio;
mod reload;
mod topics;
mod tracker;
mod unread;
mod wasi;
mod websockets;

use topics::Kind;

/// Every name, in the order of the report.
pub const NAMES: [&str; 46] = [
    "http-hello",
    "http-hello-browser",
    "http-hello-plain",
    "http-hello-plain-browser",
    "wasi-http-02-hello",
    "wasi-http-03-hello",
    "tracker-durable",
    "counters-consumer",
    "relay-exactly-once",
    "drop-to-served",
    "drop-to-served-cached",
    "reload-under-load",
    "reload-languages",
    "languages",
    "idle-plugins",
    "idle-plugins-sleeping",
    "websocket-fanout",
    "websocket-idle",
    "listeners-that-never-read",
    "radio-listeners",
    "kafka-tracker-durable",
    "kafka-counters-consumer",
    "kafka-relay-exactly-once",
    // Beside nothing first, which tells how much is noise.
    "abuse-nothing",
    "abuse-loop",
    "abuse-nap",
    "abuse-sleep",
    "abuse-allocate",
    "abuse-recurse",
    "abuse-panic",
    "abuse-random",
    "abuse-log",
    "abuse-print",
    "abuse-series",
    "abuse-values",
    "abuse-spam",
    "abuse-page",
    "abuse-line",
    "abuse-list",
    "abuse-buckets",
    "abuse-transactions",
    "abuse-fields",
    "abuse-timers",
    "abuse-calls",
    "abuse-rows",
    "abuse-query",
];

/// How to measure.
pub struct Bench {
    /// What is measured.
    pub built: Built,
    /// How long each run of a round takes.
    pub seconds: u64,
    /// How often each side has its turn.
    pub rounds: usize,
    /// Records that a consumer reads in a round.
    pub messages: u64,
    /// Whether servers and load have processors of their own.
    pub pinned: bool,
}

impl Bench {
    /// Take the measurement of this name: one row or several.
    pub async fn measure(&self, name: &str) -> Result<Vec<Row>> {
        match name {
            "http-hello" => hello::packed(self, name, false).await,
            "http-hello-browser" => hello::packed(self, name, true).await,
            "http-hello-plain" => hello::plain(self, name, false).await,
            "http-hello-plain-browser" => hello::plain(self, name, true).await,
            "wasi-http-02-hello" => wasi::hello(self, name, "wasi-02-sync").await,
            "wasi-http-03-hello" => wasi::hello(self, name, "wasi-03-stream").await,
            "tracker-durable" => tracker::durable(self, name, Kind::Embedded).await,
            "counters-consumer" => consume::counters(self, name, Kind::Embedded).await,
            "relay-exactly-once" => consume::relay(self, name, Kind::Embedded).await,
            "drop-to-served" => drop::compiled(self, name).await,
            "drop-to-served-cached" => drop::cached(self, name).await,
            "reload-under-load" => reload::tracker(self, name).await,
            "reload-languages" => greeter::reload(self).await,
            "languages" => languages::table(self, name).await,
            "idle-plugins" => idle::used(self, name).await,
            "idle-plugins-sleeping" => idle::sleeping(self, name).await,
            "websocket-fanout" => fanout::websockets(self, name).await,
            "listeners-that-never-read" => unread::listeners(self, name).await,
            "radio-listeners" => radio::listeners(self, name).await,
            "websocket-idle" => websockets::idle(self, name).await,
            "kafka-tracker-durable" => tracker::durable(self, name, Kind::Kafka).await,
            "kafka-counters-consumer" => consume::counters(self, name, Kind::Kafka).await,
            "kafka-relay-exactly-once" => consume::relay(self, name, Kind::Kafka).await,
            _ => match name.strip_prefix("abuse-") {
                Some(deed) => abuse::beside(self, name, deed).await,
                None => anyhow::bail!("`{name}` is none of {}", NAMES.join(", ")),
            },
        }
    }

    /// The processors of servers.
    fn server_pin(&self) -> Option<String> {
        machine::pins().0.filter(|_| self.pinned)
    }

    /// The processor of the load.
    fn load_pin(&self) -> Option<String> {
        machine::pins().1.filter(|_| self.pinned)
    }

    fn wrk(&self, connections: u32) -> Result<Wrk> {
        Wrk::new(self.load_pin(), connections)
    }

    /// Give each server its turn in each round, after one turn each to warm up.
    async fn alternate(
        &self,
        wrk: &Wrk,
        request: &Request,
        urls: &[String],
    ) -> Result<Vec<Vec<Outcome>>> {
        let mut outcomes = vec![Vec::new(); urls.len()];
        for url in urls {
            wrk.run(url, request, 1).await?;
        }
        for _ in 0..self.rounds {
            for (url, outcomes) in urls.iter().zip(&mut outcomes) {
                let outcome = wrk.run(url, request, self.seconds).await?;
                anyhow::ensure!(outcome.failed == 0.0, "{url}: {} failed", outcome.failed);
                outcomes.push(outcome);
            }
        }
        Ok(outcomes)
    }
}

/// The middle rate of some runs.
fn rate(outcomes: &[Outcome]) -> f64 {
    median(&rates(outcomes))
}

fn rates(outcomes: &[Outcome]) -> Vec<f64> {
    outcomes.iter().map(Outcome::rate).collect()
}

/// How far the runs of all sides lie from their middles, for the note.
fn noise(outcomes: &[Vec<Outcome>]) -> String {
    let widest = outcomes.iter().map(|runs| spread(&rates(runs))).fold(0.0, f64::max);
    format!("±{widest:.0} %")
}
