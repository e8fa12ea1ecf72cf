//! A host with directories of its own.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use trellis::{
    admin::topics::Overview,
    plugins::status::{State, Status},
};

use crate::{
    built::Built,
    client::Client,
    process::{PATIENCE, Process, pinned, tail},
};

/// How often it is looked whether a generation is live.
const LOOK: Duration = Duration::from_millis(20);

/// `trellis serve` and where it keeps things. What it kept is there until this is dropped.
pub struct House {
    dir: TempDir,
    program: PathBuf,
    pinned: Option<String>,
    environment: Vec<(&'static str, OsString)>,
    process: Option<Process>,
    ports: Value,
    /// Asks this host.
    pub client: Client,
}

impl House {
    /// Directories, and no host yet; it has these settings besides.
    pub fn new(built: &Built, pinned: Option<String>, settings: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("plugins"))?;
        fs::write(
            dir.path().join("settings.toml"),
            format!("[grants]\ndefault = \"needs\"\n{settings}"),
        )?;
        Ok(Self {
            dir,
            program: built.program(),
            pinned,
            environment: Vec::new(),
            process: None,
            ports: Value::Null,
            client: Client::default(),
        })
    }

    /// Run it with this variable from now on.
    pub fn environment(&mut self, name: &'static str, value: &OsStr) {
        self.environment.push((name, value.to_owned()));
    }

    /// Start the host and wait until it is ready.
    pub async fn run(&mut self) -> Result<()> {
        let (ports, log) = (self.dir.path().join("ports.json"), self.log());
        let _ = fs::remove_file(&ports);
        let mut command = pinned(self.program.as_os_str(), self.pinned.as_deref());
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--plugins").arg(self.plugins()).arg("--data").arg(self.data());
        command.arg("--settings").arg(self.dir.path().join("settings.toml"));
        command.arg("--ports-file").arg(&ports);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(command, &log)?;
        self.ports = serde_json::from_str(&process.until_written(&ports, &log).await?)?;
        self.process = Some(process);
        Ok(())
    }

    /// The end that nobody is warned of.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stop it the polite way.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    /// The plugin directory.
    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("host.log")
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.ports["http"].as_str().unwrap_or_default()
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u64> {
        self.ports["pid"].as_u64()
    }

    /// Where a path is served.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Put a file into the plugin directory in one step.
    pub fn install(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let hidden = self.plugins().join(format!(".{name}.tmp"));
        fs::write(&hidden, bytes)?;
        Ok(fs::rename(&hidden, self.plugins().join(name))?)
    }

    /// Put these components into the plugin directory, each under its own name.
    pub fn install_all(&self, components: &[PathBuf]) -> Result<()> {
        for path in components {
            let name = path.file_name().context("a component has a name")?.to_string_lossy();
            self.install(&name, fs::read(path)?)?;
        }
        Ok(())
    }

    /// Ask the admin API.
    pub async fn admin(&self, path: &str) -> Result<Value> {
        let token = fs::read_to_string(self.data().join("run/admin-token"))?;
        let address = self.ports["admin"].as_str().unwrap_or_default();
        self.client.json(&format!("http://{address}{path}"), token.trim()).await
    }

    /// Have something done with a plugin through the admin API.
    pub async fn order(&self, name: &str, order: &str, body: &Value) -> Result<()> {
        let token = fs::read_to_string(self.data().join("run/admin-token"))?;
        let address = self.ports["admin"].as_str().unwrap_or_default();
        let request = http::Request::post(format!("http://{address}/api/plugins/{name}/{order}"))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(body)?.into())?;
        let (status, answer) = self.client.send(request).await?;
        ensure!(status.is_success(), "{order}: {status}: {}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    /// The status of a plugin.
    pub async fn plugin(&self, name: &str) -> Result<Status> {
        Ok(serde_json::from_value(self.admin(&format!("/api/plugins/{name}")).await?)?)
    }

    /// The status of every plugin.
    pub async fn all_plugins(&self) -> Result<Vec<Status>> {
        Ok(serde_json::from_value(self.admin("/api/plugins").await?)?)
    }

    /// Wait until a path is answered with 2xx; how long that took.
    pub async fn until_served(&self, path: &str) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            if self.client.get(&self.url(path)).await?.0.is_success() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{path} is not served:\n{}", tail(&self.log()));
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    /// Wait until the live generation of a plugin is the one with this digest; how long that
    /// took, to a few hundredths of a second: whoever asks more often takes the time that the host
    /// is measured with.
    pub async fn until_live(&self, name: &str, digest: &str) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let status = self.plugin(name).await;
            match &status {
                Ok(status) if status.digest.as_deref() == Some(digest) => {
                    return Ok(begun.elapsed());
                }
                Ok(status) if status.state == State::Failed => bail!("{name}: {status:?}"),
                _ if begun.elapsed() > PATIENCE => bail!("{name}: {status:?}"),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The records that a group has not finished in all partitions of a topic.
    pub async fn lag(&self, group: &str, topic: &str) -> Result<u64> {
        let all = self.admin("/api/lag").await?;
        let of_group = |lag: &&Value| lag["group"] == group && lag["topic"] == topic;
        let lags = all.as_array().context("the lag is a list")?.iter().filter(of_group);
        Ok(lags.filter_map(|lag| lag["lag"].as_u64()).sum())
    }

    /// How many records a topic holds.
    pub async fn records(&self, topic: &str) -> Result<u64> {
        let topics: Vec<Overview> = serde_json::from_value(self.admin("/api/topics").await?)?;
        let found = topics.iter().find(|found| &*found.topic.name == topic);
        Ok(found.map_or(0, Overview::records))
    }

    /// How many events the plugin `counters` has counted; none before it serves.
    pub async fn counted(&self) -> Result<u64> {
        let (status, body) = self.client.get(&self.url("/consumers/stats/data")).await?;
        if !status.is_success() {
            return Ok(0);
        }
        let answer: Value = serde_json::from_slice(&body)?;
        let pairs = answer["data"].as_array().context("`data` is a list")?;
        let total = pairs.iter().find(|pair| pair[0] == "total").context("no `total`")?;
        total[1].as_u64().context("`total` is a number")
    }

    /// Its resident memory and the part of it that is no file's, in MiB.
    pub fn memory(&self) -> Result<(f64, f64)> {
        self.process()?.memory()
    }

    /// Its process.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("no host is running")
    }

    /// What it said last.
    pub fn said(&self) -> String {
        tail(&self.log())
    }
}

/// The directory of a host's log inside its data directory.
pub fn log_directory(data: &Path) -> PathBuf {
    data.join("log")
}
