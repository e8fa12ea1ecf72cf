//! `languages`: the same consumer and the same small answer in five languages, each beside the one
//! in Rust.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Bench,
    greeter::Greeter,
    topics::{Kind, Topics},
};
use crate::{
    house::House,
    process::PATIENCE,
    report::{Against, Row, median, milliseconds},
    wrk::{Request, Wrk},
};

/// The languages of `plugins/tally`, the one that others are compared with first.
const LANGUAGES: [&str; 5] = ["rust", "typescript", "python", "go", "c"];
/// What each consumer reads, once.
const MESSAGES: u64 = 1_000_000;
/// What the memory of its instances may be in the end, over that after a quarter.
const GROWTH: f64 = 1.1;
/// How often it is looked how much is done: each look is a request and a query.
const LOOK: Duration = Duration::from_millis(20);
/// New instances of a component, each of a plugin of its own.
const INSTANCES: usize = 20;
const MIB: f64 = 1024.0 * 1024.0;

/// What one language came to; the fields are the rows in their order.
struct Figures {
    /// Messages a second.
    rate: f64,
    /// MiB of the consumer's instances after a quarter and in the end, and how many they are.
    memory: (f64, f64, u32),
    /// Milliseconds from a file to the first answer where nothing was compiled before.
    compile: f64,
    /// Milliseconds that the first call of an instance takes longer than the second.
    instance: f64,
    /// Microseconds of a call, one after the other.
    call: f64,
    /// KiB of the consumer and of the small answer.
    sizes: (u64, u64),
}

/// Five rows a language.
pub async fn table(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let topics = Topics::new(Kind::Embedded, &["events"], MESSAGES).await?;
    let mut rust = None;
    let mut rows = Vec::new();
    for language in LANGUAGES {
        let figures = figures(bench, &topics, language)
            .await
            .with_context(|| format!("the language `{language}`"))?;
        rows.extend(figures.rows(&format!("{name}-{language}"), rust.as_ref().unwrap_or(&figures)));
        rust = rust.or(Some(figures));
    }
    Ok(rows)
}

impl Figures {
    /// Beside those of Rust, in the column of native code.
    fn rows(&self, name: &str, rust: &Self) -> Vec<Row> {
        let row = |what: &str, unit, figure, of_rust| Row {
            less_is_better: true,
            native: Some(of_rust),
            ..Row::new(format!("{name}{what}"), unit, figure)
        };
        let (quarter, end, instances) = self.memory;
        let (consumer, greeter) = self.sizes;
        let rate = Row {
            less_is_better: false,
            note: format!("native: in Rust · component of {consumer} KiB"),
            ..row("", "msg/s", self.rate, rust.rate)
        };
        let memory = Row {
            against: Against::Limit(GROWTH * quarter),
            note: format!(
                "{instances} instances after {MESSAGES} messages, {quarter:.1} after a quarter"
            ),
            ..row("-memory", "MiB", end, rust.memory.1)
        };
        let compile = Row {
            note: format!("component of {greeter} KiB, nothing compiled before"),
            ..row("-compile", "ms", self.compile, rust.compile)
        };
        let instance = Row {
            note: format!("p50 of {INSTANCES} first calls over the second"),
            ..row("-instance", "ms", self.instance, rust.instance)
        };
        let call = Row {
            note: "one connection, over HTTP".to_owned(),
            ..row("-call", "us", self.call, rust.call)
        };
        vec![rate, memory, compile, instance, call]
    }
}

async fn figures(bench: &Bench, topics: &Topics, language: &str) -> Result<Figures> {
    let consumer = bench.built.component(&format!("tally-{language}"))?;
    let (rate, memory) = tally(bench, topics, language).await?;
    let greeter = Greeter::new(&bench.built, language)?;
    let component = greeter.component()?;
    let (compile, call) = answers(bench, &component).await?;
    Ok(Figures {
        rate,
        memory,
        compile,
        instance: instances(bench, &component).await?,
        call,
        sizes: (fs::metadata(consumer)?.len() / 1024, component.len() as u64 / 1024),
    })
}

