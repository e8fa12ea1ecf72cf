//! `wasmtime serve`, which serves the same components of wasi:http.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    built::{self, run},
    client::Client,
    process::{PATIENCE, Process, pinned, tail},
};

/// The version that is compared with.
const VERSION: &str = "48.0.8";
/// What `wasmtime serve` needs of its parts.
const FEATURES: &str = "run,serve,compile,cache,config,parallel-compilation,pooling-allocator,\
    component-model,component-model-async,threads,addr2line,demangle,logging";

/// A running `wasmtime serve`.
pub struct Peer {
    process: Process,
    dir: TempDir,
    port: u16,
}

/// The program, where it is installed.
pub fn installed() -> Result<PathBuf> {
    let program = built::peers()?.join("bin/wasmtime");
    ensure!(program.is_file(), "no peer: `bench peers` installs it");
    Ok(program)
}

/// Build it from crates.io, once; takes some minutes.
pub fn install() -> Result<()> {
    if installed().is_ok() {
        return Ok(());
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "wasmtime-cli", "--version", VERSION, "--locked"]);
    cargo.args(["--no-default-features", "--features", FEATURES]);
    cargo
        .arg("--root")
        .arg(built::peers()?)
        .arg("--target-dir")
        .arg(built::peers()?.join("target"));
    // Settings of cargo that lie in a directory around this one do not concern it.
    run(cargo.current_dir(built::peers()?))
}

impl Peer {
    /// Serve a component with pooling and reuse; `caching` keeps what was compiled in this
    /// directory.
    pub async fn serve(
        component: &Path,
        pins: Option<&str>,
        caching: Option<&Path>,
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        let port = free_port()?;
        let mut command = pinned(installed()?.as_os_str(), pins);
        command.args(["serve", "--addr", &format!("127.0.0.1:{port}")]);
        command.args(["-O", "pooling-allocator", "-S", "cli", "-W", "component-model-async"]);
        command.args(["--max-instance-reuse-count", "1000000"]);
        command.args(["--idle-instance-timeout", "60s", "--no-logging-prefix"]);
        if let Some(directory) = caching {
            let settings = dir.path().join("cache.toml");
            std::fs::write(&settings, format!("[cache]\ndirectory = {directory:?}\n"))?;
            command.arg("-C").arg(format!("cache-config={}", settings.display()));
        } else {
            command.args(["-C", "cache=n"]);
        }
        command.arg(component);
        let process = Process::start(command, &log)?;
        Ok(Self { process, dir, port })
    }

    /// Wait until it answers with 2xx.
    pub async fn until_served(&mut self, client: &Client) -> Result<()> {
        let begun = Instant::now();
        loop {
            if client.get(&self.url("/")).await.is_ok_and(|(status, _)| status.is_success()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                self.process.kill();
                bail!("the peer does not serve:\n{}", tail(&self.dir.path().join("log")));
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    /// Where a path is served.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A port that was free a moment ago: `wasmtime serve` does not tell the one it took.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
