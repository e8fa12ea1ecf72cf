//! A native server as a process of its own, beside the host.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, pinned};

/// A native server that listens.
pub struct Server {
    process: Process,
    _dir: TempDir,
    address: String,
}

impl Server {
    /// Start `bench native NAME` with these arguments and wait until it listens.
    pub async fn start(name: &str, arguments: &[OsString], pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (ports, log) = (dir.path().join("ports"), dir.path().join("log"));
        let mut command = pinned(std::env::current_exe()?.as_os_str(), pins);
        command.args(["native", name, "--ports-file"]).arg(&ports).args(arguments);
        let mut process = Process::start(command, &log)?;
        let address = process.until_written(&ports, &log).await?;
        Ok(Self { process, _dir: dir, address })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where a path is served.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Run `bench native NAME` with these arguments to its end; the seconds it says.
pub async fn seconds(name: &str, arguments: &[OsString]) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let (result, log) = (dir.path().join("seconds"), dir.path().join("log"));
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["native", name, "--result"]).arg(&result).args(arguments);
    let mut process = Process::start(command, &log)?;
    Ok(process.until_written(&result, &log).await?.parse()?)
}
