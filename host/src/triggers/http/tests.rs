//! The server over real sockets, without any plugin: what the host answers on its own.

#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Body, Door, Error, Knock, Opening, Refusal, Server, Settings, Tune};
use crate::{manifest::RateLimit, plugins::Live, quantity::Millis};

/// Lets nobody in.
struct Closed;

impl Door for Closed {
    fn open<'a>(&'a self, _knock: Knock<'a>) -> Opening<'a> {
        Box::pin(async { Err(Refusal::not_found()) })
    }

    fn stream<'a>(&'a self, _tune: Tune<'a>, _head: Response<Body>) -> Opening<'a> {
        Box::pin(async { Err(Refusal::not_found()) })
    }
}

pub struct Running {
    pub address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), Error>>,
    /// The routes stay as long as somebody may change them.
    _live: watch::Sender<Arc<Live>>,
}

impl Running {
    pub async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings =
            Settings { listen: vec![([127, 0, 0, 1], 0).into()], ..Settings::default() };
        change(&mut settings);
        let (live, seen) = watch::channel(Arc::new(Live::default()));
        let server = Server::open(settings, seen, Arc::new(Closed)).await.unwrap();
        let address = server.addresses()[0];
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(server.run(shutdown.clone()));
        Self { address, shutdown, ended, _live: live }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Send these bytes on a connection of their own and read until the server closes it.
    pub async fn raw(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Response<Bytes> {
        let socket = TokioIo::new(self.connect().await);
        let (mut client, connection) = http1::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        whole(client.send_request(request).await.unwrap()).await
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

async fn whole(response: Response<hyper::body::Incoming>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn request(method: Method, uri: &str) -> http::request::Builder {
    Request::builder().method(method).uri(uri).header("host", "example.com")
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    request(Method::GET, uri).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn a_path_that_nothing_serves_is_not_found_and_has_an_id() {
    let server = Running::start(|_| {}).await;
    let response = server.send(get("/nothing")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["x-request-id"].len(), 16);
    assert_eq!(response.body(), "404: nothing is served at this path\n");
    let json = request(Method::GET, "/nothing").header("accept", "application/json");
    let response = server.send(json.body(Empty::new()).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    server.stop().await;
}

#[tokio::test]
async fn a_head_is_answered_with_the_length_and_without_the_body() {
    let server = Running::start(|_| {}).await;
    let answer = server.raw("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(answer.contains("content-length: 36\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let server = Running::start(|_| {}).await;
    let socket = TokioIo::new(server.connect().await);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/x", server.address);
    for method in [Method::GET, Method::HEAD] {
        let request = Request::builder().method(method.clone()).uri(&uri);
        let request = request.version(Version::HTTP_2).body(Empty::<Bytes>::new()).unwrap();
        let response = whole(client.send_request(request).await.unwrap()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["content-length"], "36");
        assert_eq!(response.body().is_empty(), method == Method::HEAD);
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn odd_targets_are_answered_and_not_routed() {
    let server = Running::start(|_| {}).await;
    let close = "connection: close\r\n\r\n";
    for (line, status) in [
        ("GET http://other.example/x HTTP/1.1\r\nhost: a", "404"),
        ("OPTIONS * HTTP/1.1\r\nhost: a", "204"),
        ("GET * HTTP/1.1\r\nhost: a", "400"),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a", "405"),
        ("GET /%zz HTTP/1.1\r\nhost: a", "400"),
        ("GET /%ff HTTP/1.1\r\nhost: a", "404"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b", "400"),
        ("GET / HTTP/1.1", "400"),
        ("GET / HTTP/1.0", "404"),
        ("GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket", "404"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999", "404"),
    ] {
        let answer = server.raw(&format!("{line}\r\n{close}")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}"))
                || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{line}: {answer}"
        );
        assert!(answer.contains("x-request-id: "), "{line}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Running::start(|settings| settings.max_header_bytes.0 = 1000).await;
    let large = request(Method::GET, "/").header("x", "y".repeat(1000));
    let response = server.send(large.body(Empty::new()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(response.headers().contains_key("x-request-id"));
    let huge = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let mut socket = server.connect().await;
    let _ = socket.write_all(huge.as_bytes()).await;
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_other_refusals_are() {
    let server = Running::start(|settings| settings.max_header_bytes.0 = 256 << 10).await;
    let fields: String = (0..150).map(|number| format!("x-{number}: y\r\n")).collect();
    for (bytes, line, text) in [
        ("garbage\r\n\r\n", "400 Bad Request", "400: this is no request of HTTP\n"),
        (
            &format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"),
            "431 Request Header Fields Too Large",
            "431: the head of the request is too large\n",
        ),
        (
            &format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)),
            "414 URI Too Long",
            "414: the path of the request is too long\n",
        ),
    ] {
        let answer = server.raw(bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{answer}");
        assert!(answer.contains("\r\nx-request-id: "), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{text}")), "{answer}");
    }
    // Behind a request that is answered, too.
    let answer = server.raw("GET / HTTP/1.1\r\nhost: a\r\n\r\ngarbage\r\n\r\n").await;
    assert!(answer.contains("404: nothing is served at this path\nHTTP/1.1 400 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_while_others_are_served() {
    let server = Running::start(|settings| settings.header_timeout = Millis(100)).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
    assert_eq!(server.send(get("/")).await.status(), StatusCode::NOT_FOUND);
    let mut nothing = Vec::new();
    let end = slow.read_to_end(&mut nothing);
    let _ = tokio::time::timeout(Duration::from_secs(10), end).await.unwrap();
    assert!(nothing.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let server = Running::start(|settings| settings.idle_timeout = Millis(50)).await;
    for first in ["", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let end = tokio::time::timeout(Duration::from_secs(20), server.raw(first)).await.unwrap();
        assert_eq!(end.starts_with("HTTP/1.1 404"), !first.is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_above_its_rate_is_told_when_to_come_back() {
    let limit = RateLimit { per_second: 1, burst: 2 };
    let server = Running::start(|settings| settings.rate_limit = Some(limit)).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(server.send(get("/")).await);
    }
    assert_eq!(answers[1].status(), StatusCode::NOT_FOUND);
    let refused = answers.iter().find(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.unwrap().headers()["retry-after"], "1");
    let forwarded = request(Method::GET, "/").header("x-forwarded-for", "9.9.9.9");
    let other = server.send(forwarded.body(Empty::new()).unwrap()).await;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = Running::start(|settings| settings.max_connections = 1).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    {
        let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut status)).await;
        assert!(early.is_err(), "the second connection was served beside the first");
    }
    drop(first);
    second.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_closes_what_is_idle_and_refuses_what_is_new() {
    let server = Running::start(|settings| settings.drain_timeout = Millis(60_000)).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let address = server.address;
    tokio::time::timeout(Duration::from_secs(10), server.stop()).await.unwrap();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_outlives_the_drain_is_cut_off() {
    let server = Running::start(|settings| settings.drain_timeout = Millis(50)).await;
    let mut stuck = server.connect().await;
    stuck.write_all(b"GET / HTTP/1.1\r\nhost: a").await.unwrap();
    // Accepted before the order to stop, because it was there before one that was answered.
    server.send(get("/")).await;
    tokio::time::timeout(Duration::from_secs(10), server.stop()).await.unwrap();
    let _ = stuck.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Running::start(|_| {}).await;
    let settings = Settings { listen: vec![server.address], ..Settings::default() };
    let (_sender, seen) = watch::channel(Arc::new(Live::default()));
    let error = Server::open(settings, seen, Arc::new(Closed)).await.err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot listen on `{}`", server.address)), "{error}");
    server.stop().await;
}
