//! A native server as a process of its own, beside the host.

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::{Process, pinned};

/// A native server that listens.
pub struct Server {
    _process: Process,
    _dir: TempDir,
    address: String,
}

impl Server {
    /// Start `bench native NAME` and wait until it listens.
    pub async fn start(name: &str, data: Option<&Path>, pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (ports, log) = (dir.path().join("ports"), dir.path().join("log"));
        let mut command = pinned(std::env::current_exe()?.as_os_str(), pins);
        command.args(["native", name, "--ports-file"]).arg(&ports);
        if let Some(data) = data {
            command.arg("--data").arg(data);
        }
        let mut process = Process::start(command, &log)?;
        let address = process.until_written(&ports, &log).await?;
        Ok(Self { _process: process, _dir: dir, address })
    }

    /// Where a path is served.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Run `bench native NAME` to its end; the seconds it says.
pub async fn seconds(name: &str, data: &Path) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let (result, log) = (dir.path().join("seconds"), dir.path().join("log"));
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["native", name, "--data"]).arg(data).arg("--result").arg(&result);
    let mut process = Process::start(command, &log)?;
    Ok(process.until_written(&result, &log).await?.parse()?)
}
