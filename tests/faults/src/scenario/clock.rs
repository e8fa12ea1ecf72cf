//! A clock that jumps, forward and back, under a host that goes on.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use bench::house::House;
use serde_json::Value;
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// The furthest jump, in seconds.
const FURTHEST: i64 = 86_400;
/// How long the counters may take to come to the first jump, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// The library that tells a program another time.
const LIBRARY: &str = include_str!("clock.c");

/// Let the host's clock jump while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let stage = Stage::new(Kind::Embedded).await?;
    let mut house = stage.house("")?;
    let dir = tempfile::tempdir()?;
    let (library, path) = (compile(dir.path())?, dir.path().join("offset"));
    let offset = File::create(&path)?;
    jump(&offset, 0)?;
    house.environment("LD_PRELOAD", library.as_os_str());
    house.environment("CLOCK_OFFSET", path.as_os_str());
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    jump(&offset, FURTHEST)?;
    await_newest(&house, SystemTime::now() + Duration::from_secs(FURTHEST as u64 / 2)).await?;
    for round in 1..=plan.rounds {
        sleep(plan.pause()).await;
        let seconds = plan.random.i64(-FURTHEST..=FURTHEST);
        jump(&offset, seconds)?;
        eprintln!("jump {round} to {seconds} s");
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    judge(plan.rounds, &stage, &mut house, &sent).await
}

/// Wait until the host has counted a record that is later than this: it has believed the clock.
async fn await_newest(house: &House, time: SystemTime) -> Result<()> {
    let wanted_ms = time.duration_since(UNIX_EPOCH)?.as_millis();
    let begun = Instant::now();
    loop {
        let (_, body) = house.client.get(&house.url("/consumers/event_counter/data")).await?;
        let answer: Value = serde_json::from_slice(&body)?;
        let newest_ms = answer["lastupdate"].as_u64().context("`lastupdate` is a number")?;
        if u128::from(newest_ms) > wanted_ms {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the newest record is of {newest_ms} ms: no jump");
        sleep(LOOK).await;
    }
}

/// In place: the host has the file in its memory.
fn jump(offset: &File, seconds: i64) -> Result<()> {
    Ok(offset.write_all_at(&seconds.to_ne_bytes(), 0)?)
}

fn compile(dir: &Path) -> Result<PathBuf> {
    let (source, library) = (dir.join("clock.c"), dir.join("libclock.so"));
    fs::write(&source, LIBRARY)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).args([&library, &source]);
    let status = cc.status().context("no C compiler: `apt-get install gcc`")?;
    ensure!(status.success(), "the library of the clock cannot be compiled: {status}");
    Ok(library)
}
