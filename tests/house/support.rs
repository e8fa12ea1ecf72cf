//! Starts the program as a user would, talks to it, kills it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use trellis::manifest::{self, Manifest, section};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running host with directories of its own.
pub struct Host {
    dir: tempfile::TempDir,
    settings: String,
    /// Files that the program may have open, where a test says so.
    files: Option<u32>,
    /// Where it answers and where its admin API does, where a test says so.
    listen: [String; 2],
    child: Option<Child>,
    ports: serde_json::Value,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// A component that `tests/run` built.
pub fn component(name: &str) -> PathBuf {
    let dir = std::env::var("TRELLIS_TEST_COMPONENTS")
        .expect("TRELLIS_TEST_COMPONENTS names no directory: run `tests/run`, which sets it");
    let path = Path::new(&dir).join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing: run `tests/run`, which builds it", path.display());
    path
}

/// The same component as another version of it, compiled afresh.
pub fn variant(component: &[u8], version: &str) -> Vec<u8> {
    changed(component, |manifest| manifest.version = Some(version.to_owned()))
}

/// The same component with another manifest.
pub fn changed(component: &[u8], change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    let text = section::find(component).expect("components carry their manifests");
    let mut manifest = manifest::read(text, "the component").unwrap();
    change(&mut manifest);
    section::embed(component, &manifest).unwrap()
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Host {
    /// A host that grants what its plugins need, with these components in its directory.
    pub async fn start(components: &[&str]) -> Self {
        Self::start_with(components, "[grants]\ndefault = \"needs\"\n").await
    }

    /// The same with other settings.
    pub async fn start_with(components: &[&str], settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        for name in components {
            fs::copy(component(name), dir.path().join("plugins").join(format!("{name}.wasm")))
                .unwrap();
        }
        let mut host = Self {
            dir,
            settings: settings.to_owned(),
            files: None,
            listen: ["127.0.0.1:0", "127.0.0.1:0"].map(str::to_owned),
            child: None,
            ports: serde_json::Value::Null,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        };
        host.run().await;
        host
    }

    /// The same, from now on with so many open files at most.
    pub async fn start_with_files(components: &[&str], files: u32) -> Self {
        let mut host = Self::start(components).await;
        host.kill();
        host.files = Some(files);
        host.run().await;
        host
    }

    /// From now on it answers where it answers now, also after it was started again.
    pub fn stay(&mut self) {
        self.listen = ["http", "admin"].map(|listener| self.address(listener));
    }

    /// Start the program and wait until it is ready.
    pub async fn run(&mut self) {
        let settings = self.dir.path().join("settings.toml");
        let ports = self.dir.path().join("ports.json");
        let _ = fs::remove_file(&ports);
        fs::write(&settings, &self.settings).unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("host.log"))
            .unwrap();
        let program = env!("CARGO_BIN_EXE_trellis");
        let mut command = match self.files {
            None => Command::new(program),
            Some(files) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), program]);
                shell
            }
        };
        let child = command
            .arg("serve")
            .args(["--listen", &self.listen[0], "--admin", &self.listen[1]])
            .arg("--plugins")
            .arg(self.plugins())
            .arg("--data")
            .arg(self.data())
            .arg("--settings")
            .arg(settings)
            .arg("--ports-file")
            .arg(&ports)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while !ports.exists() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the host ended: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the host is not ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.ports = serde_json::from_slice(&fs::read(&ports).unwrap()).unwrap();
    }

    /// The data directory, which tells the program's other commands where the host is.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The plugin directory.
    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// What the host has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("host.log")).unwrap_or_default()
    }

    /// Put a file into the plugin directory in one step.
    pub fn install(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let hidden = self.plugins().join(format!(".{name}.tmp"));
        fs::write(&hidden, bytes).unwrap();
        fs::rename(&hidden, self.plugins().join(name)).unwrap();
    }

    /// The address of a listener: `http` or `admin`.
    pub fn address(&self, listener: &str) -> String {
        self.ports[listener].as_str().expect("the ports file names the listener").to_owned()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request(http::Request::get(self.url(path)).body(Full::default()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request =
            http::Request::post(self.url(path)).header("content-type", "application/json");
        self.request(request.body(Full::new(body.into())).unwrap()).await
    }

    /// Ask the admin API.
    pub async fn admin(&self, path: &str) -> Answer {
        let request = self.admin_request(http::Method::GET, path);
        self.request(request.body(Full::default()).unwrap()).await
    }

    /// Tell the admin API to do something.
    pub async fn admin_post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = self.admin_request(http::Method::POST, path);
        let request = request.header("content-type", "application/json");
        self.request(request.body(Full::new(body.into())).unwrap()).await
    }

    fn admin_request(&self, method: http::Method, path: &str) -> http::request::Builder {
        let token = fs::read_to_string(self.data().join("run/admin-token")).unwrap();
        let url = format!("http://{}{path}", self.address("admin"));
        let request = http::Request::builder().method(method).uri(url);
        request.header("authorization", format!("Bearer {}", token.trim()))
    }

    pub async fn request(&self, request: http::Request<Full<Bytes>>) -> Answer {
        self.try_request(request).await.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// A request that may fail, because the host was killed for example.
    pub async fn try_request(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let response = tokio::time::timeout(PATIENCE, self.client.request(request)).await??;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("http"))
    }

    /// Look until there is what is waited for; `look` says what is there instead.
    pub async fn eventually<T>(&self, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
        let begun = Instant::now();
        loop {
            match look().await {
                Ok(found) => return found,
                Err(instead) => {
                    assert!(begun.elapsed() < PATIENCE, "{instead}\n{}", self.log());
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ask until the answer is as it should be.
    pub async fn until(&self, path: &str, as_it_should_be: impl Fn(&Answer) -> bool) -> Answer {
        self.eventually(async || {
            let answer = self.get(path).await;
            match as_it_should_be(&answer) {
                true => Ok(answer),
                false => Err(format!("{path} still answers {} {}", answer.status, answer.text())),
            }
        })
        .await
    }

    /// Wait until the status of a plugin is as it should be.
    pub async fn until_plugin(
        &self,
        name: &str,
        as_it_should_be: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        self.eventually(async || {
            let answer = self.admin(&format!("/api/plugins/{name}")).await;
            match answer.status == 200 && as_it_should_be(&answer.json()) {
                true => Ok(answer.json()),
                false => Err(format!("{name}: {}", answer.text())),
            }
        })
        .await
    }

    /// The records of a topic once there are so many, without what the log itself adds.
    pub async fn records(&self, topic: &str, count: usize) -> Vec<serde_json::Value> {
        let records = self.eventually(async || {
            let answer = self.admin(&format!("/api/topics/{topic}/records")).await;
            let text = answer.text();
            let lines: Vec<serde_json::Value> = match answer.status {
                200 => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                _ => Vec::new(),
            };
            if lines.len() >= count { Ok(lines) } else { Err(format!("{topic}: {lines:#?}")) }
        });
        let records = records.await;
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// Wait until the enricher has passed on all of `raw`, and the counters have counted all of
    /// `events`; how many that is.
    pub async fn until_all_counted(&self) -> u64 {
        self.eventually(async || {
            // What the enricher sends appears with its offset, so `events` is complete then.
            let lags = self.admin("/api/lag").await.json();
            let of_raw = lags.as_array().unwrap().iter().filter(|lag| lag["topic"] == "raw");
            let left: u64 = of_raw.filter_map(|lag| lag["lag"].as_u64()).sum();
            let (events, counted) = (self.kept("events").await, self.counted().await);
            match left == 0 && events == counted {
                true => Ok(counted),
                false => Err(format!(
                    "{left} records are left of `raw`, {counted} of {events} are counted"
                )),
            }
        })
        .await
    }

    /// How many events the counters have counted.
    pub async fn counted(&self) -> u64 {
        let data = self.get("/consumers/stats/data").await.json()["data"].clone();
        let pairs = data.as_array().into_iter().flatten();
        pairs.filter(|pair| pair[0] == "total").filter_map(|pair| pair[1].as_u64()).sum()
    }

    /// How many records a topic keeps.
    async fn kept(&self, topic: &str) -> u64 {
        let topics = self.admin("/api/topics").await.json();
        let found = topics.as_array().unwrap().iter().find(|found| found["name"] == topic);
        let ranges = found.and_then(|found| found["ranges"].as_array()).into_iter().flatten();
        let offset = |range: &serde_json::Value, key: &str| range[key].as_u64().unwrap();
        ranges.map(|range| offset(range, "end") - offset(range, "start")).sum()
    }

    /// The end that nobody is warned of, while others still talk to it; [`Self::kill`] follows.
    pub fn strike(&self) {
        let pid = self
            .child
            .as_ref()
            .and_then(|child| rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()));
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL).unwrap();
    }

    /// The end that nobody is warned of.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ask it to stop and wait until it has; its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let pid = rustix::process::Pid::from_raw(child.id() as i32)?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}
