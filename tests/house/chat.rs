//! The chat: replaced while people talk, and with those who mean it ill. The stock client of Phoenix
//! tries it in `readme`.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};
use trellis::manifest::section;

use crate::{
    browser::Browser,
    support::{Answer, Host, PATIENCE, component, variant},
    websocket::WebSocket,
};

const SOCKET: &str = "/socket/websocket?vsn=2.0.0";
pub const LOBBY: &str = "rooms:lobby";
const SECRET: &str = "a secret of this test and of no one else";
/// How often the chat is replaced while people talk.
const SWAPS: u64 = 20;
/// The pace of those who talk meanwhile; a connection may send ten frames a second.
const PACE: Duration = Duration::from_millis(110);

/// A host with the chat, in which nobody has to wait long before they may speak again.
async fn host() -> Host {
    Host::start_with(&["chat"], &settings("")).await
}

pub fn settings(more: &str) -> String {
    format!(
        "[grants]\ndefault = \"needs\"\n[config.values.chat]\njwt-secret = \"{SECRET}\"\n\
         burst = \"20\"\nseconds-per-message = \"0.01\"\n{more}"
    )
}

/// What proves that somebody is who they say, with this role.
pub fn token(username: &str, role: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"username": username, "role": role, "exp": now + 600});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Somebody in the lobby.
pub struct Guest {
    pub socket: WebSocket,
    name: String,
    count: u64,
    /// The messages of the room that came while something else was waited for.
    heard: Vec<Value>,
}

impl Guest {
    pub async fn join(host: &Host, name: &str) -> Self {
        Self::join_from(host, name, "203.0.113.1").await
    }

    /// Somebody with an address, as the proxy in front of the host says.
    pub async fn join_from(host: &Host, name: &str, address: &str) -> Self {
        let socket = WebSocket::knock(host, SOCKET, &[("x-forwarded-for", address)]).await;
        let mut guest =
            Self { socket: socket.unwrap(), name: name.to_owned(), count: 0, heard: Vec::new() };
        guest.ok("phx_join", json!({})).await;
        guest.ok("authorize", json!({"user": name})).await;
        guest
    }

    pub async fn push(&mut self, topic: &str, event: &str, payload: Value) -> String {
        self.count += 1;
        let reference = self.count.to_string();
        self.socket.say(json!(["1", reference, topic, event, payload]).to_string()).await;
        reference
    }

    pub async fn answer(&mut self, reference: &str) -> Value {
        loop {
            let mut frame = self.socket.json().await;
            match frame[3].as_str() {
                Some("phx_reply") if frame[1] == reference => return frame[4].take(),
                Some("new:msg") => self.heard.push(frame[4].take()),
                _ => {}
            }
        }
    }

    pub async fn ask(&mut self, topic: &str, event: &str, payload: Value) -> Value {
        let reference = self.push(topic, event, payload).await;
        self.answer(&reference).await
    }

    /// What the lobby answers, if it does what is asked for.
    pub async fn ok(&mut self, event: &str, payload: Value) -> Value {
        let mut answer = self.ask(LOBBY, event, payload).await;
        assert_eq!(answer["status"], "ok", "{event}: {answer}");
        answer["response"].take()
    }

    /// Why something is not done.
    pub async fn refusal(&mut self, topic: &str, event: &str, payload: Value) -> String {
        let answer = self.ask(topic, event, payload).await;
        assert_eq!(answer["status"], "error", "{event}: {answer}");
        answer["response"]["reason"].as_str().unwrap().to_owned()
    }

    pub async fn say(&mut self, body: &str) -> Value {
        let message = json!({"user": self.name, "body": body});
        self.ok("new:msg", message).await
    }

    /// The next event of this name.
    pub async fn event(&mut self, event: &str) -> Value {
        loop {
            let mut frame = self.socket.json().await;
            if frame[3] == event {
                return frame[4].take();
            }
        }
    }

    /// The next message of the room.
    pub async fn message(&mut self) -> Value {
        match self.heard.is_empty() {
            true => self.event("new:msg").await,
            false => self.heard.remove(0),
        }
    }
}

