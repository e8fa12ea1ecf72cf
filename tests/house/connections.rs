//! Connections: websockets, event streams, answers that go on and mailboxes, with a client that
//! others wrote.

use std::{fs, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    support::{Host, PATIENCE, component, variant},
    websocket::WebSocket,
};

async fn host() -> Host {
    Host::start(&["rooms"]).await
}

#[tokio::test]
async fn what_one_says_all_in_the_room_hear_once_and_in_order() {
    const SAID: usize = 200;
    let host = host().await;
    let mut clients = Vec::new();
    for name in ["ada", "bob", "eve"] {
        clients.push(WebSocket::open(&host, &format!("/rooms/lobby?name={name}")).await);
    }
    let mut elsewhere = WebSocket::open(&host, "/rooms/other?name=zoe").await;
    for number in 0..SAID {
        for client in &mut clients {
            client.say(format!("say {number}")).await;
        }
    }
    let mut orders = Vec::new();
    for client in &mut clients {
        let mut heard = Vec::new();
        for _ in 0..SAID * 3 {
            heard.push(client.text().await);
        }
        for name in ["ada", "bob", "eve"] {
            let of = heard.iter().filter_map(|text| text.strip_prefix(&format!("{name}: ")));
            assert!(of.map(|text| text.parse::<usize>().unwrap()).eq(0..SAID), "{name}");
        }
        orders.push(heard);
    }
    assert!(orders.windows(2).all(|two| two[0] == two[1]), "the room has one order for all");
    elsewhere.say("me here").await;
    assert_eq!(elsewhere.text().await, "zoe: here");
}

#[tokio::test]
async fn connections_and_messages_outlive_the_versions_of_their_plugin() {
    let host = host().await;
    let client = WebSocket::open(&host, "/rooms/lobby?name=ada").await;
    let (mut saying, mut hearing) = client.0.split();
    let (told, mut heard) = tokio::sync::watch::channel(0);
    let listening = tokio::spawn(async move {
        for number in 0.. {
            let Some(Ok(message)) = hearing.next().await else { break };
            match message {
                Message::Text(text) if text == "ada: end" => break,
                message => assert_eq!(message, Message::text(format!("ada: {number}"))),
            }
            told.send_replace(number + 1);
        }
        *told.borrow()
    });
    let bytes = fs::read(component("rooms")).unwrap();
    let mut said = 0;
    for version in 0..20 {
        let version = version.to_string();
        host.install("rooms.wasm", variant(&bytes, &version));
        loop {
            for _ in 0..20 {
                saying.send(Message::text(format!("say {said}"))).await.unwrap();
                said += 1;
            }
            // No more on their way than the room keeps: a client that does not read is let go.
            let behind = said - 200;
            timeout(PATIENCE, heard.wait_for(|heard| *heard >= behind)).await.unwrap().unwrap();
            let status = host.admin("/api/plugins/rooms").await.json();
            if status["state"] == "live" && status["version"] == version {
                break;
            }
        }
    }
    saying.send(Message::text("say end")).await.unwrap();
    assert_eq!(timeout(PATIENCE, listening).await.unwrap().unwrap(), said);
}

#[tokio::test]
async fn a_trap_ends_the_one_connection_and_nothing_of_what_it_asked_for_happens() {
    let host = host().await;
    let mut witness = WebSocket::open(&host, "/rooms/lobby?name=ada").await;
    let mut culprit = WebSocket::open(&host, "/rooms/lobby?name=eve").await;
    culprit.say("say first").await;
    assert_eq!(witness.text().await, "eve: first");
    culprit.say("trap").await;
    assert_eq!(culprit.closed().await, 1011);
    assert_eq!(witness.text().await, "eve left: 1011");
    witness.say("say still here").await;
    assert_eq!(witness.text().await, "ada: still here");
}

#[tokio::test]
async fn the_plugin_decides_who_comes_in_and_how() {
    let host = host().await;
    let refused = async |path: &str| match WebSocket::ask(&host, path, &[]).await {
        Err(Error::Http(answer)) => answer,
        other => panic!("{:?}", other.map(|_| "it was let in")),
    };
    let answer = refused("/rooms/lobby?refuse=403").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-why"]),
        (403, &"asked".parse().unwrap())
    );
    assert_eq!(refused("/rooms/lobby?trap=1").await.status(), 500);
    assert_eq!(refused("/who/lobby").await.status(), 404);

    let fields = [("sec-websocket-protocol", "one, two")];
    let (mut client, answer) =
        WebSocket::ask(&host, "/rooms/lobby?hello=1&name=ada", &fields).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "two");
    assert_eq!(answer.headers()["x-transport"], "websocket");
    assert!(client.text().await.starts_with("hello ada at "));
    client.say("name grace").await;
    client.say("me hi").await;
    assert_eq!(client.text().await, "grace: hi");
    client.0.send(Message::binary(vec![0, 255, 7])).await.unwrap();
    assert_eq!(client.message().await, Message::binary(vec![0, 255, 7]));
    client.say("join lossy").await;
    client.say("me joined").await;
    assert_eq!(client.text().await, "grace: joined");
    host.post("/post/lossy", "elsewhere").await;
    assert_eq!(client.text().await, "elsewhere");
    client.say("bye 4001").await;
    assert_eq!(client.closed().await, 4001);
}