/// All messages counted: how many a second from the first batch on, and what the instances took.
async fn tally(bench: &Bench, topics: &Topics, language: &str) -> Result<(f64, (f64, f64, u32))> {
    let name = format!("tally-{language}");
    let mut house = topics.house(bench, None)?;
    house.run().await?;
    house.install_all(&[bench.built.component(&name)?])?;
    house.until_served(&format!("/{name}")).await?;
    let (mut first, mut quarter) = (None, None);
    let begun = Instant::now();
    loop {
        let counted = counted(&house, &name).await?;
        let now = Instant::now();
        let status = house.plugin(&name).await?;
        let memory = status.memory as f64 / MIB;
        if counted > 0 {
            first.get_or_insert((counted, now));
        }
        if counted >= MESSAGES / 4 {
            quarter.get_or_insert(memory);
        }
        if let (true, Some((start, at)), Some(quarter)) = (counted == MESSAGES, first, quarter) {
            anyhow::ensure!(start < MESSAGES, "{name} was done before it could be looked at");
            house.stop().await?;
            let rate = (counted - start) as f64 / (now - at).as_secs_f64();
            return Ok((rate, (quarter, memory, status.instances)));
        }
        if begun.elapsed() > PATIENCE * 10 {
            bail!("{name} does not get to the end:\n{}", house.said());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The sum of what it has counted.
async fn counted(house: &House, name: &str) -> Result<u64> {
    let (status, body) = house.client.get(&house.url(&format!("/{name}"))).await?;
    anyhow::ensure!(status.is_success(), "{name} answers {status}:\n{}", house.said());
    let counts: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body)?;
    Ok(counts.values().filter_map(serde_json::Value::as_u64).sum())
}

/// The time to compile, and that of a call.
async fn answers(bench: &Bench, component: &[u8]) -> Result<(f64, f64)> {
    let settings = "[runtime]\nfunction-cache = \"0B\"\n";
    let mut house = House::new(&bench.built, bench.server_pin(), settings)?;
    house.run().await?;
    let begun = Instant::now();
    house.install("greeter.wasm", component)?;
    house.until_served("/greeter/ada").await?;
    let compile = milliseconds(begun);
    let (wrk, url) = (bench.wrk(1)?, house.url("/greeter/ada"));
    call(&wrk, &url, 1).await?;
    let mut calls = Vec::new();
    for _ in 0..bench.rounds {
        calls.push(call(&wrk, &url, bench.seconds).await?);
    }
    house.stop().await?;
    Ok((compile, median(&calls)))
}

/// Microseconds from one answer to the next.
async fn call(wrk: &Wrk, url: &str, seconds: u64) -> Result<f64> {
    let outcome = wrk.run(url, &Request::default(), seconds).await?;
    anyhow::ensure!(outcome.failed == 0.0, "{url}: {} failed", outcome.failed);
    Ok(1e6 / outcome.rate())
}

/// How much longer the first call of a plugin takes than the second: its instance is made then.
async fn instances(bench: &Bench, component: &[u8]) -> Result<f64> {
    let mut house = House::new(&bench.built, None, "")?;
    house.run().await?;
    let mut longer = Vec::new();
    for number in 0..INSTANCES {
        let name = format!("greeter-{number}");
        let manifest = format!("name = \"{name}\"\n[http]\nroutes = [\"/{name}/{{who}}\"]\n");
        house.install(&format!("{name}.toml"), manifest)?;
        house.install(&format!("{name}.wasm"), component)?;
        house.until_live(&name, &crate::built::digest(component)).await?;
        // The connection is not what is measured.
        house.client.get(&house.url("/nothing")).await?;
        let url = house.url(&format!("/{name}/ada"));
        let mut times = [0.0; 2];
        for time in &mut times {
            let begun = Instant::now();
            let (status, _) = house.client.get(&url).await?;
            *time = milliseconds(begun);
            anyhow::ensure!(status.is_success(), "{url} answers {status}");
        }
        longer.push(times[0] - times[1]);
    }
    house.stop().await?;
    Ok(median(&longer))
}