/// How many messages somebody has sent, and whether that is all.
#[derive(Debug, Default)]
struct Sent {
    count: AtomicU64,
    is_all: AtomicBool,
}

/// Send numbers until told to stop, and hear until everything of everybody was heard. What was
/// heard, in order: who said it, and which number.
async fn talk(
    guest: &mut Guest,
    done: &AtomicBool,
    sent: &[Sent; 2],
    me: usize,
) -> Vec<(String, u64)> {
    let mut clock = tokio::time::interval(PACE);
    let (mut heard, mut waiting) = (Vec::new(), HashMap::new());
    loop {
        let talks = !done.load(Ordering::Relaxed);
        sent[me].is_all.fetch_or(!talks, Ordering::Relaxed);
        let is_all = sent.iter().all(|sent| sent.is_all.load(Ordering::Relaxed));
        let all = sent.iter().map(|sent| sent.count.load(Ordering::Relaxed)).sum::<u64>();
        if is_all && heard.len() as u64 == all && waiting.is_empty() {
            return heard;
        }
        tokio::select! {
            _ = clock.tick() => if talks {
                let number = sent[me].count.fetch_add(1, Ordering::Relaxed);
                let message = json!({"user": guest.name, "body": number.to_string()});
                let reference = guest.push(LOBBY, "new:msg", message).await;
                waiting.insert(reference, number);
            },
            frame = guest.socket.next() => match frame[3].as_str() {
                Some("new:msg") => {
                    let (user, body) = (frame[4]["user"].as_str(), frame[4]["body"].as_str());
                    heard.push((user.unwrap().to_owned(), body.unwrap().parse().unwrap()));
                }
                Some("phx_reply") => {
                    let number = waiting.remove(frame[1].as_str().unwrap()).expect("an answer twice");
                    assert_eq!(frame[4]["status"], "ok", "{number}: {frame}");
                    assert_eq!(frame[4]["response"]["msg"], number.to_string());
                }
                _ => {}
            },
        }
    }
}

