//! Three hosts over one cluster and one database: one is killed, then a plugin is replaced on all.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bench::{
    built::{digest, variant},
    house::House,
};
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, PLUGINS, Stage},
};

/// Hosts.
const NODES: usize = 3;
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// Kill a host and start it again, then replace a plugin on every host, while clients send to all of
/// them.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let stage = Stage::new(Kind::Servers).await?;
    let mut houses = Vec::new();
    for number in 1..=NODES {
        let mut house = stage.house(&format!("[nodes]\nname = \"node-{number}\"\n"))?;
        house.run().await?;
        houses.push(house);
    }
    let load = Load::start(urls(&houses));
    for round in 1..=plan.rounds {
        sleep(plan.pause()).await;
        let victim = plan.random.usize(..NODES);
        let begun = Instant::now();
        houses[victim].kill();
        load.aim(urls(&others(&houses, victim)));
        let witness = (victim + 1) % NODES;
        until_all_go_on(&houses[witness], plan.taken_over).await?;
        eprintln!("kill {round}: every partition is read again after {:?}", begun.elapsed());
        houses[victim].run().await?;
        load.aim(urls(&houses));
        upgrade(&stage, &houses, round as u64).await?;
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    let (first, rest) = houses.split_first_mut().context("there are hosts")?;
    let outcome = judge(plan.rounds, &stage, first, &sent).await;
    rest.iter_mut().for_each(House::kill);
    outcome
}

fn urls<H: std::borrow::Borrow<House>>(houses: &[H]) -> Vec<String> {
    houses.iter().map(|house| house.borrow().url("/t")).collect()
}

fn others(houses: &[House], but: usize) -> Vec<&House> {
    houses.iter().enumerate().filter(|(number, _)| *number != but).map(|(_, house)| house).collect()
}

/// Wait until the enricher has gone on in every partition of `raw`.
async fn until_all_go_on(house: &House, limit: Duration) -> Result<()> {
    let (begun, before) = (Instant::now(), places(house).await?);
    loop {
        let now = places(house).await?;
        let still = before.iter().filter(|(partition, place)| now.get(partition) <= Some(place));
        let still: Vec<&u64> = still.map(|(partition, _)| partition).collect();
        if still.is_empty() && !before.is_empty() {
            return Ok(());
        }
        ensure!(
            begun.elapsed() <= limit,
            "nobody reads the partitions {still:?} of `raw` after {limit:?}\n{}",
            house.said()
        );
        sleep(LOOK).await;
    }
}

/// How far the enricher is in each partition of `raw`.
async fn places(house: &House) -> Result<BTreeMap<u64, u64>> {
    let lags = house.admin("/api/lag").await?;
    let lags = lags.as_array().context("the lag is a list")?.iter();
    let of_raw = lags.filter(|lag| lag["group"] == "enricher" && lag["topic"] == "raw");
    let places = of_raw.filter_map(|lag| {
        Some((lag["partition"].as_u64()?, lag["committed"].as_u64().unwrap_or(0)))
    });
    Ok(places.collect())
}

/// Replace a plugin by another version of it, on one host after the other: each time the next one.
async fn upgrade(stage: &Stage, houses: &[House], number: u64) -> Result<()> {
    let plugin = PLUGINS[number as usize % PLUGINS.len()];
    let version = variant(&fs::read(stage.built.component(plugin)?)?, number);
    for house in houses {
        house.install(&format!("{plugin}.wasm"), &version)?;
        house.until_live(plugin, &digest(&version)).await?;
    }
    Ok(())
}
