//! TCP ports of plugins: an instance for each connection, which a swap carries over.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use trellis::manifest::Manifest;

use crate::support::{Host, PATIENCE, changed, component, free_port, variant};

/// `lines` with a port of its own, and what else a test wants of its manifest.
fn lines(port: u16, change: impl FnOnce(&mut Manifest)) -> Vec<u8> {
    changed(&fs::read(component("lines")).unwrap(), |manifest| {
        manifest.listen[0].port = port;
        change(manifest);
    })
}

/// A host with `lines` on a port.
async fn host() -> (Host, u16) {
    host_with("", |_| {}).await
}

async fn host_with(settings: &str, change: impl FnOnce(&mut Manifest)) -> (Host, u16) {
    let settings = format!("[grants]\ndefault = \"needs\"\n{settings}");
    let (host, port) = (Host::start_with(&[], &settings).await, free_port());
    host.install("lines.wasm", lines(port, change));
    host.until_plugin("lines", |status| status["state"] == "live").await;
    (host, port)
}

/// A client that says lines.
pub struct Client<S = TcpStream>(pub BufReader<S>);

impl Client {
    /// One that was greeted.
    async fn connect(host: &Host, port: u16) -> Self {
        let greeted = host.eventually(async || {
            let stream = TcpStream::connect(("127.0.0.1", port)).await;
            let mut client = Client(BufReader::new(stream.map_err(|error| error.to_string())?));
            match client.line().await {
                greeting if greeting == "hello" => Ok(client),
                // There is no room yet after others have gone.
                other => Err(format!("greeted with `{other}`")),
            }
        });
        greeted.await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn say(&mut self, line: &str) {
        self.write(&format!("{line}\n")).await;
    }

    pub async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next line; empty at the end.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    pub async fn ask(&mut self, line: &str) -> String {
        self.say(line).await;
        self.line().await
    }
}

#[tokio::test]
async fn each_client_has_an_instance_of_its_own_and_its_bytes_in_order_however_they_are_cut() {
    let (host, port) = host().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&host, port).await);
    }
    for round in 1..=3 {
        for client in &mut clients {
            assert_eq!(client.ask("say hi").await, format!("{round} hi"));
        }
    }
    for byte in b"say cut\nsay ag" {
        clients[0].0.write_all(&[*byte]).await.unwrap();
        clients[0].0.flush().await.unwrap();
    }
    assert_eq!(clients[0].line().await, "4 cut");
    assert_eq!(clients[0].ask("ain").await, "5 again");
    let who = clients[1].ask("who").await;
    let local = clients[1].0.get_ref().local_addr().unwrap().port();
    assert!(who.ends_with(&format!(" lines 127.0.0.1 {local}")), "{who}");
    assert_eq!(clients[2].ask("bye").await, "bye");
    assert_eq!(clients[2].line().await, "");
    host.until("/lines/said", |said| said.text() == "4 lines, asked").await;
    drop(clients);
    host.until("/lines/said", |said| said.text().ends_with("lines, the client went away")).await;
    let metrics = host.admin("/metrics").await.text();
    let series = "trellis_socket_bytes_total{plugin=\"lines\",listener=\"lines\",direction=\"in\"}";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn no_more_come_in_than_may_and_the_silent_go() {
    let (host, port) = host().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(&host, port).await);
    }
    let mut fifth = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(timeout(PATIENCE, fifth.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
    for client in &mut clients {
        assert_eq!(client.line().await, "", "a silent client is closed");
    }
    host.until("/lines/said", |said| said.text().contains("silent for too long")).await;
    Client::connect(&host, port).await;
}

#[tokio::test]
async fn one_address_takes_no_more_than_its_share() {
    let (host, port) = host_with("", |manifest| manifest.listen[0].max_per_address = Some(1)).await;
    let mut first = Client::connect(&host, port).await;
    let mut second = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert_eq!(timeout(PATIENCE, second.read(&mut [0; 9])).await.unwrap().unwrap_or(0), 0);
    assert_eq!(first.ask("say here").await, "1 here");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let other = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    assert_eq!(Client(BufReader::new(other)).line().await, "hello");
}

#[tokio::test]
async fn a_trap_and_an_endless_call_end_one_connection_only() {
    let (host, port) = host_with("", |manifest| {
        manifest.limits.timeout = trellis::quantity::Millis(500);
    })
    .await;
    let mut witness = Client::connect(&host, port).await;
    for verb in ["trap", "spin"] {
        let mut culprit = Client::connect(&host, port).await;
        assert_eq!(culprit.ask(verb).await, "");
        assert!(witness.ask("say still here").await.ends_with("still here"));
    }
    let log = host.log();
    assert!(log.contains("asked to trap") && log.contains("did not answer within"), "{log}");
}

#[tokio::test]
async fn connections_go_on_with_each_new_version_and_miss_no_byte() {
    let (host, port) = host().await;
    let mut client = Client::connect(&host, port).await;
    let (mut said, bytes) = (0, lines(port, |_| {}));
    for version in 0..20 {
        let version = version.to_string();
        host.install("lines.wasm", variant(&bytes, &version));
        loop {
            for _ in 0..20 {
                said += 1;
                client.say("say x").await;
                // A line that is cut by whatever comes in between.
                said += 1;
                client.0.write_all(b"say ").await.unwrap();
                client.0.flush().await.unwrap();
                assert_eq!(client.line().await, format!("{} x", said - 1));
                assert_eq!(client.ask("y").await, format!("{said} y"));
            }
            let status = host.admin("/api/plugins/lines").await.json();
            if status["state"] == "live" && status["version"] == version {
                break;
            }
        }
    }
    drop(client);
    host.until("/lines/said", |end| end.text().starts_with(&format!("{said} lines"))).await;
    // It was carried over: no old version is left with it.
    host.until_plugin("lines", |status| status["lent"] == 0).await;
}

#[tokio::test]
async fn a_connection_that_cannot_go_on_stays_with_its_version_until_it_ends() {
    let (host, port) = host().await;
    let mut stays = Client::connect(&host, port).await;
    stays.say("stay").await;
    assert_eq!(stays.ask("say 1").await, "2 1");
    host.install("lines.wasm", variant(&lines(port, |_| {}), "2"));
    host.until_plugin("lines", |status| status["version"] == "2").await;
    let mut new = Client::connect(&host, port).await;
    assert_eq!(new.ask("say new").await, "1 new");
    assert_eq!(stays.ask("say 2").await, "3 2");
    fs::remove_file(host.plugins().join("lines.wasm")).unwrap();
    assert_eq!((stays.line().await, new.line().await), (String::new(), String::new()));
}

#[tokio::test]
async fn other_instances_reach_a_connection_through_channels_and_its_number() {
    let (host, port) = host().await;
    let mut client = Client::connect(&host, port).await;
    assert_eq!(client.ask("join lobby").await, "Ok(())");
    host.post("/lines/post/lobby", "raw\n").await;
    assert_eq!(client.line().await, "raw");
    let who = client.ask("who").await;
    let number = who.split(' ').next().unwrap();
    host.get(&format!("/lines/close/{number}")).await;
    assert_eq!(client.line().await, "");
    host.until("/lines/said", |said| said.text() == "2 lines, from elsewhere").await;
}

#[tokio::test]
async fn a_client_gets_all_before_drained_and_one_that_takes_nothing_is_cut() {
    let (host, port) = host_with("[sockets]\nstalled = \"1s\"\n", |_| {}).await;
    let mut client = Client::connect(&host, port).await;
    const LENGTH: usize = 8 << 20;
    client.say(&format!("big {LENGTH}")).await;
    client.say("say behind").await;
    let mut big = vec![0; LENGTH];
    timeout(PATIENCE, client.0.read_exact(&mut big)).await.unwrap().unwrap();
    assert!(big.iter().all(|byte| *byte == b'x'));
    let mut rest = [client.line().await, client.line().await];
    rest.sort();
    assert_eq!(rest, ["2 behind", "drained"]);
    // One that has nothing more to say gets all of it, too.
    let mut done = Client::connect(&host, port).await;
    done.say(&format!("big {LENGTH}")).await;
    done.0.shutdown().await.unwrap();
    let mut all = Vec::new();
    timeout(PATIENCE, done.0.read_to_end(&mut all)).await.unwrap().unwrap();
    assert!(all.len() >= LENGTH && all[..LENGTH].iter().all(|byte| *byte == b'x'));
    // One with little room of its own, or the kernels' buffers might take all of it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let mut stuck = Client(BufReader::new(stream));
    assert_eq!(stuck.line().await, "hello");
    stuck.say(&format!("big {LENGTH}")).await;
    host.until("/lines/said", |said| said.text().contains("took nothing for too long")).await;
}

#[tokio::test]
async fn a_connection_is_woken_when_it_asked_to_be() {
    let (host, port) = host().await;
    let mut client = Client::connect(&host, port).await;
    client.say("wake 60000").await;
    client.say("wake 10").await;
    assert_eq!(client.line().await, "woken");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_listened_to_once_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let host = Host::start(&[]).await;
    host.install("lines.wasm", lines(port, |_| {}));
    host.until("/lines/runs", |answer| answer.status == 200).await;
    let told = host.eventually(async || match host.log() {
        log if log.contains("cannot listen") && log.contains("[[listen]]") => Ok(()),
        log => Err(log),
    });
    told.await;
    drop(other);
    Client::connect(&host, port).await;
    let twin = lines(port, |manifest| {
        manifest.name = "twin".to_owned();
        manifest.http = Some(trellis::manifest::Http {
            routes: vec!["/twin".to_owned()],
            ..Default::default()
        });
    });
    host.install("twin.wasm", twin);
    let refused = host.until_plugin("twin", |status| status["state"] == "failed").await;
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("port {port} belongs to plugin `lines`")), "{reason}");
}