#[tokio::test]
async fn the_chat_is_replaced_many_times_and_all_is_heard_once_and_in_order() {
    let host = host().await;
    let (mut ada, mut bob) = (Guest::join(&host, "ada").await, Guest::join(&host, "bob").await);
    let (done, sent) = (AtomicBool::new(false), [Sent::default(), Sent::default()]);
    let original = fs::read(component("chat")).unwrap();
    let swaps = async {
        for number in 1..=SWAPS {
            let version = format!("0.0.{number}");
            host.install("chat.wasm", variant(&original, &version));
            let swapped =
                |status: &Value| status["state"] == "live" && status["version"] == *version;
            host.until_plugin("chat", swapped).await;
            tokio::time::sleep(PACE).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let both =
        async { tokio::join!(talk(&mut ada, &done, &sent, 0), talk(&mut bob, &done, &sent, 1)) };
    let everything = async { tokio::join!(swaps, both).1 };
    let (ada_heard, bob_heard) = timeout(PATIENCE * 2, everything)
        .await
        .unwrap_or_else(|_| panic!("of {sent:?} not all was heard\n{}", host.log()));
    assert_eq!(ada_heard, bob_heard, "a room has one order");
    for (name, sent) in ["ada", "bob"].iter().zip(sent) {
        let heard = ada_heard.iter().filter(|(user, _)| user == name).map(|(_, number)| *number);
        let sent = sent.count.into_inner();
        assert!(sent > SWAPS, "only {sent} messages beside {SWAPS} swaps");
        assert!(heard.eq(0..sent), "{ada_heard:?}");
    }
}

#[tokio::test]
async fn who_was_banned_stays_outside_after_the_host_began_anew() {
    let mut host = host().await;
    let knock = async |host: &Host, address: &str, more: &str| {
        let fields = [("x-forwarded-for", address)];
        WebSocket::knock(host, &format!("{SOCKET}{more}"), &fields).await.err()
    };
    let (eves, bobs) = ("203.0.113.66", "203.0.113.2");
    let mut eve = Guest::join_from(&host, "eve", eves).await;
    let mut boss = Guest::join(&host, "guest").await;
    let proof = token("boss", "moderator");
    boss.ok("authorize_token", json!({"user": "boss", "token": proof})).await;
    boss.ok("ban", json!({"user": "eve", "reason": "a test"})).await;
    assert_eq!(eve.event("banned").await["reason"], "a test");
    assert_eq!(eve.socket.closed().await, 1008);
    assert_eq!(knock(&host, eves, "").await, Some(403));
    assert_eq!(host.stop().await, Some(0));
    assert_eq!(boss.socket.closed().await, 1001);
    host.run().await;

    assert_eq!(knock(&host, eves, "").await, Some(403));
    assert_eq!(knock(&host, bobs, "").await, None);
    let poll = http::Request::get(host.url("/socket/longpoll?vsn=2.0.0"));
    let poll = poll.header("x-forwarded-for", eves).body(Default::default()).unwrap();
    let answer = host.request(poll).await.json();
    assert_eq!((&answer["status"], &answer["why"]), (&json!(403), &json!("a test")));
    // Who keeps the order comes in from anywhere, and lifts it.
    assert_eq!(knock(&host, eves, &format!("&token={proof}")).await, None);
    let mut boss = Guest::join(&host, "guest").await;
    boss.ok("authorize_token", json!({"user": "boss", "token": proof})).await;
    boss.ok("unban", json!({"user": "eve"})).await;
    assert_eq!(knock(&host, eves, "").await, None);
}

/// In place of Discord.
#[derive(Clone, Default)]
struct Catcher {
    posts: Arc<Mutex<Vec<Value>>>,
    /// It takes what comes, and says nothing any more.
    silent: Arc<AtomicBool>,
}

impl Catcher {
    fn serve(&self, listener: TcpListener) {
        let take = |State(own): State<Self>, Json(post): Json<Value>| async move {
            if own.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            own.posts.lock().unwrap().push(post);
            StatusCode::NO_CONTENT
        };
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
    }

    async fn until(&self, host: &Host, wanted: &[&str]) -> Vec<Value> {
        host.eventually(async || {
            let posts = self.posts.lock().unwrap().clone();
            let contents = posts.iter().map(|post| post["content"].as_str().unwrap());
            match contents.eq(wanted.iter().copied()) {
                true => Ok(posts),
                false => Err(format!("{wanted:?} is to come, {posts:?} is there")),
            }
        })
        .await
    }
}

/// The manifest of the chat, with this in place of Discord.
fn bridged_to(host: &str) -> String {
    let bytes = fs::read(component("chat")).unwrap();
    let mut manifest: toml::Table = section::find(&bytes).unwrap().parse().unwrap();
    let http = format!("hosts = [\"{host}\"]\nprivate = true");
    manifest["needs"]["http"] = toml::Value::Table(http.parse().unwrap());
    manifest.to_string()
}

#[tokio::test]
async fn discord_gets_what_is_said_and_the_chat_does_not_wait_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody is there yet.
    drop(listener);
    let hook = format!("discord-webhook = \"http://{address}/hook\"\n");
    let host = Host::start_with(&[], &settings(&hook)).await;
    host.install("chat.toml", bridged_to(&address.to_string()));
    host.install("chat.wasm", fs::read(component("chat")).unwrap());
    host.until_plugin("chat", |status| status["state"] == "live").await;

    let mut ada = Guest::join(&host, "ada").await;
    let mut bob = Guest::join(&host, "bob").await;
    for body in ["one", "two @everyone"] {
        ada.say(body).await;
        assert_eq!(bob.message().await["body"], body);
    }
    let catcher = Catcher::default();
    catcher.serve(TcpListener::bind(address).await.unwrap());
    let posts = catcher.until(&host, &["one", "two @everyone"]).await;
    assert_eq!(
        posts[1],
        json!({
            "username": "ada", "content": "two @everyone", "allowed_mentions": {"parse": []}
        })
    );

    catcher.silent.store(true, Ordering::Relaxed);
    for number in 0..10 {
        let body = number.to_string();
        let said = timeout(Duration::from_secs(5), ada.say(&body));
        said.await.expect("the chat waits for Discord");
        assert_eq!(bob.message().await["body"], body);
    }
    catcher.silent.store(false, Ordering::Relaxed);
    let mut wanted = vec!["one", "two @everyone"];
    wanted.extend(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    catcher.until(&host, &wanted).await;
}

#[tokio::test]
async fn whatever_a_client_sends_is_answered_and_nothing_falls() {
    let host = host().await;
    let mut witness = Guest::join(&host, "witness").await;
    let mut eve = Guest::join(&host, "eve").await;

    for no_frame in [
        "".to_owned(),
        "\0\u{feff}{".to_owned(),
        "[".repeat(10_000),
        json!([null, "7", LOBBY, "new:msg"]).to_string(),
        json!([null, "7", "x".repeat(1000), "new:msg", {}]).to_string(),
        json!([[], {}, 1, 2, 3]).to_string(),
        format!(r#"["1","7","{LOBBY}","new:msg",{}1{}]"#, "[".repeat(500), "]".repeat(500)),
    ] {
        eve.socket.say(no_frame).await;
        assert_eq!(eve.event("phx_error").await["reason"], "no_frame");
    }
    eve.socket.say_bytes(&[0, 1, 2, 255]).await;
    assert_eq!(eve.event("phx_error").await["reason"], "no_frame");

    let body = |body: Value| json!({"user": "eve", "body": body});
    for (topic, event, payload, reason) in [
        (LOBBY, "authorize", json!({"user": "x".repeat(10_000)}), "bad_name"),
        (LOBBY, "authorize", json!({"user": "a\u{202e}b"}), "bad_name"),
        (LOBBY, "authorize", json!({"user": ["eve"]}), "bad_name"),
        (LOBBY, "authorize", json!(7), "bad_name"),
        (LOBBY, "authorize_token", json!({"user": "eve", "token": "a.b.c"}), "bad_token"),
        (LOBBY, "new:msg", body(json!("x".repeat(10_000))), "message_too_long"),
        (LOBBY, "new:msg", body(json!(null)), "empty_message"),
        (LOBBY, "new:msg", json!({"user": "witness", "body": "me"}), "name_mismatch"),
        (LOBBY, "ban", json!({"user": "witness"}), "forbidden"),
        (LOBBY, "track_playback", json!({"track_id": "../x"}), "bad_track"),
        (LOBBY, "drop tables", json!({}), "unknown_event"),
        ("rooms:secret", "phx_join", json!({}), "unauthorized"),
        ("rooms:*", "phx_join", json!({}), "unauthorized"),
        ("connections", "phx_join", json!({}), "unmatched topic"),
        ("nowhere", "new:msg", body(json!("hi")), "unmatched topic"),
    ] {
        // There is a limit to frames, too.
        tokio::time::sleep(PACE).await;
        assert_eq!(eve.refusal(topic, event, payload).await, reason, "{topic} {event}");
    }
    // What is too fast is said to be, and ends.
    let burst = async |eve: &mut Guest| {
        for _ in 0..100 {
            eve.push(LOBBY, "unknown", json!({})).await;
        }
        eve.refusal(LOBBY, "unknown", json!({})).await
    };
    assert_eq!(burst(&mut eve).await, "rate_limited");

    // One that is larger than any ends its connection.
    eve.socket.say("x".repeat(20_000)).await;
    assert_eq!(eve.socket.closed().await, 1009);
    assert_eq!(witness.event("user:left").await["user"], "eve");
    for (path, status) in [("/socket/websocket", 400), ("/socket/websocket?vsn=1.0.0", 400)] {
        assert_eq!(WebSocket::knock(&host, path, &[]).await.err(), Some(status), "{path}");
    }
    assert_eq!(host.get(SOCKET).await.status, 426);
    assert_eq!(host.post("/socket/longpoll?vsn=2.0.0&token=1.x", "[").await.json()["status"], 410);

    witness.say("all is well").await;
    assert_eq!(witness.message().await["body"], "all is well");
    let status = host.admin("/api/plugins/chat").await.json();
    assert_eq!(status["state"], "live", "{status}");
}

/// Somebody who cannot have a websocket.
struct Poller<'a> {
    host: &'a Host,
    path: String,
}

impl<'a> Poller<'a> {
    async fn begin(host: &'a Host) -> Self {
        let begun = host.get("/socket/longpoll?vsn=2.0.0").await.json();
        let path = format!("/socket/longpoll?vsn=2.0.0&token={}", begun["token"].as_str().unwrap());
        Self { host, path }
    }

    async fn push(&self, frame: &Value) -> Answer {
        self.host.post(&self.path, frame.to_string()).await
    }

    /// The answer to a frame, which stands in one of the next messages.
    async fn answer(&self, reference: &str) -> Value {
        let found = self.host.eventually(async || {
            let polled = self.host.get(&self.path).await.json();
            let texts = polled["messages"].as_array().into_iter().flatten();
            let mut frames = texts
                .map(|text| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap())
                .filter(|frame| frame[3] == "phx_reply" && frame[1] == reference);
            frames.next().ok_or_else(|| format!("no answer to {reference}: {polled}"))
        });
        found.await[4].take()
    }
}

#[tokio::test]
async fn a_name_of_a_megabyte_is_refused_over_both_transports_and_the_room_goes_on() {
    let host = host().await;
    let mut ada = Guest::join(&host, "ada").await;
    let mut bob = Guest::join(&host, "bob").await;
    let long = "x".repeat(1 << 20);

    let mut eve = Guest::join(&host, "eve").await;
    eve.push(LOBBY, "authorize", json!({"user": long})).await;
    assert_eq!(eve.socket.closed().await, 1009);
    assert_eq!(ada.event("user:left").await["user"], "eve");
    // Whoever comes again is let in.
    Guest::join(&host, "eve").await.say("here I am").await;

    let poller = Poller::begin(&host).await;
    let frame = |reference: &str, event: &str, payload: Value| {
        json!(["1", reference, LOBBY, event, payload])
    };
    assert_eq!(poller.push(&frame("1", "phx_join", json!({}))).await.json()["status"], 200);
    assert_eq!(poller.answer("1").await["status"], "ok");
    let refused = poller.push(&frame("2", "authorize", json!({"user": long}))).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    // One that a request may be as long as.
    let name = &long[..200_000];
    assert_eq!(poller.push(&frame("3", "authorize", json!({"user": name}))).await.status, 200);
    let answer = poller.answer("3").await;
    assert_eq!(
        (&answer["status"], &answer["response"]["reason"]),
        (&json!("error"), &json!("bad_name"))
    );
    assert_eq!(poller.push(&frame("4", "authorize", json!({"user": "carl"}))).await.status, 200);
    assert_eq!(poller.answer("4").await["status"], "ok");

    ada.say("all is well").await;
    loop {
        let message = bob.message().await;
        if message["user"] == "ada" {
            assert_eq!(message["body"], "all is well");
            break;
        }
    }
    let status = host.admin("/api/plugins/chat").await.json();
    assert_eq!(status["state"], "live", "{status}");
    let log = host.log();
    assert!(!log.contains("instance failed"), "{log}");
}

#[tokio::test]
async fn the_page_shows_what_is_said_and_says_what_is_written() {
    let host = host().await;
    let mut ada = Guest::join(&host, "ada").await;
    ada.say("before").await;
    let mut browser = Browser::open(&host.url("/chat")).await;
    let text = "document.body.innerText";
    browser.until(&format!("{text}.includes('before')"), text).await;
    ada.say("<b>from elsewhere</b>").await;
    browser.until(&format!("{text}.includes('<b>from elsewhere</b>')"), text).await;
    let fill = |form: &str, field: &str, value: &str| {
        format!(
            "document.getElementById('{field}').value = '{value}', \
             document.getElementById('{form}').requestSubmit()"
        )
    };
    browser.value(&fill("enter", "name", "grace")).await;
    browser.until("!document.getElementById('write').hidden", text).await;
    browser.value(&fill("write", "body", "from the page")).await;
    loop {
        let message = ada.message().await;
        if message["user"] == "grace" {
            assert_eq!(message["body"], "from the page");
            break;
        }
    }
    browser.until(&format!("{text}.includes('from the page')"), text).await;
}
