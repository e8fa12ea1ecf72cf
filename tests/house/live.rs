//! The live view: events on their way from a request to a socket, and the page that shows them.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    browser::Browser,
    support::{Answer, Host, PATIENCE, component, variant},
    websocket::WebSocket,
};

/// All that an event passes until it is seen.
pub const PLUGINS: &[&str] = &["tracker", "enricher", "live"];
const SOCKET: &str = "/kafidx/socket";
/// How often the view is replaced while events flow.
const SWAPS: u64 = 20;
/// So many are sent before each.
const EVENTS_A_SWAP: u64 = 10;

/// Send an event with a number.
async fn send(host: &Host, kind: &str, number: u64) {
    let answer = host.get(&format!("/t/{kind}?n={number}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The type and the number of an event.
fn event(frame: &Value) -> (String, u64) {
    let number = frame["n"].as_str().unwrap_or_else(|| panic!("no event: {frame}"));
    (frame["type"].as_str().unwrap().to_owned(), number.parse().unwrap())
}

/// What names an event once and for all.
fn place(frame: &Value) -> (String, u64, u64) {
    let number = |name: &str| frame[name].as_u64().unwrap_or_else(|| panic!("no event: {frame}"));
    (frame["topic"].as_str().unwrap().to_owned(), number("_partition_"), number("_offset_"))
}

/// An answer that goes on, line by line.
struct Lines {
    body: Incoming,
    text: String,
}

impl Lines {
    async fn open(host: &Host, path: &str, fields: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(host.address("http")).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::get(path).header("host", "h");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { body: answer.into_body(), text: String::new() }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let line = line.to_owned();
                self.text = rest.to_owned();
                return line;
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("nothing came");
            let bytes = frame.expect("it ended").unwrap().into_data().unwrap();
            self.text.push_str(str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next line that is an event, with whatever stands before it.
    async fn event(&mut self, before: &str) -> Value {
        loop {
            let line = self.line().await;
            if let Some(json) = line.strip_prefix(before).filter(|json| json.starts_with('{')) {
                return serde_json::from_str(json).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn events_reach_a_socket_an_event_stream_and_lines_by_their_types() {
    let host = Host::start(PLUGINS).await;
    let mut all = WebSocket::open(&host, SOCKET).await;
    let mut some = WebSocket::open(&host, &format!("{SOCKET}?filter=purchase,search")).await;
    let path = "/kafidx/events?filter=purchase";
    let mut stream = Lines::open(&host, path, &[("accept", "text/event-stream")]).await;
    let mut lines = Lines::open(&host, path, &[]).await;
    let events = [("purchase", 0), ("visit", 1), ("search", 2), ("purchase", 3)];
    for (kind, number) in events {
        send(&host, kind, number).await;
        // Each waits for the one before, so that partitions do not mix them.
        let frame = all.json().await;
        assert_eq!(event(&frame), (kind.to_owned(), number));
        assert_eq!(
            (&frame["path"], &frame["topic"]),
            (&json!(format!("/t/{kind}")), &json!("events"))
        );
        if kind != "visit" {
            assert_eq!(event(&some.json().await), (kind.to_owned(), number));
        }
    }
    for number in [0, 3] {
        assert_eq!(event(&stream.event("data: ").await), ("purchase".to_owned(), number));
        assert_eq!(event(&lines.event("").await), ("purchase".to_owned(), number));
    }
    // Who comes later asks for what was.
    let mut late = WebSocket::open(&host, &format!("{SOCKET}?from=beginning")).await;
    let mut last = WebSocket::open(&host, &format!("{SOCKET}?filter=purchase&from=1")).await;
    for (kind, number) in events {
        assert_eq!(event(&late.json().await), (kind.to_owned(), number));
    }
    assert_eq!(event(&last.json().await), ("purchase".to_owned(), 3));
    assert_eq!(host.get(&format!("{SOCKET}?from=yesterday")).await.status, 400);
    // Another filter from here on.
    some.say(r#"{"filter":["visit"]}"#).await;
    assert_eq!(some.json().await, json!({"filter": ["visit"], "paused": false}));
    send(&host, "search", 4).await;
    send(&host, "visit", 5).await;
    assert_eq!(event(&some.json().await), ("visit".to_owned(), 5));
    some.say("[").await;
    assert!(some.json().await["error"].as_str().unwrap().starts_with("not understood"));
}

#[tokio::test]
async fn a_pause_loses_nothing_and_repeats_nothing_that_its_place_does_not_tell() {
    let host = Host::start(PLUGINS).await;
    let mut viewer = WebSocket::open(&host, SOCKET).await;
    let (mut seen, mut heard) = (HashSet::new(), Vec::new());
    let mut hear = |frame: Value| {
        if frame.get("_offset_").is_some() && seen.insert(place(&frame)) {
            heard.push(event(&frame).1);
        }
        (frame, heard.len())
    };
    for number in 0..5 {
        send(&host, "w", number).await;
    }
    while hear(viewer.json().await).1 < 5 {}
    viewer.say(r#"{"pause":true}"#).await;
    while hear(viewer.json().await).0.get("paused") != Some(&json!(true)) {}
    let mut witness = WebSocket::open(&host, SOCKET).await;
    for number in 5..10 {
        send(&host, "w", number).await;
    }
    for _ in 5..10 {
        witness.json().await;
    }
    viewer.say("{}").await;
    let answer = viewer.json().await;
    assert_eq!(answer["paused"], true, "something came in a pause: {answer}");
    viewer.say(r#"{"pause":false}"#).await;
    for number in 10..15 {
        send(&host, "w", number).await;
    }
    while hear(viewer.json().await).1 < 15 {}
    heard.sort_unstable();
    assert!(heard.iter().copied().eq(0..15), "{heard:?}");
}

/// Log in, as a browser sends the form of the page.
async fn log_in(host: &Host, address: &str, name: &str, password: &str) -> Answer {
    let form = format!("name={name}&password={password}");
    let request = http::Request::post(host.url("/kafidx/login"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", host.url(""))
        .header("x-forwarded-for", address);
    host.request(request.body(Full::new(form.into())).unwrap()).await
}

#[tokio::test]
async fn only_who_logged_in_sees_the_events_and_guesses_are_few() {
    let settings = "[grants]\ndefault = \"needs\"\n[config.values.live]\n\
                    live-users = \"ada:one two\\nbob:other\"\n";
    let host = Host::start_with(PLUGINS, settings).await;
    let knock = async |cookie: &str| {
        WebSocket::knock(&host, SOCKET, &[("cookie", cookie)]).await.map(|_| 101)
    };
    assert_eq!(knock("").await, Err(401));
    assert_eq!(knock("kafidx=1.ada.9999999999.AAAA").await, Err(401));
    assert_eq!(host.get("/kafidx/events").await.status, 401);
    assert_eq!(host.get("/kafidx/session").await.status, 401);
    let page = host.get("/kafidx").await.text();
    assert!(page.contains("type=\"password\"") && !page.contains("id=\"rows\""), "{page}");

    let answer = log_in(&host, "203.0.113.1", "ada", "one+two").await;
    assert_eq!((answer.status, &answer.headers["location"]), (303, &"/kafidx".parse().unwrap()));
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(knock(cookie).await, Ok(101));
    let request = http::Request::get(host.url("/kafidx")).header("cookie", cookie);
    let page = host.request(request.body(Default::default()).unwrap()).await.text();
    assert!(page.contains("id=\"rows\"") && page.contains("ada"), "{page}");
    let fields = [("cookie", cookie), ("origin", "https://elsewhere.example")];
    assert_eq!(WebSocket::knock(&host, SOCKET, &fields).await.err(), Some(403));

    for _ in 0..5 {
        assert_eq!(log_in(&host, "203.0.113.2", "ada", "guess").await.status, 401);
    }
    let answer = log_in(&host, "203.0.113.2", "ada", "guess").await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"60".parse().unwrap()));
    assert_eq!(log_in(&host, "203.0.113.2", "ada", "one+two").await.status, 429);
    // Somebody else is not kept out by that, and no cookie ends.
    assert_eq!(log_in(&host, "203.0.113.3", "bob", "other").await.status, 303);
    assert_eq!(knock(cookie).await, Ok(101));
    assert!(!host.log().contains("one two"), "a password is in the log");
}

#[tokio::test]
async fn the_view_is_replaced_many_times_under_load_and_every_event_is_seen_once() {
    let host = Host::start(PLUGINS).await;
    let original = fs::read(component("live")).unwrap();
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    // Set once all is sent.
    let is_all = AtomicBool::new(false);
    let clients = async {
        let client = async |kind| {
            while !done.load(Ordering::Relaxed) {
                send(&host, kind, sent.fetch_add(1, Ordering::Relaxed)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::join!(client("w"), client("v"));
        is_all.store(true, Ordering::Relaxed);
    };
    let swaps = async {
        for number in 1..=SWAPS {
            // Between two versions there is load, however slow the disk is.
            let before = sent.load(Ordering::Relaxed);
            while sent.load(Ordering::Relaxed) < before + EVENTS_A_SWAP {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let version = format!("0.0.{number}");
            host.install("live.wasm", variant(&original, &version));
            let swapped =
                |status: &Value| status["state"] == "live" && status["version"] == *version;
            host.until_plugin("live", swapped).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let seen = Mutex::new(HashSet::new());
    // Until everything came that was sent; a socket that ends is a panic.
    let view = async || {
        let mut viewer = WebSocket::open(&host, &format!("{SOCKET}?from=beginning")).await;
        let (mut places, mut numbers) = (HashSet::new(), HashSet::new());
        loop {
            let all = sent.load(Ordering::Relaxed);
            if is_all.load(Ordering::Relaxed) && numbers.len() as u64 >= all {
                return;
            }
            let next = timeout(Duration::from_millis(500), viewer.next()).await;
            let Ok(frame) = next else { continue };
            assert!(places.insert(place(&frame)), "twice: {frame}");
            assert!(numbers.insert(event(&frame).1), "in two places: {frame}");
            seen.lock().unwrap().insert(place(&frame));
        }
    };
    let everything = async { tokio::join!(clients, swaps, view(), view()) };
    timeout(PATIENCE * 2, everything).await.unwrap_or_else(|_| {
        let seen = seen.lock().unwrap().len();
        panic!("of {sent:?} sent {seen} were seen\n{}", host.log())
    });
    assert!(!host.admin("/api/topics").await.text().contains("events.dead.live"));
}

#[tokio::test]
async fn the_page_shows_an_event_that_was_sent() {
    let host = Host::start(PLUGINS).await;
    let mut browser = Browser::open(&host.url("/kafidx")).await;
    let state = "document.getElementById('state').innerText";
    browser.until(&format!("{state} === 'live'"), state).await;
    let empty = browser.value("document.getElementById('empty').innerText").await;
    assert!(empty.as_str().unwrap().contains("/t/hello?from=me"), "{empty}");
    send(&host, "purchase", 4711).await;
    let rows = "document.getElementById('rows').innerText";
    browser.until(&format!("{rows}.includes('4711')"), rows).await;
    assert!(browser.value(rows).await.as_str().unwrap().contains("purchase"));
    // Other types are left out where the page is told so, and the record is a click away.
    let chip = "document.querySelectorAll('#chips button')[1]";
    browser.until(&format!("{chip}?.innerText.includes('purchase')"), "''").await;
    browser.value(&format!("{chip}.click()")).await;
    send(&host, "visit", 4712).await;
    send(&host, "purchase", 4713).await;
    browser.until(&format!("{rows}.includes('4713')"), rows).await;
    assert!(!browser.value(rows).await.as_str().unwrap().contains("4712"));
    browser.value("document.querySelector('#rows button').click()").await;
    let detail = "document.getElementById('detail').innerText";
    browser.until(&format!("{detail}.includes('\"path\": \"/t/purchase\"')"), detail).await;
}
