//! Listeners in a process of their own, beside the server.

use std::{ffi::OsStr, fs::File, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{Order, Outcome};
use crate::process::{pinned, processor_time, tail};

/// The path of the websockets of the plugin `bench-fanout`; native servers take any.
pub const LISTEN: &str = "/bench-fanout/listen";
/// The path where it publishes.
pub const PUBLISH: &str = "/bench-fanout/publish";

/// Listeners that are connected, until this is dropped.
pub struct Listeners {
    count: u32,
    child: Child,
    orders: ChildStdin,
    outcomes: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    _dir: TempDir,
}

impl Listeners {
    /// Connect so many to a server, from a process on these processors.
    pub async fn connect(to: &str, count: u32, pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let mut command = pinned(std::env::current_exe()?.as_os_str(), pins);
        let count_text = count.to_string();
        let arguments = ["--to", to, "--listen", LISTEN, "--publish", PUBLISH, "--count"];
        command.arg("listeners").args(arguments.map(OsStr::new)).arg(count_text);
        // A backtrace would be all of the log that is told.
        command.env("RUST_LIB_BACKTRACE", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let orders = child.stdin.take().context("the input is a pipe")?;
        let outcomes = child.stdout.take().context("the output is a pipe")?;
        let outcomes = BufReader::new(outcomes).lines();
        let mut listeners = Self { count, child, orders, outcomes, log, _dir: dir };
        listeners.line().await?;
        Ok(listeners)
    }

    /// How many listen.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The processor time that they have had, in seconds; they are one thread.
    pub fn processor_time(&self) -> Result<f64> {
        processor_time(self.child.id().context("the listeners ended")?)
    }

    /// Publish as ordered, and wait until all have everything.
    pub async fn run(&mut self, order: &Order) -> Result<Outcome> {
        let line = format!("{}\n", serde_json::to_string(order)?);
        if self.orders.write_all(line.as_bytes()).await.is_err() {
            bail!("the listeners ended:\n{}", tail(&self.log));
        }
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn line(&mut self) -> Result<String> {
        match self.outcomes.next_line().await? {
            Some(line) => Ok(line),
            None => bail!("the listeners ended:\n{}", tail(&self.log)),
        }
    }
}
