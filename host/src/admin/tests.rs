#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::future::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::{
    backends::{keyvalue, log::embedded::Embedded},
    nodes::{self, State, node::Addresses},
    plugins::{
        status::{self, Split},
        versions::Unfound,
    },
};

/// The API over a real socket and a real log.
struct Api {
    base: String,
    http: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
    logs: Logs,
    state: watch::Sender<State>,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Api {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let log = Embedded::open(Default::default(), &dir.path().join("log")).await.unwrap();
        let log = Arc::new(log);
        let (logs, shutdown) = (Logs::new(100), CancellationToken::new());
        let (state, is_in) = watch::channel(State::Starting);
        let sources = Sources {
            plugins: Arc::new(|| vec![tracker()]),
            plugin: Arc::new(|name| (name == "tracker").then(tracker)),
            order: Arc::new(|plugin, order| {
                let plugin = plugin.to_owned();
                async move { ordered(&plugin, order).await }.boxed()
            }),
            replay: {
                let log = log.clone();
                Arc::new(move |group, topic, to| {
                    let (log, group, topic) = (log.clone(), group.to_owned(), topic.to_owned());
                    async move { Ok(log.replay(&group, &topic, to).await?) }.boxed()
                })
            },
            nodes: Arc::new(Nodes::new(
                &keyvalue::embedded::Embedded::open(&dir.path().join("keyvalue")).unwrap(),
                nodes::Settings { name: Some("berlin-1".into()), ..nodes::Settings::default() },
                Addresses { http: Vec::new(), admin: listener.local_addr().unwrap() },
                || vec![tracker()],
                is_in.clone(),
            )),
            log,
            logs: logs.clone(),
            metrics: Arc::new(|| "trellis_up 1\n".to_owned()),
            state: is_in,
        };
        let token = token::Token::open(Some("secret"), dir.path()).unwrap();
        let server = tokio::spawn(run(listener, token, sources, shutdown.clone()));
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { base, http, logs, state, shutdown, server, _dir: dir }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: &str,
    ) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(body.to_owned().into()))
            .unwrap();
        self.http.request(request).await.unwrap()
    }

    /// Status and body.
    async fn ask(&self, method: Method, path: &str, body: &str) -> String {
        shown(self.send(method, path, "secret", body).await).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: &str) -> String {
        self.ask(Method::POST, path, body).await
    }
}

async fn shown(response: Response<Incoming>) -> String {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {}", String::from_utf8_lossy(&body))
}

fn tracker() -> Status {
    Status {
        name: "tracker".into(),
        state: status::State::Live,
        reason: None,
        generation: Some(1),
        version: None,
        digest: None,
        routes: Vec::new(),
        consumes: Vec::new(),
        needs: Default::default(),
        instances: 0,
        lent: 0,
        memory: 0,
        calls: 0,
        faults: 0,
        errors: 0,
        reverts: 0,
        split: None,
        versions: Vec::new(),
        since_ms: 0,
        file: None,
    }
}

/// Carries out what is ordered of the tracker in its own way.
async fn ordered(plugin: &str, order: Order) -> Result<Status, Refused> {
    let plugin = plugin.to_owned();
    match order {
        _ if plugin != "tracker" => Err(Refused::Unknown(plugin)),
        Order::Rollback { to: None } => {
            Err(Refused::Unfound { plugin, unfound: Unfound::NoEarlier })
        }
        Order::Rollback { to: Some(to) } => Ok(Status { version: Some(to), ..tracker() }),
        Order::Split(weights) => {
            Ok(Status { split: Some(Split { weights, generation: None }), ..tracker() })
        }
        Order::Reload => Err(Refused::Failed("it is broken\nhint: mend it".into())),
    }
}