#[tokio::test]
async fn what_is_no_websocket_handshake_is_told_why() {
    let host = host().await;
    let ask = |fields: &'static str| {
        let address = host.address("http");
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!(
                "GET /rooms/lobby HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\n{fields}connection: upgrade, close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
            answer
        }
    };
    let answer = ask("sec-websocket-version: 8\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 426 ") && answer.contains("sec-websocket-version: 13"),
        "{answer}"
    );
    let answer = ask("sec-websocket-version: 13\r\nsec-websocket-key: short\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("sec-websocket-key"),
        "{answer}"
    );
    let answer = host.post("/rooms/lobby", "").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_connection_and_no_other() {
    let host = host().await;
    let mut other = WebSocket::open(&host, "/rooms/lobby?name=ada").await;
    let mut client = WebSocket::open(&host, "/rooms/lobby?name=eve").await;
    client.say(format!("me {}", "x".repeat(60_000))).await;
    assert_eq!(client.text().await.len(), 60_005);
    client.say("x".repeat(70_000)).await;
    assert_eq!(client.closed().await, 1009);
    assert_eq!(other.text().await, "eve left: 1009");
}

/// A masked frame of a client, with the key 0, which changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    [&frame[..], &[0; 4], payload].concat()
}

/// Open a websocket by hand, send bytes, and read the code that the host closes with.
async fn closed_with(host: &Host, extensions: &str, sent: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(host.address("http")).await.unwrap();
    let head = format!(
        "GET /rooms/lobby HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{extensions}\r\n"
    );
    // The frames come with the request, before its answer: they are not lost.
    stream.write_all(&[head.as_bytes(), sent].concat()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it goes on");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    let close = answer[end..].iter().position(|byte| *byte == 0x88).expect("no close frame");
    let payload = &answer[end + close + 2..];
    u16::from_be_bytes([payload[0], payload[1]])
}

#[tokio::test]
async fn frames_against_the_protocol_end_their_connection_with_the_code_for_it() {
    let host = host().await;
    let mut witness = WebSocket::open(&host, "/rooms/elsewhere?name=ada").await;
    let deflate = "sec-websocket-extensions: permessage-deflate\r\n";
    // Zeros that inflate to more than a message may have.
    let bomb = {
        let mut made = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut made, &vec![0; 8 << 20]).unwrap();
        made.finish().unwrap()
    };
    for (extensions, sent, code) in [
        ("", b"\x81\x02hi".to_vec(), 1002),
        ("", frame(0xc1, b"hi"), 1002),
        ("", frame(0x83, b"hi"), 1002),
        ("", frame(0x80, b"hi"), 1002),
        ("", frame(0x09, b"hi"), 1002),
        ("", [frame(0x01, b"hi"), frame(0x81, b"hi")].concat(), 1002),
        ("", frame(0x88, b"x"), 1002),
        ("", frame(0x88, &1005_u16.to_be_bytes()), 1002),
        ("", frame(0x81, b"\xff"), 1007),
        ("", [frame(0x01, b"\xe2\x82"), frame(0x80, b"\x28")].concat(), 1007),
        ("", vec![0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1009),
        (deflate, frame(0xc2, &bomb), 1009),
        (deflate, frame(0xc2, b"no deflate at all"), 1007),
        ("", frame(0x88, &4000_u16.to_be_bytes()), 4000),
    ] {
        let closed = closed_with(&host, extensions, &sent).await;
        assert_eq!(closed, code, "{}", sent[..sent.len().min(20)].escape_ascii());
    }
    witness.say("me fine").await;
    assert_eq!(witness.text().await, "ada: fine");
}

/// The lines of an answer that goes on, until there are so many.
async fn lines(host: &Host, path: &str, fields: &[(&str, &str)], count: usize) -> Vec<String> {
    let stream = TcpStream::connect(host.address("http")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::get(path).header("host", "h");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let mut text = String::new();
    while text.lines().count() < count {
        let frame = timeout(PATIENCE, body.frame()).await.expect("nothing came").unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_event_stream_goes_on_where_its_client_was() {
    let host = host().await;
    host.post("/post/news", "one\ntwo\nthree").await;
    let events = [("accept", "text/event-stream")];
    let all = lines(&host, "/rooms/news?from=all", &events, 9).await;
    let data = |lines: &[String]| {
        let data = lines.iter().filter_map(|line| line.strip_prefix("data: "));
        // Those who looked before have left.
        data.filter(|text| !text.contains("left")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(data(&all), ["one", "two", "three"]);
    let first = all[0].strip_prefix("id: ").unwrap().to_owned();
    let again = [("accept", "text/event-stream"), ("last-event-id", first.as_str())];
    assert_eq!(data(&lines(&host, "/rooms/news", &again, 6).await), ["two", "three"]);
    // A place from before anything that is kept: all of it.
    let ancient = [("accept", "text/event-stream"), ("last-event-id", "7")];
    assert_eq!(data(&lines(&host, "/rooms/news", &ancient, 9).await), ["one", "two", "three"]);
    host.until("/stats/news", |answer| answer.text() == "0").await;
}

#[tokio::test]
async fn event_streams_share_a_socket_of_http_2_and_leave_nothing_behind() {
    let host = host().await;
    let stream = TcpStream::connect(host.address("http")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut bodies = Vec::new();
    for room in ["a", "b"] {
        let uri = host.url(&format!("/rooms/{room}"));
        let request = http::Request::get(uri).header("accept", "text/event-stream");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        bodies.push(answer.into_body());
    }
    for (room, body) in ["a", "b"].into_iter().zip(&mut bodies) {
        host.until(&format!("/stats/{room}"), |answer| answer.text() == "1").await;
        host.post(&format!("/post/{room}"), format!("to {room}")).await;
        let frame = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        let text = String::from_utf8_lossy(frame.data_ref().unwrap()).into_owned();
        assert!(text.ends_with(&format!("data: to {room}\n\n")), "{text}");
    }
    drop(bodies);
    for room in ["a", "b"] {
        host.until(&format!("/stats/{room}"), |answer| answer.text() == "0").await;
        let left = |answer: &crate::support::Answer| answer.text().contains("nobody left: 1006");
        host.until(&format!("/recent/{room}"), left).await;
    }
}

#[tokio::test]
async fn a_player_that_asks_for_titles_gets_them_and_another_one_does_not() {
    let host = host().await;
    host.post("/title/radio", "first song").await;
    let head = http::Request::head(host.url("/rooms/radio")).body(Full::default()).unwrap();
    let head = host.request(head).await;
    assert_eq!((head.status, &head.headers["x-transport"]), (200, &"stream".parse().unwrap()));
    let mut streams = Vec::new();
    for fields in ["icy-metadata: 1\r\n", ""] {
        let mut stream = TcpStream::connect(host.address("http")).await.unwrap();
        let head = format!("GET /rooms/radio?icy=256 HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.contains("icy-metaint: 256\r\n"), !fields.is_empty(), "{answer}");
        streams.push(stream);
    }
    host.until("/stats/radio", |answer| answer.text() == "2").await;
    for letter in ["a", "b", "c"] {
        host.post("/post/radio", letter.repeat(200)).await;
    }
    let expected = [&b"a".repeat(200)[..], &b"b".repeat(56), b"\x02StreamTitle='first song';"];
    for (mut stream, expected) in streams.into_iter().zip([expected.concat(), b"a".repeat(200)]) {
        let mut bytes = vec![0; expected.len()];
        timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(bytes, expected);
    }
    let refused = host.get("/rooms/radio?icy=9").await;
    assert_eq!(refused.status, 500);
}

#[tokio::test]
async fn a_plain_answer_goes_on_with_the_channel_that_it_names() {
    let host = host().await;
    host.post("/post/news", "one\ntwo\nthree").await;
    let events = lines(&host, "/tune/news?type=text/event-stream", &[], 6).await;
    let data = events.iter().filter_map(|line| line.strip_prefix("data: "));
    assert!(data.eq(["two", "three"]), "{events:?}");
    let last = ("last-event-id", &*events[0].strip_prefix("id: ").unwrap().to_owned());
    let again = lines(&host, "/tune/news?type=text/event-stream", &[last], 3).await;
    assert_eq!(again[1], "data: three");
    let mut stream = TcpStream::connect(host.address("http")).await.unwrap();
    stream.write_all(b"GET /tune/news HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\ntwothree") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap();
        answer.push(char::from(byte));
    }
    assert!(answer.contains("content-type: audio/mpeg"), "{answer}");
    assert!(!answer.contains("x-trellis") && !answer.contains("icy-"), "{answer}");
    // It stays while the plugin is replaced, and its handler is told nothing of its end.
    host.until("/stats/news", |answer| answer.text() == "1").await;
    let bytes = fs::read(component("rooms")).unwrap();
    host.install("rooms.wasm", variant(&bytes, "2"));
    host.until_plugin("rooms", |status| status["version"] == "2").await;
    host.post("/post/news", "four").await;
    let mut four = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut four)).await.unwrap().unwrap();
    assert_eq!(&four, b"four");
    drop(stream);
    host.until("/stats/news", |answer| answer.text() == "0").await;
    assert_eq!(host.get("/recent/news").await.text(), "one\ntwo\nthree\nfour");
}

#[tokio::test]
async fn a_stream_is_the_frames_themselves() {
    let host = host().await;
    host.post("/post/audio", "abc\ndef").await;
    let reading = lines(&host, "/rooms/audio?from=all", &[], 1);
    assert_eq!(reading.await, ["abcdef"]);
}

#[tokio::test]
async fn a_mailbox_is_a_connection_that_requests_read() {
    let host = host().await;
    let number = host.post("/mail?room=lobby", "").await.text();
    let path = format!("/mail/{number}?wait=20000");
    let (answer, ()) = tokio::join!(host.get(&path), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        host.post("/post/lobby", "first\nsecond").await;
    });
    assert_eq!(answer.status, 200);
    let mut seen = answer.text();
    if seen == "first" {
        seen += "\n";
        seen += &host.get(&path).await.text();
    }
    assert_eq!(seen, "first\nsecond");
    assert_eq!(host.get(&format!("/mail/{number}?wait=1")).await.text(), "");
    // Nobody reads it for its second.
    host.until("/recent/lobby", |answer| answer.text().contains("mail left: 1001")).await;
    assert_eq!(host.get(&path).await.status, 410);
    host.until("/stats/lobby", |answer| answer.text() == "0").await;
}

#[tokio::test]
async fn whoever_is_shown_is_so_until_the_connection_ends() {
    let host = host().await;
    let mut ada = WebSocket::open(&host, "/rooms/lobby?name=ada").await;
    let mut bob = WebSocket::open(&host, "/rooms/lobby?name=bob").await;
    ada.say("show dj").await;
    host.until("/who/lobby", |answer| answer.text() == "ada=dj").await;
    bob.say("show guest").await;
    host.until("/who/lobby", |answer| answer.text() == "ada=dj bob=guest").await;
    drop(ada);
    host.until("/who/lobby", |answer| answer.text() == "bob=guest").await;
    assert_eq!(bob.text().await, "ada left: 1006");
}

#[tokio::test]
async fn one_that_never_reads_is_let_go_and_the_others_get_everything() {
    const FRAMES: usize = 4000;
    let host = host().await;
    let mut good = WebSocket::open(&host, "/rooms/lobby?name=good").await;
    let mut lazy = WebSocket::open(&host, "/rooms/lobby?name=lazy").await;
    let reading = tokio::spawn(async move {
        let mut left = false;
        for number in 0..FRAMES {
            loop {
                match good.text().await {
                    text if text == "lazy left: 1013" => left = true,
                    text => {
                        assert!(text.starts_with(&format!("{number} ")), "{}", &text[..20]);
                        break;
                    }
                }
            }
        }
        (left, good)
    });
    for first in (0..FRAMES).step_by(100) {
        let padding = "x".repeat(4000);
        let frames: Vec<_> = (first..first + 100).map(|n| format!("{n} {padding}")).collect();
        host.post("/post/lobby", frames.join("\n")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (left, mut good) = reading.await.unwrap();
    if !left {
        assert_eq!(good.text().await, "lazy left: 1013");
    }
    let mut got = 0;
    while let Some(Ok(_)) = timeout(PATIENCE, lazy.0.next()).await.expect("it goes on") {
        got += 1;
    }
    assert!(got < FRAMES);
    let numbers = host.admin("/metrics").await.text();
    for number in [
        "trellis_connections{plugin=\"rooms\",transport=\"websocket\"} 1",
        "trellis_connections_ended_total{plugin=\"rooms\",why=\"slow\"} 1",
        "trellis_channels{plugin=\"rooms\"} 1",
    ] {
        assert!(numbers.contains(number), "{number}\n{numbers}");
    }
}

#[tokio::test]
async fn connections_end_with_1001_when_their_plugin_or_the_host_goes() {
    let mut host = host().await;
    let mut client = WebSocket::open(&host, "/rooms/lobby").await;
    fs::remove_file(host.plugins().join("rooms.wasm")).unwrap();
    assert_eq!(client.closed().await, 1001);
    fs::copy(component("rooms"), host.plugins().join("rooms.wasm")).unwrap();
    host.until("/stats/lobby", |answer| answer.status == 200).await;
    let mut client = WebSocket::open(&host, "/rooms/lobby").await;
    let stopping = host.stop();
    let (code, exit) = tokio::join!(client.closed(), stopping);
    assert_eq!((code, exit), (1001, Some(0)));
}
