//! Clients that mean harm, byte by byte: framing that two servers could read in two ways, and
//! floods that cost the client less than the host.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::tests::Running;
use crate::quantity::Millis;

/// The statuses of all answers on a connection that the server closes.
async fn statuses(server: &Running, request: &str) -> Vec<String> {
    let end = tokio::time::timeout(Duration::from_secs(20), server.raw(request)).await;
    let answer = end.unwrap_or_else(|_| panic!("still open after {request:?}"));
    let lines = answer.split("HTTP/1.").skip(1);
    lines.map(|answer| answer.chars().skip(2).take(3).collect()).collect()
}

/// What a careless proxy takes for the body of the first request.
const SECOND: &str = "GET /second HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_second_request_is_not_smuggled_behind_two_lengths() {
    let server = Running::start(|_| {}).await;
    let (length, chunked) = ("content-length: 40\r\n", "transfer-encoding: chunked\r\n");
    for fields in [[length, chunked], [chunked, length]].map(|fields| fields.concat()) {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n\r\n{SECOND}");
        assert_eq!(statuses(&server, &request).await, ["404"], "{fields}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_request() {
    let server = Running::start(|_| {}).await;
    // The body is SECOND, and more that never comes.
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\n{SECOND}");
    assert_eq!(statuses(&server, &request).await, ["404"]);
    let size = SECOND.len();
    let chunk = format!("{size:x}\r\n{SECOND}\r\n");
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(statuses(&server, &format!("{head}{chunk}{chunk}")).await, ["404"]);
    server.stop().await;
}

#[tokio::test]
async fn who_sends_more_than_is_read_hears_the_answer() {
    let server = Running::start(|_| {}).await;
    let body = vec![b'x'; 8 << 20];
    for _ in 0..20 {
        let mut stream = server.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        // So that no other request comes behind it.
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_goes_on_sending_behind_an_answer_is_cut_off() {
    let server = Running::start(|settings| settings.header_timeout = Millis(200)).await;
    let mut stream = server.connect().await;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999999\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let sending = async { while stream.write_all(&[b'x'; 1000]).await.is_ok() {} };
    let end = tokio::time::timeout(Duration::from_secs(20), sending).await;
    end.expect("it is read for good");
    server.stop().await;
}

#[tokio::test]
async fn framing_that_can_be_read_in_two_ways_is_refused() {
    let server = Running::start(|_| {}).await;
    for fields in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 6",
        "content-length: +5",
        "content-length: -5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length: 99999999999999999999999",
        "content-length:",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "x: y\r\n transfer-encoding: chunked",
        "x: y\rtransfer-encoding: chunked",
        "content-length: 5\0",
        "x\0y: z",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n{SECOND}");
        assert_eq!(statuses(&server, &request).await, ["400"], "{fields:?}");
    }
    let old = format!("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}");
    assert_eq!(statuses(&server, &old).await, ["400"]);
    server.stop().await;
}

#[tokio::test]
async fn a_request_for_two_hosts_is_refused() {
    let server = Running::start(|_| {}).await;
    for head in [
        "GET http://a/ HTTP/1.1\r\nhost: a\r\nhost: a",
        "GET http://a/ HTTP/1.1",
        "GET http://user@a/ HTTP/1.1\r\nhost: a",
        "GET / HTTP/1.1\r\nhost: a, b",
        "GET / HTTP/1.1\r\nhost: a\thost",
    ] {
        let request = format!("{head}\r\nconnection: close\r\n\r\n");
        assert_eq!(statuses(&server, &request).await, ["400"], "{head:?}");
    }
    let same = "GET http://A:80/ HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n";
    assert_eq!(statuses(&server, same).await, ["404"]);
    server.stop().await;
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / HTTP/2` of the host `a`, packed.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

/// A connection of HTTP/2 that writes frames as it likes.
struct Frames(TcpStream);

impl Frames {
    async fn open(server: &Running) -> Self {
        let mut socket = server.connect().await;
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(socket)
    }

    /// Write for as long as the server takes it.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame of a kind; `None` when the server has closed.
    async fn next(&mut self, wanted: u8) -> Option<Vec<u8>> {
        loop {
            let mut head = [0; 9];
            let read = self.0.read_exact(&mut head);
            tokio::time::timeout(Duration::from_secs(20), read).await.expect("an end").ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            if head[3] == wanted {
                return Some(payload);
            }
        }
    }

    /// The code that the server went away with.
    async fn farewell(&mut self) -> Option<u32> {
        let payload = self.next(GOAWAY).await?;
        Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
    }
}

/// The codes of HTTP/2 for a broken rule, and for a client that overdoes it.
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let server = Running::start(|_| {}).await;
    let mut client = Frames::open(&server).await;
    let requests = (0..2000).map(|number| {
        let stream = 2 * number + 1;
        let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        [open, frame(RESET, 0, stream, &8u32.to_be_bytes())].concat()
    });
    let flood = requests.collect::<Vec<_>>().concat();
    client.write(&flood).await;
    assert_eq!(client.farewell().await, Some(ENHANCE_YOUR_CALM));
    server.stop().await;
}

#[tokio::test]
async fn a_head_in_endless_frames_ends_the_connection() {
    let server = Running::start(|_| {}).await;
    for piece in [&[][..], &[0, 1, b'x', 1, b'y'].repeat(1000)] {
        let mut client = Frames::open(&server).await;
        let more = frame(CONTINUATION, 0, 1, piece);
        let flood = [frame(HEADERS, END_STREAM, 1, GET), more.repeat(20_000)].concat();
        client.write(&flood).await;
        assert!(matches!(client.farewell().await, Some(PROTOCOL_ERROR | ENHANCE_YOUR_CALM) | None));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes_is_refused() {
    let server = Running::start(|_| {}).await;
    let mut client = Frames::open(&server).await;
    // A field of 3 KB goes into the table, and then each byte repeats it.
    let mut head = GET.to_vec();
    head.extend([0x40, 1, b'x', 0x7f, 0xb9, 0x16]);
    head.extend([b'y'; 3000]);
    head.extend([0xbe; 10_000]);
    client.write(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
    // The answer, where there is one, is 431 in the static code of Huffman.
    if let Some(answer) = client.next(HEADERS).await {
        assert!(answer.windows(3).any(|part| part == [0x68, 0x20, 0xbf]), "{answer:x?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_host_beside_another_authority_is_refused() {
    let server = Running::start(|_| {}).await;
    let mut client = Frames::open(&server).await;
    for (number, (host, status)) in [(b'b', "400"), (b'a', "404")].into_iter().enumerate() {
        let head = [GET, &[0, 4, b'h', b'o', b's', b't', 1, host]].concat();
        let stream = 2 * number as u32 + 1;
        client.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)).await;
        client.next(HEADERS).await.unwrap();
        let body = client.next(DATA).await.unwrap();
        assert!(body.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&body));
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_pings_and_reads_nothing_is_cut_off() {
    let server = Running::start(|settings| settings.body_timeout = Millis(200)).await;
    let mut client = Frames::open(&server).await;
    let flood = frame(PING, 0, 0, &[0; 8]).repeat(10_000);
    let pinging = async { while client.0.write_all(&flood).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), pinging).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_head_of_http_2_that_drips_is_cut_off() {
    let server = Running::start(|settings| settings.header_timeout = Millis(100)).await;
    for start in [&b"PRI * HT"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = server.connect().await;
        socket.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        let end = socket.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(20), end).await.unwrap();
    }
    let mut client = Frames::open(&server).await;
    client.write(&frame(HEADERS, END_STREAM, 1, GET)).await;
    assert_eq!(client.next(GOAWAY).await, None);
    server.stop().await;
}
