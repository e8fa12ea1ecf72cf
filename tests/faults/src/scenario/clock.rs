//! A clock that jumps, forward and back, under a host that goes on.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// The furthest jump, in seconds.
const FURTHEST: i64 = 86_400;
/// Where distributions put the library that tells programs another time.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

/// Let the host's clock jump while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let stage = Stage::new(Kind::Embedded).await?;
    let mut house = stage.house("")?;
    let (dir, library) = (tempfile::tempdir()?, library()?);
    let offset = dir.path().join("offset");
    jump(&offset, 0)?;
    for (name, value) in [
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_os_str()),
        // Looked at each time the clock is: the clock that only goes forward stays as it is.
        ("FAKETIME_NO_CACHE", "1".as_ref()),
        ("DONT_FAKE_MONOTONIC", "1".as_ref()),
    ] {
        house.environment(name, value);
    }
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
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

fn jump(file: &Path, seconds: i64) -> Result<()> {
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, format!("{seconds:+}s\n"))?;
    Ok(fs::rename(unfinished, file)?)
}

fn library() -> Result<PathBuf> {
    let found = LIBRARIES.iter().map(PathBuf::from).find(|path| path.is_file());
    found.context("libfaketime is not installed: `apt-get install libfaketime`")
}
