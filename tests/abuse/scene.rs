//! A host with an innocent and a hostile plugin, and what must be true after an attack.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{
    innocent,
    support::{Host, component},
};

/// Requests at a time: more than the hostile plugin may run and let wait.
pub const CROWD: usize = 40;
/// What the manifest of the hostile plugin allows it, in bytes.
const ALLOWED: u64 = 64 << 20;
/// What the host may have for itself beside that: recent lines and records, the memtables of its
/// stores, threads and what its allocator keeps.
const OWN: u64 = 320 << 20;

/// Settings with bounds that an attack of a second reaches.
const SETTINGS: &str = "
[grants]
default = \"needs\"
[sql]
max-bytes = \"16MiB\"
[log]
tail-bytes = \"16MiB\"
[observe]
recent-lines = 1000
";

/// A running host, with how it was before anything happened.
pub struct Scene {
    pub host: Host,
    process: Process,
    memory: u64,
    letters: AtomicU64,
}

impl Scene {
    /// Both plugins serve.
    pub async fn open() -> Self {
        let host = Host::start_with(&["innocent"], SETTINGS).await;
        host.install("abuser.wasm", fs::read(component("abuser")).unwrap());
        host.until("/abuser/", |answer| answer.status == 200).await;
        let process = Process::of(&host);
        let memory = process.peak_memory();
        Self { host, process, memory, letters: AtomicU64::new(0) }
    }

    /// Do something while the innocent works; afterwards everybody is served as before.
    pub async fn during<T>(&self, attack: impl Future<Output = T>) -> T {
        let enough = AtomicBool::new(false);
        let attack = async {
            let outcome = attack.await;
            enough.store(true, Ordering::Relaxed);
            outcome
        };
        let (outcome, letters) = tokio::join!(attack, innocent::work(&self.host, &enough));
        let letters = self.letters.fetch_add(letters, Ordering::Relaxed) + letters;
        innocent::has_read(&self.host, letters).await;
        outcome
    }

    /// Ask for the same deed many times at once; every answer's status.
    pub async fn crowd(&self, deed: &str, given: &str) -> Vec<u16> {
        let path = format!("/abuser/{deed}");
        let ask = || async { self.host.post(&path, given.to_owned()).await };
        let answers = futures_util::future::join_all((0..CROWD).map(|_| ask())).await;
        answers.iter().map(|answer| answer.status).collect()
    }

    /// The host is the same process, took no more memory than it may, and serves the hostile
    /// plugin as well, now that it is harmless again.
    pub async fn close(mut self) {
        self.host.until("/abuser/", |answer| answer.text() == "harmless").await;
        let health = self.host.admin("/healthz").await;
        assert_eq!(health.status, 200, "{health:?}");
        assert_eq!(Process::of(&self.host), self.process, "{}", tail(&self.host));
        let taken = self.process.peak_memory().saturating_sub(self.memory);
        assert!(taken <= ALLOWED + OWN, "{} MiB more than before", taken >> 20);
        assert_eq!(self.host.stop().await, Some(0), "{}", tail(&self.host));
    }
}

/// The process of a host.
#[derive(Debug, PartialEq)]
struct Process {
    id: u64,
}

impl Process {
    fn of(host: &Host) -> Self {
        let ports = fs::read(host.data().join("run/ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_slice(&ports).unwrap();
        Self { id: ports["pid"].as_u64().unwrap() }
    }

    /// The most memory that it had at any time, in bytes.
    fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.expect("a process that lives has memory");
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

/// The end of what a host has logged, for the message of a test that fails.
pub fn tail(host: &Host) -> String {
    let log = host.log();
    log[log.floor_char_boundary(log.len().saturating_sub(4000))..].to_owned()
}