#[tokio::test]
async fn orders_are_passed_on_and_their_errors_are_explained() {
    let api = Api::start().await;
    let to = api.post("/api/plugins/tracker/rollback", "{\"to\":\"0.9\"}").await;
    assert!(to.starts_with("200 ") && to.contains("\"version\":\"0.9\""), "{to}");
    let split = api.post("/api/plugins/tracker/split", "{\"live\":95,\"candidate\":5}").await;
    assert!(
        split.contains(r#""split":{"weights":{"live":95,"candidate":5},"generation":null}"#),
        "{split}"
    );
    insta::assert_snapshot!(api.post("/api/plugins/tracker/rollback", "{}").await, @r#"409 {"error":"plugin `tracker`: no earlier version of it is kept","hint":"`trellis plugins tracker` shows the versions that are kept"}"#);
    insta::assert_snapshot!(api.post("/api/plugins/trakcer/rollback", "{}").await, @r#"404 {"error":"plugin `trakcer` is not installed","hint":"installed are `tracker`"}"#);
    insta::assert_snapshot!(api.post("/api/plugins/tracker/split", "{\"live\":95}").await, @r#"400 {"error":"the key `candidate` is missing","hint":"add `candidate = ...`"}"#);
    insta::assert_snapshot!(api.post("/api/plugins/tracker/reload", "").await, @r#"409 {"error":"it is broken","hint":"mend it"}"#);
}

#[tokio::test]
async fn only_probes_and_metrics_take_no_token() {
    let api = Api::start().await;
    for path in ["/healthz", "/metrics"] {
        assert_eq!(api.send(Method::GET, path, "", "").await.status(), 200, "{path}");
    }
    for path in ["/api/plugins", "/api/topics", "/api/lag", "/api/logs"] {
        for token in ["", "wrong", "secret2"] {
            let answer = api.send(Method::GET, path, token, "").await;
            assert_eq!(answer.status(), 401, "{path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        }
    }
    insta::assert_snapshot!(shown(api.send(Method::GET, "/api/lag", "wrong", "").await).await, @r#"401 {"error":"the token is wrong","hint":"send `authorization: Bearer TOKEN` with `[admin] token`, or what stands in `run/admin-token` of the data directory"}"#);
}

#[tokio::test]
async fn ready_follows_the_host() {
    let api = Api::start().await;
    assert_eq!(api.get("/readyz").await, "503 starting\n");
    api.state.send(State::Ready).unwrap();
    assert_eq!(api.get("/readyz").await, "200 ready\n");
}

#[tokio::test]
async fn plugins_are_shown_and_an_unknown_one_is_named() {
    let api = Api::start().await;
    let all = api.get("/api/plugins").await;
    assert!(all.starts_with("200 [{\"name\":\"tracker\",\"state\":\"live\""), "{all}");
    assert!(api.get("/api/plugins/tracker").await.starts_with("200 {"));
    insta::assert_snapshot!(api.get("/api/plugins/trakcer").await, @r#"404 {"error":"plugin `trakcer` is not installed","hint":"installed are `tracker`"}"#);
}

#[tokio::test]
async fn records_that_were_produced_are_read_back() {
    let api = Api::start().await;
    assert_eq!(api.post("/api/topics/events", "{\"partitions\":2}").await, "201 ");
    let body = r#"{"records":[
        {"key":"a","value":"one","headers":[["h","x"],["n",null]],"partition":1,"timestamp-ms":5},
        {"value":{"hex":"00ff"},"partition":1,"timestamp-ms":6},
        {"value":"three","partition":0,"timestamp-ms":7}]}"#;
    insta::assert_snapshot!(api.post("/api/topics/events/records", body).await, @r#"200 [{"partition":1,"offset":0},{"partition":1,"offset":1},{"partition":0,"offset":0}]"#);
    insta::assert_snapshot!(api.get("/api/topics/events/records?partition=1").await, @r#"
    200 {"partition":1,"offset":0,"timestamp-ms":5,"key":"a","value":"one","headers":[["h","x"],["n",null]]}
    {"partition":1,"offset":1,"timestamp-ms":6,"key":null,"value":{"hex":"00ff"}}
    "#);
    let since = api.get("/api/topics/events/records?from=1970-01-01T00:00:00.007Z").await;
    assert!(since.contains("three") && since.lines().count() == 1, "{since}");
    let limited = api.get("/api/topics/events/records?limit=2").await;
    assert_eq!(limited.lines().count(), 2, "{limited}");
    insta::assert_snapshot!(api.get("/api/topics").await, @r#"200 [{"name":"events","partitions":2,"settings":{"partitions":2,"retention-ms":604800000,"retention-bytes":-1,"max-record-bytes":1048576},"ranges":[{"start":0,"end":1},{"start":0,"end":2}]}]"#);
}

#[tokio::test]
async fn a_follower_gets_records_that_come_later() {
    let api = Api::start().await;
    api.post("/api/topics/events", "{\"partitions\":1}").await;
    let path = "/api/topics/events/records?follow=true&from=latest";
    let mut answer = api.send(Method::GET, path, "secret", "").await;
    api.post("/api/topics/events/records", r#"{"records":[{"value":"later"}]}"#).await;
    let line = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let record: topics::Record = serde_json::from_slice(&line).unwrap();
    assert_eq!(record.value, Some(topics::Data::Text("later".into())));
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said_in_json() {
    let api = Api::start().await;
    api.post("/api/topics/events", "{}").await;
    insta::assert_snapshot!(api.post("/api/topics/events", "{}").await, @r#"409 {"error":"topic `events` exists already"}"#);
    insta::assert_snapshot!(api.post("/api/topics/new", "{\"partitons\":1}").await, @r#"400 {"error":"unknown key `partitons`","hint":"did you mean `partitions`?"}"#);
    insta::assert_snapshot!(api.post("/api/topics/a%20b", "{}").await, @r#"400 {"error":"`a b` cannot be a topic; use 1 to 249 of letters, digits, `.`, `_` and `-`"}"#);
    insta::assert_snapshot!(api.get("/api/topics/nowhere/records").await, @r#"404 {"error":"topic `nowhere` does not exist; create it with `trellis topics create nowhere`"}"#);
    insta::assert_snapshot!(api.get("/api/topics/events/records?partition=9").await, @r#"404 {"error":"topic `events` has no partition 9"}"#);
    insta::assert_snapshot!(api.get("/api/topics/events/records?from=soon").await, @r#"400 {"error":"`soon` is no place in a topic","hint":"write `earliest`, `latest`, an offset, or a time such as `2026-01-31T08:00:00Z`"}"#);
    insta::assert_snapshot!(api.get("/api/topics/events/records?form=1").await, @r#"400 {"error":"unknown key `form`","hint":"did you mean `from`?"}"#);
    insta::assert_snapshot!(api.post("/api/topics/events/records", r#"{"records":[{"value":{"hex":"0g"}}]}"#).await, @r#"400 {"error":"`0g` is not an even number of hexadecimal digits"}"#);
    insta::assert_snapshot!(api.post("/api/topics/nowhere/records", r#"{"records":[{"value":"x"}]}"#).await, @r#"404 [{"error":"topic `nowhere` does not exist; create it with `trellis topics create nowhere`"}]"#);
    insta::assert_snapshot!(api.ask(Method::DELETE, "/api/topics", "").await, @r#"405 {"error":"`/api/topics` cannot be called with DELETE"}"#);
    insta::assert_snapshot!(api.get("/api/nothing").await, @r#"404 {"error":"there is no `/api/nothing` here"}"#);
}

#[tokio::test]
async fn a_group_is_moved_and_its_lag_is_shown() {
    let api = Api::start().await;
    api.post("/api/topics/events", "{\"partitions\":1}").await;
    api.post("/api/topics/events/records", r#"{"records":[{"value":"a"},{"value":"b"}]}"#).await;
    let replay = r#"{"group":"readers","to":"1"}"#;
    assert_eq!(api.post("/api/topics/events/replay", replay).await, "204 ");
    insta::assert_snapshot!(api.get("/api/lag").await, @r#"200 [{"group":"readers","topic":"events","partition":0,"committed":1,"end":2,"lag":1}]"#);
}

#[tokio::test]
async fn log_lines_are_shown_and_followed_for_one_plugin() {
    let api = Api::start().await;
    let write = |plugin: &str, text: &str| {
        let subscriber = tracing_subscriber::registry().with(api.logs.layer());
        tracing::subscriber::with_default(subscriber, || tracing::info!(plugin, "{text}"));
    };
    write("a", "first");
    write("b", "second");
    let all = api.get("/api/logs").await;
    assert!(all.contains("first") && all.contains("second"), "{all}");
    let one = api.get("/api/logs?plugin=b").await;
    assert!(!one.contains("first") && one.contains("second"), "{one}");
    let mut answer =
        api.send(Method::GET, "/api/logs?plugin=b&follow=true&last=0", "secret", "").await;
    write("a", "third");
    write("b", "fourth");
    let line = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&line).contains("fourth"));
    api.shutdown.cancel();
    assert!(answer.body_mut().frame().await.is_none(), "the stream ends with the host");
    api.server.await.unwrap().unwrap();
}

#[test]
fn a_token_is_made_up_for_the_hosts_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("run");
    token::Token::open(None, &run_dir).unwrap();
    let path = token::file(&run_dir);
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(first.len(), 64);
    token::Token::open(None, &run_dir).unwrap();
    assert_ne!(std::fs::read_to_string(&path).unwrap(), first);
}

/// What a connection gets that sends these bytes and waits for the end.
async fn raw(address: &str, bytes: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(20), read).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_web_page_that_pretends_to_live_here_reads_nothing() {
    let api = Api::start().await;
    let address = api.base.strip_prefix("http://").unwrap();
    for path in ["/metrics", "/readyz", "/api/plugins", "/nothing"] {
        let ask = |host: &str| {
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
        };
        let answer = raw(address, &ask("rebound.example:9080")).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
        assert!(!raw(address, &ask("localhost:9080")).await.starts_with("HTTP/1.1 421 "), "{path}");
    }
}

#[tokio::test]
async fn connections_that_do_nothing_lose_their_places() {
    use std::time::Duration;
    use tokio::{io::AsyncWriteExt, net::TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let large = || async { "x".repeat(16 << 20) };
    let small = || async { "small" };
    let router =
        Router::new().route("/large", routing::get(large)).route("/small", routing::get(small));
    let short = Duration::from_millis(100);
    let patience = server::Patience { head: short, stalled: short };
    let shutdown = CancellationToken::new();
    tokio::spawn(server::serve(listener, router, patience, shutdown.clone()));
    let mut idle = Vec::new();
    for head in ["", "GET /small HTTP/1.1\r\nhost", "GET /large HTTP/1.1\r\nhost: a\r\n\r\n"] {
        for _ in 0..server::MAX_CONNECTIONS {
            let mut socket = TcpStream::connect(&address).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            idle.push(socket);
        }
    }
    let answer = raw(&address, "GET /small HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nsmall"), "{answer}");
    shutdown.cancel();
}