#[tokio::test]
async fn a_listener_speaks_tls_with_the_operators_certificate_and_needs_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    certify(dir.path());
    let settings =
        format!("[sockets]\ncertificate = {:?}\nkey = {:?}\n", at("server.crt"), at("server.key"));
    let (_host, port) = host_with(&settings, |manifest| manifest.listen[0].tls = true).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(at("server.crt")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let mut client = Client(BufReader::new(stream));
    assert_eq!(client.line().await, "hello");
    assert_eq!(client.ask("say encrypted").await, "1 encrypted");
    assert_eq!(client.ask("bye").await, "bye");
    assert_eq!(client.line().await, "");

    let host = Host::start(&[]).await;
    host.install("lines.wasm", lines(port, |manifest| manifest.listen[0].tls = true));
    let refused = host.until_plugin("lines", |status| status["state"] == "failed").await;
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("wants TLS, and this host has no certificate"), "{reason}");
}

/// A certificate for this machine that vouches for itself.
fn certify(dir: &Path) {
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                 -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.crt";
    let made = Command::new("openssl").args(words.split_whitespace()).current_dir(dir).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_host_that_stops_tells_its_connections_first() {
    let (mut host, port) = host().await;
    let mut client = Client::connect(&host, port).await;
    assert_eq!(client.ask("say 1").await, "1 1");
    assert_eq!(host.stop().await, Some(0));
    assert_eq!(timeout(Duration::from_secs(9), client.line()).await.unwrap(), "");
    host.run().await;
    assert_eq!(host.get("/lines/said").await.text(), "1 lines, the host stops");
}
