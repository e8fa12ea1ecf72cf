//! Programs beside this one that are told what to do, a line of JSON each, and say what came of it.
//!
//! The program says `ready` first. It runs until its orders end, which they do with this program.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, Write},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::process::{pinned, processor_time, tail};

/// A program that takes orders, until this is dropped.
pub struct Dialog {
    child: Child,
    orders: ChildStdin,
    outcomes: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    _dir: TempDir,
}

impl Dialog {
    /// Run `bench` with these arguments on these processors, and wait until it is ready.
    pub async fn start(arguments: &[OsString], pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let mut command = pinned(std::env::current_exe()?.as_os_str(), pins);
        // A backtrace would be all of the log that is told.
        command.args(arguments).env("RUST_LIB_BACKTRACE", "0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let orders = child.stdin.take().context("the input is a pipe")?;
        let outcomes = child.stdout.take().context("the output is a pipe")?;
        let outcomes = BufReader::new(outcomes).lines();
        let mut dialog = Self { child, orders, outcomes, log, _dir: dir };
        dialog.line().await?;
        Ok(dialog)
    }

    /// The processor time that the program has had, in seconds.
    pub fn processor_time(&self) -> Result<f64> {
        processor_time(self.child.id().with_context(|| self.end())?)
    }

    /// Have it carry out an order; what came of it.
    pub async fn ask<T: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<T> {
        let line = format!("{}\n", serde_json::to_string(order)?);
        if self.orders.write_all(line.as_bytes()).await.is_err() {
            bail!(self.end());
        }
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn line(&mut self) -> Result<String> {
        match self.outcomes.next_line().await? {
            Some(line) => Ok(line),
            None => bail!(self.end()),
        }
    }

    fn end(&self) -> String {
        format!("the program beside this one ended:\n{}", tail(&self.log))
    }
}

/// Say a line to whoever gives the orders.
pub fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Hand over each order as it comes, on a thread of its own, until nobody gives or takes any more.
pub fn hear<T: DeserializeOwned>(mut give: impl FnMut(Result<T>) -> Result<()> + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if give(serde_json::from_str(&line).context("an order")).is_err() {
                break;
            }
        }
    });
}
