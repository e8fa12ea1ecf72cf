//! Several hosts, and one that goes away while others stay.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    command::ask,
    support::{Host, PATIENCE},
};

/// Requests under way at any time.
const CLIENTS: usize = 8;

/// A real load balancer, which asks each host whether it is ready and sends it requests while it
/// is. It never tries a request twice, so that a host that fails one is seen to.
struct Balancer {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Balancer {
    fn start(hosts: &[Host]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let config = dir.path().join("haproxy.cfg");
        fs::write(&config, configuration(&address, hosts)).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program())
            .args(["-db", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("haproxy is installed: run `tests/run`, which does it");
        Self { child, address, _dir: dir }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where distributions put it when that is not on everybody's path.
fn program() -> &'static str {
    let beside = "/usr/sbin/haproxy";
    if Path::new(beside).is_file() { beside } else { "haproxy" }
}

fn configuration(address: &str, hosts: &[Host]) -> String {
    let mut text = format!(
        "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 60s\n  \
         timeout server 60s\nfrontend all\n  bind {address}\n  default_backend hosts\n\
         backend hosts\n  option httpchk GET /readyz\n"
    );
    for (number, host) in hosts.iter().enumerate() {
        let (http, admin) = (host.address("http"), host.address("admin"));
        let port = admin.rsplit(':').next().unwrap();
        text += &format!("  server s{number} {http} check port {port} inter 100 fall 1 rise 1\n");
    }
    text
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    failed: AtomicU64,
    over: AtomicBool,
}

async fn client(url: String, seen: Arc<Seen>) {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    while !seen.over.load(Ordering::Relaxed) {
        let answer =
            tokio::time::timeout(PATIENCE, client.get(url.parse().unwrap())).await.unwrap();
        let well = match answer {
            Ok(answer) => {
                let status = answer.status();
                status.is_success() && answer.into_body().collect().await.is_ok()
            }
            Err(_) => false,
        };
        let count = if well { &seen.answered } else { &seen.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_rolling_restart_behind_a_load_balancer_fails_no_request() {
    let settings = "[grants]\ndefault = \"needs\"\n[host]\nleave-delay = \"1s\"\n";
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let mut host = Host::start_with(&["hello"], settings).await;
        host.stay();
        hosts.push(host);
    }
    let balancer = Balancer::start(&hosts);
    let url = format!("http://{}/hello", balancer.address);
    let probe: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    hosts[0]
        .eventually(async || match probe.get(url.parse().unwrap()).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;

    let seen = Arc::new(Seen::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(url.clone(), Arc::clone(&seen)))).collect();
    for host in &mut hosts {
        let before = seen.answered.load(Ordering::Relaxed);
        assert_eq!(host.stop().await, Some(0));
        host.run().await;
        // The next one goes only when this one is back among those that answer.
        host.until_plugin("hello", |plugin| plugin["calls"].as_u64() > Some(0)).await;
        assert!(seen.answered.load(Ordering::Relaxed) > before, "clients are answered meanwhile");
    }
    seen.over.store(true, Ordering::Relaxed);
    for ended in join_all(clients).await {
        ended.unwrap();
    }
    let (answered, failed) =
        (seen.answered.load(Ordering::Relaxed), seen.failed.load(Ordering::Relaxed));
    assert!(failed == 0 && answered > 0, "{failed} of {} failed", answered + failed);
}

#[tokio::test]
async fn a_host_on_its_own_is_the_only_node() {
    let host = Host::start(&["hello"]).await;
    let seen = host.eventually(async || {
        let nodes = ask(&host, &["nodes", "--json"]).await.well().json();
        match nodes[0]["state"] == "ready" {
            true => Ok(nodes),
            false => Err(nodes.to_string()),
        }
    });
    let nodes = seen.await;
    assert_eq!(nodes.as_array().unwrap().len(), 1, "{nodes}");
    assert_eq!(nodes[0]["http"][0], host.address("http"));
    let shown = ask(&host, &["nodes"]).await.well().out;
    assert!(shown.starts_with("NAME") && shown.contains(" ready "), "{shown}");
}
