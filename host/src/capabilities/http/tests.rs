#![allow(clippy::unwrap_used)]

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{Empty, Full, StreamBody};
use hyper::{body::Frame, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::world::{Fixed, Hosts};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// A server of its own for each test: `/echo` answers the body, `/late` a head and then nothing,
/// `/never` nothing at all. Each tells how the body of the request was framed.
pub async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    });
    address
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    let told = ["host", "transfer-encoding"].map(|name| request.headers().get(name).cloned());
    let body: Body = match request.uri().path() {
        "/never" => std::future::pending().await,
        "/late" => StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, _>>())
            .boxed_unsync(),
        _ => match request.into_body().collect().await {
            Ok(body) => Full::new(body.to_bytes()).boxed_unsync(),
            Err(_) => Empty::new().boxed_unsync(),
        },
    };
    let mut response = http::Response::new(body);
    for (name, value) in ["x-host", "x-framing"].into_iter().zip(told) {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Knows `home.test` alone, which is the own machine.
fn lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            match name == "home.test" {
                true => Ok(vec![[127, 0, 0, 1].into()]),
                false => Err(std::io::Error::other("no such name")),
            }
        })
    })
}

pub async fn instance(settings: Settings, grant: Grant) -> Instance {
    let http = Http::with_lookup(settings, lookup());
    let plugin = Plugin { name: "caller".into(), generation: 1, config: Default::default() };
    let prepared = Arc::new(http.prepare(&plugin, &grant).await.unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    Instance { deadline, ..Http::instance(&prepared) }
}

pub fn everywhere(private: bool) -> Grant {
    Grant { hosts: vec!["*:*".parse().unwrap()], private }
}

async fn ask(
    instance: &mut Instance,
    uri: &str,
    body: &str,
) -> Result<http::Response<WasiBody>, Error> {
    let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {});
    let request = http::Request::post(uri).body(body.boxed_unsync()).unwrap();
    let answer = instance.send_request(request, None, Box::new(async { Ok(()) }));
    Ok(Box::into_pin(answer).await?.0)
}

pub async fn text(response: http::Response<WasiBody>) -> Result<String, Error> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_granted_host_answers() {
    let address = serve().await;
    let mut caller = instance(Settings::default(), everywhere(true)).await;
    let uri = format!("http://home.test:{}/echo", address.port());
    for round in 0..3 {
        let answer = ask(&mut caller, &uri, &format!("hello {round}")).await.unwrap();
        assert_eq!(answer.headers()["x-host"], format!("home.test:{}", address.port()).as_str());
        assert_eq!(text(answer).await.unwrap(), format!("hello {round}"));
    }
}

/// Answers what it is asked, if it is asked anything.
struct Echo;

impl Hosts for Echo {
    fn answer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        match request.body().is_empty() {
            true => Err("nothing was asked".into()),
            false => Ok(http::Response::new(request.into_body())),
        }
    }
}

#[tokio::test]
async fn in_a_fixed_world_nothing_goes_out_and_grants_hold_all_the_same() {
    let world = World::fixed(Fixed::new(0, 0, Box::new(Echo)));
    let http = Http { world, ..Http::with_lookup(Settings::default(), lookup()) };
    let plugin = Plugin { name: "caller".into(), generation: 1, config: Default::default() };
    let grant = Grant { hosts: vec!["a.test".parse().unwrap()], private: false };
    let prepared = Arc::new(http.prepare(&plugin, &grant).await.unwrap());
    let mut caller = Http::instance(&prepared);
    let answer = ask(&mut caller, "https://a.test/", "hello").await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "hello");
    let nothing = ask(&mut caller, "https://a.test/", "").await;
    assert!(matches!(nothing, Err(Error::InternalError(_))));
    let denied = ask(&mut caller, "https://b.test/", "hello").await;
    assert!(matches!(denied, Err(Error::HttpRequestDenied)));
}

