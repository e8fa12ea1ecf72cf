//! One plugin in each language that is all a plugin can be, and uses all it can use: what the guest
//! libraries make of the contracts is the same in all of them.
//!
//! | asked for | what the plugin does |
//! |---|---|
//! | `/it/config` ... `/it/metrics` | it uses the capability and tells what it saw, see [`USES`] |
//! | `/it/ask?where=ADDRESS` | it asks another host |
//! | `/it/file`, `/it/publish`, `/it/fail` | it answers with a blob, tells the channel, has its job fail |
//! | `/it/runs`, `/it/closed` | how often its job has run; the connection that ended last |
//! | `/it/state` | what the lifecycle hooks carry from version to version |
//! | `/live/NAME` | a websocket, see [`talk`] |
//! | the port `lines` | lines over TCP, see [`say_lines`] |

use std::{fs, path::Path};

use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use tokio::{
    io::BufReader,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;

use super::build;
use crate::{
    sockets::Client,
    support::{Host, changed, free_port, variant},
    websocket::WebSocket,
};

/// What is used, and what a plugin tells of it.
const USES: &[(&str, &str)] = &[
    ("config", "hello none"),
    // Nothing, changed though somebody else wrote in between, incremented, listed, deleted; several
    // keys at once.
    ("keyvalue", "none 2x 5 a,n none beesea none"),
    // Nothing, set, not added, deleted, added, computed once, computed while somebody else wrote.
    ("cache", "none one false none true two made made mine other"),
    // Whole, a part, listed, deleted, into a container that is not there.
    ("blobs", "onetwo two a:6,b:13 none invalid"),
    // Written, seen within a transaction, rolled back, committed, refused as a whole, all types.
    ("sql", "1 2 1 2 constraint 2 -5 1.5 ü 00ff null"),
    // A mailbox: its tag, shown, hidden, what it heard, how many hear, how much is kept.
    ("presence", "box ada:away nobody a note 00ff 1 2"),
    ("metrics", "counted"),
];

#[tokio::test]
async fn a_plugin_in_go_is_all_that_plugins_can_be() {
    all_of("go").await;
}

#[tokio::test]
async fn a_plugin_in_c_is_all_that_plugins_can_be() {
    all_of("c").await;
}

#[tokio::test]
async fn a_plugin_in_python_is_all_that_plugins_can_be() {
    all_of("python").await;
}

#[tokio::test]
async fn a_plugin_in_typescript_is_all_that_plugins_can_be() {
    all_of("typescript").await;
}

async fn all_of(language: &str) {
    let (component, port) = component(language).await;
    let mut host = Host::start(&[]).await;
    host.install("it.wasm", &component);
    host.until_plugin("it", |plugin| plugin["state"] == "live").await;
    use_everything(&host).await;
    ask_another(&host).await;
    talk(&host).await;
    say_lines(&host, port).await;
    live_on(&host, port, &component).await;
    run_by_the_clock(&host).await;
    assert_eq!(host.stop().await, Some(0));
    assert!(host.log().contains("stopped with kept"), "{}", host.log());
}

/// The project, built, with a port of its own.
async fn component(language: &str) -> (Vec<u8>, u16) {
    let projects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/house/languages/projects");
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(projects.join(language)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    fs::copy(projects.join("plugin.toml"), dir.path().join("plugin.toml")).unwrap();
    let ran = build(dir.path(), dir.path()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let port = free_port();
    let built = fs::read(dir.path().join("it.wasm")).unwrap();
    (changed(&built, |manifest| manifest.listen[0].port = port), port)
}

async fn use_everything(host: &Host) {
    for (what, told) in USES {
        let answer = host.get(&format!("/it/{what}")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, *told), "{what}\n{}", host.log());
    }
    let file = host.get("/it/file").await;
    assert_eq!(file.text(), "from the host");
    assert_eq!(file.headers["content-type"], "text/plain");
    let numbers = host.admin("/metrics").await.text();
    for series in [
        r#"plugin_visits{plugin="it",who="ada"} 2"#,
        r#"plugin_level{plugin="it"} 1.5"#,
        r#"plugin_took_seconds_sum{plugin="it"} 0.25"#,
    ] {
        assert!(numbers.contains(series), "{series}\n{numbers}");
    }
}

async fn ask_another(host: &Host) {
    async fn echo(
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, [(&'static str, String); 1], Bytes) {
        let asked = headers["x-asked"].to_str().unwrap().to_owned();
        (StatusCode::CREATED, [("x-answer", asked)], body)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/echo", post(echo));
    tokio::spawn(async { axum::serve(listener, router).await });
    let answer = host.get(&format!("/it/ask?where={address}")).await;
    assert_eq!(answer.text(), "201 yes ping not granted 201", "{}", host.log());
}

/// Two clients over websockets.
async fn talk(host: &Host) {
    let refused = WebSocket::knock(host, "/live/nobody", &[]).await.err();
    assert_eq!(refused, Some(403));
    host.post("/it/publish", "before").await;
    let mut ada = WebSocket::open(host, "/live/ada").await;
    assert_eq!([ada.text().await, ada.text().await], ["welcome ada", "before"]);
    let mut bob = WebSocket::open(host, "/live/bob").await;
    assert_eq!([bob.text().await, bob.text().await], ["welcome bob", "before"]);
    ada.say("hello").await;
    assert_eq!([ada.text().await, bob.text().await], ["ada: hello", "ada: hello"]);
    ada.say("rename eve").await;
    assert_eq!(ada.text().await, "you are eve");
    ada.say("ü").await;
    assert_eq!([ada.text().await, bob.text().await], ["eve: ü", "eve: ü"]);
    bob.say("leave").await;
    assert_eq!(bob.text().await, "you left");
    host.post("/it/publish", "after").await;
    assert_eq!(ada.text().await, "after");
    bob.say_bytes(&[0, 255]).await;
    assert_eq!(bob.message().await, Message::binary(vec![0, 255]));
    for (mut client, end) in [(ada, "eve 1000"), (bob, "bob 1000")] {
        client.say("bye").await;
        assert_eq!(client.closed().await, 1000);
        host.until("/it/closed", |answer| answer.text() == end).await;
    }
}

/// A client, greeted.
async fn greeted(port: u16) -> Client {
    let mut client = Client(BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap()));
    assert_eq!(client.line().await, "hello lines");
    client
}

async fn say_lines(host: &Host, port: u16) {
    let (mut first, mut second) = (greeted(port).await, greeted(port).await);
    for piece in ["o", "ne\ntw", "o\nth"] {
        first.write(piece).await;
    }
    assert_eq!([first.line().await, first.line().await], ["1 one", "2 two"]);
    assert_eq!(second.ask("one").await, "1 one");
    assert_eq!(first.ask("ree").await, "3 three");
    assert_eq!(first.ask("wake").await, "woken");
    assert_eq!(first.ask("drain").await.len(), 100_000);
    assert_eq!(first.line().await, "drained");
    assert_eq!(first.ask("join").await, "joined");
    host.post("/it/publish", "raw\n").await;
    assert_eq!(first.line().await, "raw");
    assert_eq!(first.ask("bye").await, "bye");
    assert_eq!(first.line().await, "");
    host.until("/it/closed", |answer| answer.text() == "7 asked").await;
    assert_eq!(second.ask("fall").await, "", "it is closed");
    host.eventually(async || match host.log().contains("asked to fall") {
        true => Ok(()),
        false => Err("it does not say why it fell".to_owned()),
    })
    .await;
}

/// Another version takes over what the one before saved, or refuses to.
async fn live_on(host: &Host, port: u16, component: &[u8]) {
    let mut client = greeted(port).await;
    client.write("one\ntw").await;
    assert_eq!(client.line().await, "1 one");
    assert_eq!(host.post("/it/state", "kept").await.text(), "fresh kept");
    host.install("it.wasm", variant(component, "2"));
    host.until_plugin("it", |plugin| plugin["version"] == "2").await;
    assert_eq!(host.get("/it/state").await.text(), "swapped kept");
    assert_eq!(client.ask("o").await, "2 two");
    assert!(!host.log().contains("stays with the version"), "{}", host.log());

    host.post("/it/state", "refuse").await;
    host.install("it.wasm", variant(component, "3"));
    let refused = |plugin: &serde_json::Value| {
        plugin["reason"].as_str().is_some_and(|reason| reason.contains("asked to refuse"))
    };
    let plugin = host.until_plugin("it", refused).await;
    assert_eq!(plugin["version"], "2", "{plugin}");
    assert_eq!(host.post("/it/state", "kept").await.text(), "swapped kept");
    assert_eq!(client.ask("three").await, "3 three");
}

async fn run_by_the_clock(host: &Host) {
    let runs = async || host.get("/it/runs").await.text().parse::<u64>().unwrap_or(0);
    let before = runs().await;
    host.eventually(async || match runs().await {
        runs if runs > before + 2 => Ok(()),
        runs => Err(format!("{runs} runs")),
    })
    .await;
    host.post("/it/fail", "").await;
    let failed = r#"trellis_schedule_runs_total{plugin="it",schedule="tick",outcome="failed"}"#;
    host.eventually(async || match host.admin("/metrics").await.text().contains(failed) {
        true => Ok(()),
        false => Err("no run has failed".to_owned()),
    })
    .await;
    assert!(host.log().contains("asked to fail"), "{}", host.log());
}
