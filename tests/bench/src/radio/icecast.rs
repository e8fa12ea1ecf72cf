//! Icecast, which most stations use.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::PASSWORD;
use crate::{
    peer::free_port,
    process::{Process, pinned},
};

/// A running Icecast, with what it needs for a few thousand listeners. All else is as its package
/// has it.
pub struct Icecast {
    process: Process,
    address: String,
    _dir: TempDir,
}

impl Icecast {
    /// Start it on these processors.
    pub fn start(pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (port, settings) = (free_port()?, dir.path().join("icecast.xml"));
        std::fs::write(&settings, configuration(port))?;
        let mut command: Command = pinned(program()?.as_os_str(), pins);
        command.arg("-c").arg(&settings);
        let process = Process::start(command, &dir.path().join("log"))?;
        Ok(Self { process, address: format!("127.0.0.1:{port}"), _dir: dir })
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where sources and listeners come to.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Called so by Debian, and so by all others.
fn program() -> Result<PathBuf> {
    let paths = env::var_os("PATH").context("PATH is not set")?;
    let in_each = |name: &'static str| env::split_paths(&paths).map(move |path| path.join(name));
    let mut found = in_each("icecast2").chain(in_each("icecast")).filter(|path| path.is_file());
    found.next().context("no peer: install Icecast (`apt-get install icecast2`)")
}

fn configuration(port: u16) -> String {
    // It does not run as the system's own user.
    let security = if rustix::process::geteuid().is_root() {
        "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
    } else {
        ""
    };
    format!(
        "<icecast>
  <limits>
    <clients>3000</clients><sources>2</sources>
    <queue-size>524288</queue-size><burst-size>65536</burst-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout>
    <source-timeout>10</source-timeout>
  </limits>
  <authentication>
    <source-password>{PASSWORD}</source-password><relay-password>{PASSWORD}</relay-password>
    <admin-user>admin</admin-user><admin-password>{PASSWORD}</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <logdir>/tmp</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging>
    <accesslog>-</accesslog><errorlog>-</errorlog><loglevel>2</loglevel>
  </logging>
  <security><chroot>0</chroot>{security}</security>
</icecast>
"
    )
}