#[tokio::test]
async fn without_a_need_every_request_is_denied() {
    let address = serve().await;
    let mut caller = instance(Settings::default(), Grant::default()).await;
    for uri in [format!("http://{address}/"), "https://example.com/".into()] {
        assert!(matches!(ask(&mut caller, &uri, "").await, Err(Error::HttpRequestDenied)));
    }
}

#[tokio::test]
async fn a_name_with_a_private_address_is_prohibited_without_the_grant() {
    let address = serve().await;
    let mut caller = instance(Settings::default(), everywhere(false)).await;
    for host in ["home.test", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let answer = ask(&mut caller, &format!("http://{host}:{}/", address.port()), "").await;
        assert!(matches!(answer, Err(Error::DestinationIpProhibited)), "{host}");
    }
}

#[tokio::test]
async fn a_connection_to_a_private_address_is_not_shared_with_a_plugin_that_may_not_reach_it() {
    let address = serve().await;
    let http = Http::with_lookup(Settings::default(), lookup());
    let plugin = Plugin { name: "caller".into(), generation: 1, config: Default::default() };
    let uri = format!("http://home.test:{}/echo", address.port());
    let mut answers = Vec::new();
    for private in [true, false] {
        let prepared = Arc::new(http.prepare(&plugin, &everywhere(private)).await.unwrap());
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut caller = Instance { deadline, ..Http::instance(&prepared) };
        let answer = ask(&mut caller, &uri, "x").await;
        answers.push(answer.is_ok());
        if let Ok(answer) = answer {
            text(answer).await.unwrap();
        }
    }
    assert_eq!(answers, [true, false]);
}

#[tokio::test]
async fn an_unknown_name_and_a_closed_port_are_told_apart() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut caller = instance(Settings::default(), everywhere(true)).await;
    let answer = ask(&mut caller, "http://nobody.test/", "").await;
    assert!(matches!(answer, Err(Error::DnsError { .. })), "{answer:?}");
    let answer = ask(&mut caller, &format!("http://{closed}/"), "").await;
    assert!(matches!(answer, Err(Error::ConnectionRefused)), "{answer:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let address = serve().await;
    let mut caller = instance(Settings::default(), everywhere(true)).await;
    let answer = ask(&mut caller, &format!("https://{address}/"), "").await;
    assert!(matches!(answer, Err(Error::TlsProtocolError)), "{answer:?}");
}

/// HTTP/2 without having agreed on it.
#[tokio::test]
async fn a_server_that_speaks_another_protocol_is_a_protocol_error() {
    for speaks_first in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if !speaks_first {
                    stream.read_u8().await.unwrap();
                }
                stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
            }
        });
        let mut caller = instance(Settings::default(), everywhere(true)).await;
        for _ in 0..20 {
            let answer = ask(&mut caller, &uri, "").await;
            assert!(matches!(answer, Err(Error::HttpProtocolError)), "{speaks_first}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_tunnel_is_asked_for_to_the_host_that_is_granted_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        let mut head = vec![0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(head[..length].to_vec()).unwrap()
    });
    let grant = Grant { hosts: vec![address.to_string().parse().unwrap()], private: true };
    let mut caller = instance(Settings::default(), grant).await;
    let mut tunnel = async |uri: String, body: &'static str| {
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::connect(uri).body(body).unwrap();
        let answer = caller.send_request(request, None, Box::new(async { Ok(()) }));
        Box::into_pin(answer).await.map(|(response, _)| response.status())
    };
    let elsewhere = tunnel("http://home.test/".into(), "").await;
    assert!(matches!(elsewhere, Err(Error::HttpRequestDenied)), "{elsewhere:?}");
    let body = tunnel(format!("http://{address}/"), "GET / HTTP/1.1\r\n\r\n").await;
    assert!(matches!(body, Err(Error::HttpRequestMethodInvalid)), "{body:?}");
    assert_eq!(tunnel(format!("http://{address}/elsewhere:1"), "").await.unwrap(), 405);
    let asked = asked.await.unwrap();
    assert!(asked.starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")), "{asked}");
}

