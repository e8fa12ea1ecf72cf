//! A disk that does not keep what it was given: syncs fail below the embedded backends.

use std::{
    ffi::OsStr,
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// What lets the calls of a program fail when it is told to: libfiu.
const LIBRARIES: &str = "/usr/lib/fiu/fiu_run_preload.so /usr/lib/fiu/fiu_posix_preload.so";
/// The calls that fail, and how: EIO.
const CALLS: [&str; 2] = ["fsync", "fdatasync"];
const EIO: u32 = 5;
/// Within this time after the last fault everything is written again.
const WELL_AGAIN: Duration = Duration::from_secs(30);

/// Let syncs fail and work again while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let first = LIBRARIES.split(' ').next().unwrap_or_default();
    ensure!(Path::new(first).is_file(), "{first} is not there: install `fiu-utils`");
    let stage = Stage::new(Kind::Embedded).await?;
    let mut house = stage.house("")?;
    let dir = tempfile::tempdir()?;
    let pipes = dir.path().join("orders");
    house.environment("LD_PRELOAD", OsStr::new(LIBRARIES));
    house.environment("FIU_CTRL_FIFO", pipes.as_os_str());
    house.run().await?;
    let pid = house.pid().context("the host runs")?.to_string();
    let order = |what: &str| order(&pipes, &pid, what);
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        sleep(plan.pause()).await;
        order("enable")?;
        let pause = plan.pause();
        sleep(pause).await;
        order("disable")?;
        eprintln!("no sync {round} for {pause:?}");
    }
    sleep(plan.pause()).await;
    // The host tells of itself through the key-value store: that is written again as well.
    let (begun, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    loop {
        let nodes = house.admin("/api/nodes").await?;
        let heard = nodes[0]["heard-ms"].as_u64();
        if heard.is_some_and(|heard| u128::from(heard) >= since.as_millis()) {
            break;
        }
        ensure!(begun.elapsed() < WELL_AGAIN, "the key-value store is not written: {nodes}");
        sleep(plan.pause()).await;
    }
    let sent = load.stop().await?;
    let outcome = judge(plan.rounds, &stage, &mut house, &sent).await;
    house.kill();
    outcome
}

/// Tell the host's libraries to let the calls fail, or not.
fn order(pipes: &Path, pid: &str, what: &str) -> Result<()> {
    let mut command = Command::new("fiu-ctrl");
    command.arg("-f").arg(pipes);
    for call in CALLS {
        let how = if what == "enable" { format!(",failinfo={EIO}") } else { String::new() };
        command.arg("-c").arg(format!("{what} name=posix/io/sync/{call}{how}"));
    }
    let told = command.arg(pid).status().context("`fiu-ctrl` does not start")?;
    ensure!(told.success(), "`fiu-ctrl` cannot tell the host: {told}");
    Ok(())
}
