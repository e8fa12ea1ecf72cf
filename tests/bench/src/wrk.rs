//! The load: wrk, which answers as JSON through a script of ours.

use std::{fs, io::Write, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What every request of a run looks like.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Header fields beside `host`.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body of a POST; without one it is a GET.
    pub body: Option<String>,
}

/// What a browser sends with each request, beside `host`.
pub const BROWSER: [(&str, &str); 10] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("accept-language", "de-DE,de;q=0.9,en-US;q=0.7,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.example.com/catalogue/bicycles?page=3"),
    ("cookie", "session=4f1a5be4c0d94e7ab7a1c1c2d3e4f506; theme=dark; consent=necessary"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("upgrade-insecure-requests", "1"),
];

/// What came of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct Outcome {
    /// Answers.
    pub requests: f64,
    /// Microseconds that the run took.
    pub duration_us: f64,
    /// Requests without an answer of 2xx or 3xx.
    pub failed: f64,
    /// 99 of 100 answers came within this many microseconds.
    pub p99_us: f64,
}

impl Outcome {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.requests * 1e6 / self.duration_us
    }
}

/// wrk with one thread.
pub struct Wrk {
    dir: TempDir,
    pinned: Option<String>,
    connections: u32,
}

impl Wrk {
    /// wrk on these processors, `None` for any.
    pub fn new(pinned: Option<String>, connections: u32) -> Result<Self> {
        let found = std::process::Command::new("wrk").arg("--version").output();
        ensure!(found.is_ok(), "wrk is not installed: `apt-get install wrk`");
        Ok(Self { dir: tempfile::tempdir()?, pinned, connections })
    }

    /// Ask `url` for so many seconds.
    pub async fn run(&self, url: &str, request: &Request, seconds: u64) -> Result<Outcome> {
        outcome(self.start(url, request, seconds)?, url).await
    }

    /// Ask `url` until something else is done, at most for an hour.
    pub async fn run_until(
        &self,
        url: &str,
        request: &Request,
        done: impl Future<Output = Result<()>>,
    ) -> Result<Outcome> {
        let child = self.start(url, request, 3600)?;
        let id = child.id().context("wrk runs")?;
        done.await?;
        // Interrupted, it sums up what it has seen.
        let interrupted = Command::new("kill").args(["-INT", &id.to_string()]).status().await?;
        ensure!(interrupted.success(), "wrk ended too early");
        outcome(child, url).await
    }

    fn start(&self, url: &str, request: &Request, seconds: u64) -> Result<Child> {
        let script = self.write(request)?;
        let mut command = super::process::pinned("wrk".as_ref(), self.pinned.as_deref());
        command.args(["-t1", &format!("-c{}", self.connections), &format!("-d{seconds}s")]);
        command.args(["--timeout", "10s", "-s"]).arg(script).arg(url);
        Ok(Command::from(command).kill_on_drop(true).stdout(Stdio::piped()).spawn()?)
    }

    fn write(&self, request: &Request) -> Result<PathBuf> {
        let path = self.dir.path().join(format!("{:x}.lua", fastrand::u64(..)));
        let mut file = fs::File::create(&path)?;
        for (name, value) in &request.headers {
            writeln!(file, "wrk.headers[{name:?}] = {value:?}")?;
        }
        if let Some(body) = &request.body {
            writeln!(file, "wrk.method = \"POST\"\nwrk.body = [==[{body}]==]")?;
            writeln!(file, "wrk.headers[\"content-type\"] = \"application/json\"")?;
        }
        file.write_all(DONE.as_bytes())?;
        Ok(path)
    }
}

/// What wrk tells once it has ended.
async fn outcome(child: Child, url: &str) -> Result<Outcome> {
    let output = child.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("outcome "));
    let line = line.with_context(|| format!("wrk said nothing useful: {text}"))?;
    let outcome: Outcome = serde_json::from_str(line)?;
    ensure!(outcome.requests > 0.0, "{url} answered nothing");
    Ok(outcome)
}

/// Prints what came of the run.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'outcome {"requests":%d,"duration_us":%d,"failed":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(99)))
end
"#;