#[tokio::test]
async fn bodies_are_capped_both_ways() {
    let address = serve().await;
    let uri = format!("http://{address}/echo");
    let small = |request, response| Settings {
        max_request_bytes: Bytes(request),
        max_response_bytes: Bytes(response),
        ..Settings::default()
    };
    let mut caller = instance(small(10, 100), everywhere(true)).await;
    let answer = ask(&mut caller, &uri, "more than ten bytes").await;
    assert!(matches!(answer, Err(Error::HttpRequestBodySize(Some(10)))), "{answer:?}");
    assert_eq!(text(ask(&mut caller, &uri, "few").await.unwrap()).await.unwrap(), "few");

    let mut caller = instance(small(100, 10), everywhere(true)).await;
    let answer = ask(&mut caller, &uri, "more than ten bytes").await;
    assert!(matches!(answer, Err(Error::HttpResponseBodySize(Some(10)))), "{answer:?}");
}

#[tokio::test]
async fn a_streamed_request_body_is_cut_at_its_cap() {
    let address = serve().await;
    let settings = Settings { max_request_bytes: Bytes(1000), ..Settings::default() };
    let mut caller = instance(settings, everywhere(true)).await;
    let parts = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 64]))));
    let body = StreamBody::new(parts).boxed_unsync();
    let request = http::Request::post(format!("http://{address}/echo")).body(body).unwrap();
    let answer = caller.send_request(request, None, Box::new(async { Ok(()) }));
    let answer = Box::into_pin(answer).await.map(drop);
    assert!(matches!(answer, Err(Error::HttpRequestBodySize(Some(1000)))), "{answer:?}");
}

#[tokio::test]
async fn silence_ends_at_its_bound_and_at_the_deadline_of_the_call() {
    let address = serve().await;
    let settings = Settings {
        first_byte_timeout: Millis(20),
        between_bytes_timeout: Millis(20),
        ..Settings::default()
    };
    let mut caller = instance(settings, everywhere(true)).await;
    let answer = ask(&mut caller, &format!("http://{address}/never"), "").await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");
    let answer = text(ask(&mut caller, &format!("http://{address}/late"), "").await.unwrap()).await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");

    let mut caller = instance(Settings::default(), everywhere(true)).await;
    caller.deadline = Instant::now() + Duration::from_millis(20);
    let answer = ask(&mut caller, &format!("http://{address}/never"), "").await;
    assert!(matches!(answer, Err(Error::ConnectionReadTimeout)), "{answer:?}");
}

#[tokio::test]
async fn requests_in_flight_are_capped_until_their_answers_are_dropped() {
    let address = serve().await;
    let settings = Settings { concurrency: 1, ..Settings::default() };
    let mut caller = instance(settings, everywhere(true)).await;
    let late = ask(&mut caller, &format!("http://{address}/late"), "").await.unwrap();
    let uri = format!("http://{address}/echo");
    let refused = ask(&mut caller, &uri, "").await;
    assert!(matches!(refused, Err(Error::ConnectionLimitReached)), "{refused:?}");
    drop(late);
    assert!(ask(&mut caller, &uri, "").await.is_ok());
}

#[test]
fn a_need_beyond_the_grant_is_named_as_the_operator_would_write_it() {
    let need: Grant = toml::from_str("hosts = ['a.test', 'b.test:81']\nprivate = true").unwrap();
    let allowed: Grant = toml::from_str("hosts = ['*.test', 'b.test:81']").unwrap();
    assert_eq!(Http::beyond(&need, &allowed), ["private = true"]);
    let allowed = Grant { hosts: Vec::new(), private: true };
    assert_eq!(Http::beyond(&need, &allowed), ["hosts = [\"a.test\"]", "hosts = [\"b.test:81\"]"]);
}

#[test]
fn both_engines_link_it_beside_wasi() {
    for engine in [Dialect::Plain, Dialect::Concurrent] {
        let mut config = wasmtime::Config::new();
        config.wasm_component_model_async(engine == Dialect::Concurrent);
        let mut linker = Linker::new(&wasmtime::Engine::new(&config).unwrap());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        Http::link(&mut linker, engine).unwrap();
    }
}
