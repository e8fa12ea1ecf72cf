//! A disk without room, below the embedded backends.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{Outcome, Plan, judge};
use crate::{
    load::Load,
    stage::{Kind, Stage},
};

/// Room for the host and what the clients send.
const ROOM: &str = "512m";

/// Take all room away and give it back while clients send.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let stage = Stage::new(Kind::Embedded).await?;
    let mut house = stage.house("")?;
    let disk = Disk::mount(&house.data())?;
    house.run().await?;
    let load = Load::start(vec![house.url("/t")]);
    for round in 1..=plan.rounds {
        sleep(plan.pause()).await;
        let taken = disk.take_all()?;
        let pause = plan.pause();
        sleep(pause).await;
        fs::remove_file(taken)?;
        eprintln!("full {round} for {pause:?}");
    }
    sleep(plan.pause()).await;
    let sent = load.stop().await?;
    let outcome = judge(plan.rounds, &stage, &mut house, &sent).await;
    house.kill();
    outcome
}

/// A small disk of its own.
struct Disk {
    at: PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={ROOM},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(at)
            .status()
            .context("`mount` does not start")?;
        ensure!(mounted.success(), "a disk of {ROOM} cannot be mounted; that takes root");
        Ok(Self { at: at.to_owned() })
    }

    /// Fill what is left, to the last byte; the file that does.
    fn take_all(&self) -> Result<PathBuf> {
        let path = self.at.join("taken");
        let mut file = File::create(&path)?;
        let mut block = vec![0; 1 << 20];
        while !block.is_empty() {
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The host has ended; at worst the disk stays until the machine restarts.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
