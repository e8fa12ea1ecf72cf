//! A real server behind a door: it is killed and started again where it was, and the door stays.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use servers::{Broker, Postgres, Redis};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::proxy::Proxy;

/// A server that can be put behind a door.
pub trait Server: Sized + Send + 'static {
    /// Start it with everything it had in `dir`; clients find it at `door`.
    fn start(dir: &Path, door: SocketAddr) -> Self;

    /// Where it really is.
    fn address(&self) -> Result<SocketAddr>;

    /// End it without a word.
    fn kill(self);
}

impl Server for Broker {
    fn start(dir: &Path, door: SocketAddr) -> Self {
        Self::start_behind(dir, &door.to_string())
    }

    fn address(&self) -> Result<SocketAddr> {
        Ok(self.plain().parse()?)
    }

    fn kill(self) {
        self.kill();
    }
}

impl Server for Postgres {
    fn start(dir: &Path, _door: SocketAddr) -> Self {
        Self::start(Some(dir))
    }

    fn address(&self) -> Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], self.port())))
    }

    fn kill(self) {
        self.kill();
    }
}

impl Server for Redis {
    fn start(dir: &Path, _door: SocketAddr) -> Self {
        Self::start(Some(dir))
    }

    fn address(&self) -> Result<SocketAddr> {
        Ok(self.plain().parse()?)
    }

    fn kill(self) {
        self.kill();
    }
}

/// A server and its door.
pub struct Behind<S> {
    server: Option<S>,
    dir: TempDir,
    door: Proxy,
}

impl<S: Server> Behind<S> {
    /// A new one, which runs.
    pub async fn open() -> Result<Self> {
        let (dir, door) = (tempfile::tempdir()?, Proxy::open().await?);
        let mut behind = Self { server: None, dir, door };
        behind.start().await?;
        Ok(behind)
    }

    /// The door that hosts come through.
    pub fn door(&self) -> &Proxy {
        &self.door
    }

    /// The server.
    pub fn server(&self) -> Result<&S> {
        self.server.as_ref().context("the server does not run")
    }

    /// A file beside what the server keeps.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// End it without a word.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            spawn_blocking(move || server.kill()).await?;
        }
        Ok(())
    }

    /// Start it with everything it had.
    pub async fn start(&mut self) -> Result<()> {
        let (dir, door) = (self.file("server"), self.door.address());
        let server = spawn_blocking(move || S::start(&dir, door)).await?;
        self.door.lead_to(server.address()?);
        self.server = Some(server);
        Ok(())
    }
}
