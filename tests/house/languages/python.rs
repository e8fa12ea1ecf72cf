//! Plugins in Python: the five actions call the services of their settings, and what a handler
//! raises is told and harms nobody.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use trellis::manifest::section;

use crate::{
    command::{Ran, run, trellis},
    support::{Host, component},
};

/// Those of other languages that read the same topic beside the actions.
const TALLIES: &[&str] = &["tally-typescript", "tally-go", "tally-c"];
const ACTIONS: &[&str] = &["geo", "notifier", "bulkdata", "chatbot", "geonames"];

/// In place of the store, the chat service and GeoNames.
#[derive(Clone, Default)]
struct Services(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// What was asked, with the body.
    calls: Vec<(String, String)>,
    /// So many more answers of a path are 503.
    busy: BTreeMap<&'static str, u32>,
}

impl Services {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let services = Self::default();
        let router = Router::new().fallback(Self::answer).with_state(services.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (services, address)
    }

    async fn answer(own: State<Self>, method: Method, uri: Uri, body: Bytes) -> Response {
        let mut seen = own.0.0.lock().unwrap();
        let call = format!("{method} {uri}");
        seen.calls.push((call, String::from_utf8_lossy(&body).into_owned()));
        if let Some(left) = seen.busy.get_mut(uri.path()).filter(|left| **left > 0) {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        match uri.path() {
            "/store/bulk/offers/market" => {
                Json(json!({"data": [{"_id": "o1"}, {"_id": "o2"}]})).into_response()
            }
            "/store/offers/missing/notify" => StatusCode::NOT_FOUND.into_response(),
            "/names/findNearbyWikipediaJSON" => Json(json!({"geonames": [
                {"title": "Gate", "lat": 52.5163, "lng": 13.3777, "wikipediaUrl": "example.org/gate"},
                {"title": "", "lat": 1, "lng": 1},
            ]}))
            .into_response(),
            _ => StatusCode::OK.into_response(),
        }
    }

    fn calls(&self, beginning: &str) -> Vec<(String, String)> {
        let seen = self.0.lock().unwrap();
        seen.calls.iter().filter(|(call, _)| call.starts_with(beginning)).cloned().collect()
    }

    /// Wait until there are so many calls that begin like this.
    async fn until(&self, host: &Host, beginning: &str, count: usize) -> Vec<(String, String)> {
        host.eventually(async || match self.calls(beginning) {
            calls if calls.len() >= count => Ok(calls),
            calls => Err(format!("{count} of `{beginning}` are to come, {calls:?} are there")),
        })
        .await
    }
}

/// Settings with the services in place of the real ones.
fn settings(services: &str) -> String {
    format!(
        "[grants]\ndefault = \"needs\"\n\
         [config.values.geo]\nurl = \"http://{services}/store/geo\"\n\
         [config.values.notifier]\nurl = \"http://{services}/store\"\n\
         [config.values.bulkdata]\nurl = \"http://{services}/store\"\n\
         [config.values.chatbot]\nurl = \"http://{services}/chat/{{channel}}\"\n\
         [config.values.geonames]\nurl = \"http://{services}/store\"\n\
         geonames-url = \"http://{services}/names\"\nusername = \"ada\"\n"
    )
}

/// One after the other: each is compiled for seconds.
async fn install(host: &Host, name: &str) {
    let bytes = fs::read(component(name)).unwrap();
    let mut manifest: toml::Table = section::find(&bytes).unwrap().parse().unwrap();
    // The chat service is here, too.
    let http = "hosts = [\"127.0.0.1:*\"]\nprivate = true";
    manifest["needs"]["http"] = toml::Value::Table(http.parse().unwrap());
    for consume in manifest["consume"].as_array_mut().unwrap() {
        consume["retry"] = toml::Value::Table(
            "attempts = 3\nbackoff = \"20ms\"\nmax-backoff = \"20ms\"".parse().unwrap(),
        );
    }
    host.install(&format!("{name}.toml"), manifest.to_string());
    host.install(&format!("{name}.wasm"), bytes);
    host.until_plugin(name, |status| status["state"] == "live").await;
}

async fn produce(host: &Host, events: &[Value]) {
    let record = |event: &Value| json!({"key": "k", "value": event.to_string()});
    let records: Vec<_> = events.iter().map(record).collect();
    let answer = host
        .admin_post("/api/topics/events/records", json!({"records": records}).to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn event(kind: &str, params: Value) -> Value {
    json!({"type": kind, "params": params})
}

#[tokio::test]
async fn the_five_actions_call_their_services_and_what_fails_for_good_is_put_aside() {
    let (services, address) = Services::start().await;
    let counting: Vec<_> = TALLIES.iter().copied().chain(["statistics"]).collect();
    let host = Host::start_with(&counting, &settings(&address)).await;
    host.admin_post("/api/topics/events", json!({"partitions": 1}).to_string()).await;
    for name in ACTIONS {
        install(&host, name).await;
    }
    services.0.lock().unwrap().busy =
        [("/store/searches/s1/notify", 2), ("/chat/c1", 1), ("/store/offers/never/notify", 99)]
            .into();

    produce(
        &host,
        &[
            event("geo", json!({"di": "ada's", "lt": "52.5", "lg": 13.4})),
            event("srch", json!({"action": "create", "_id": "s1", "title": "bikes"})),
            event("offr", json!({"action": "delete", "_id": "o9"})),
            event("bud", json!({"owner": "market"})),
            event("chm", json!({"churl": "c1", "snder": "ada", "msg": "Well, HELLO there"})),
            event("chm", json!({"churl": "c1", "snder": "bot", "msg": "hello"})),
            event(
                "srch",
                json!({"action": "create", "_id": "s2", "title": "#wikipedia near",
                             "lat": 52.51, "lng": 13.37, "radi": 500}),
            ),
        ],
    )
    .await;

    let moved = services.until(&host, "GET /store/geo", 1).await;
    assert_eq!(moved[0].0, "GET /store/geo?di=ada%27s&lt=52.5&lg=13.4");
    // Refused twice, and then taken.
    services.until(&host, "GET /store/searches/s1/notify", 3).await;
    services.until(&host, "GET /store/searches/s2/notify", 1).await;
    for offer in ["o1", "o2"] {
        services.until(&host, &format!("GET /store/offers/{offer}/notify"), 1).await;
    }
    let said = services.until(&host, "POST /chat/c1", 2).await;
    let said: Value = serde_json::from_str(&said[1].1).unwrap();
    assert_eq!(said["message"], "Hello! Write `help` to see what I know.");
    let asked = services.until(&host, "GET /names/", 1).await;
    assert!(asked[0].0.contains("lat=52.51&lng=13.37&radius=0.5"), "{asked:?}");
    let offered = services.until(&host, "POST /store/bulk/offers", 1).await;
    let offers = serde_json::from_str::<Value>(&offered[0].1).unwrap()["new_offers"].clone();
    assert_eq!(offers.as_array().unwrap().len(), 1, "{offers}");
    assert_eq!(offers[0]["keywords"], json!(["#wikipedia"]));
    let days = offers[0]["validuntil"].as_u64().unwrap() - offers[0]["validfrom"].as_u64().unwrap();
    assert_eq!(days, 7 * 86_400_000);

    // What is refused for good is put aside at once, what is never answered in the end, and those
    // behind it go on.
    produce(
        &host,
        &[
            event("offr", json!({"action": "create", "_id": "missing"})),
            event("offr", json!({"action": "create", "_id": "never"})),
            event("offr", json!({"action": "create", "_id": "last"})),
            event("geo", json!({"di": "ada"})),
        ],
    )
    .await;
    services.until(&host, "GET /store/offers/last/notify", 1).await;
    host.records("events.dead.notifier", 2).await;
    host.records("events.dead.geo", 1).await;
    assert!(services.calls("GET /store/offers/o9").is_empty());
    assert_eq!(services.calls("POST /chat/c1").len(), 2, "the bot has answered itself");

    // Who only counts has seen the same, and puts nothing aside.
    let counts = json!({"geo": 2, "srch": 2, "offr": 4, "bud": 1, "chm": 2});
    for name in TALLIES {
        host.until(&format!("/{name}"), |answer| answer.json() == counts).await;
    }
    let by_action = json!({"geo": 2, "srch[create]": 2, "offr[create]": 3, "offr[delete]": 1,
        "bud": 1, "chm": 2});
    let statistics = "/statistics/consumers/event_counter/data";
    host.until(statistics, |answer| super::pairs(&answer.json()["data"]) == by_action).await;
}

const PLUGIN: &str = r#"
import logging
import random

from trellis import http

log = logging.getLogger("room")


@http.handler
def answer(request: http.Request) -> http.Response:
    match request.params["who"]:
        case "wrong":
            return http.Response.text({}["nothing"])
        case "dice":
            return http.Response.json(random.random())
        case who:
            print("asked by", who)
            log.warning("greeted %s", who)
            return http.Response.text(who)
"#;

async fn build(folder: &Path, out: &Path) -> Ran {
    let folder = folder.as_os_str();
    run(trellis(["build".as_ref(), folder, "--out".as_ref(), out.as_os_str()])).await
}

#[tokio::test]
async fn what_a_python_plugin_raises_is_told_with_its_place_and_the_next_request_is_answered() {
    let host = Host::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("greeter");
    let into = ["--lang", "python", "--dir"];
    run(trellis(
        ["new", "greeter"].iter().chain(&into).map(AsRef::as_ref).chain([folder.as_os_str()]),
    ))
    .await
    .well();

    fs::write(folder.join("plugin.py"), "from trellis import http, sql\n").unwrap();
    let refused = build(&folder, dir.path()).await.refused();
    assert!(refused.err.contains("this needs `[needs.sql]`: add it to plugin.toml"), "{refused:?}");
    assert!(refused.err.contains("File \"plugin.py\", line 1"), "{refused:?}");

    fs::write(folder.join("plugin.py"), PLUGIN).unwrap();
    let built = build(&folder, dir.path()).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    host.install("greeter.wasm", fs::read(dir.path().join("greeter.wasm")).unwrap());
    host.until_plugin("greeter", |status| status["state"] == "live").await;

    assert_eq!(host.get("/greeter/ada").await.text(), "ada");
    assert_eq!(host.get("/greeter/wrong").await.status, 500);
    assert_eq!(host.get("/greeter/ada").await.text(), "ada");
    let dice = [host.get("/greeter/dice").await.text(), host.get("/greeter/dice").await.text()];
    assert_ne!(dice[0], dice[1]);
    for told in ["asked by ada", "greeted ada", "line 14, in answer", "KeyError: 'nothing'"] {
        host.eventually(async || match host.log().contains(told) {
            true => Ok(()),
            false => Err(format!("`{told}` is not in the log")),
        })
        .await;
    }
}
