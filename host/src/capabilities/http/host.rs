//! The functions of `trellis:http/client`: whole requests and whole answers, for guests without
//! streams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Full};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};
use wasmtime_wasi_http::{Error as Failure, WasiBody};

use super::{Late, Prepared, Terms, exchange};
use crate::{
    capabilities::{Call, State},
    observe::traces::Trace,
};

/// The interface.
pub const INTERFACE: &str = "trellis:http/client@0.1.0";
/// The bodies of all answers to one call: the host holds them until the guest has them.
const MAX_ANSWERS: u64 = 16 << 20;
/// Requests of one call.
const MAX_REQUESTS: usize = 64;
/// Fields that belong to the connection or that the host writes itself.
const NOT_THE_GUESTS: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// `request`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    #[component(name = "timeout-ms")]
    timeout_ms: Option<u32>,
}

/// `response`.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// `error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "not-granted")]
    NotGranted(String),
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-large")]
    TooLarge(u64),
    #[component(name = "unavailable")]
    Unavailable(String),
}

impl Error {
    /// What became of a request to `url`.
    fn of(failure: Failure, url: &str) -> Self {
        let host =
            || url.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|it| it.to_string()));
        let host = || host().unwrap_or_default();
        match failure {
            Failure::HttpRequestDenied => Self::NotGranted(format!(
                "`{}` is not in `[needs.http] hosts` of the manifest and of the grants",
                host()
            )),
            Failure::DestinationIpProhibited => Self::NotGranted(format!(
                "`{}` is a private address, which takes `[needs.http] private = true` and its grant",
                host()
            )),
            Failure::HttpRequestMethodInvalid => Self::Invalid("the method".to_owned()),
            Failure::HttpRequestUriInvalid => Self::Invalid(format!("the url `{url}`")),
            Failure::ConnectionTimeout
            | Failure::ConnectionReadTimeout
            | Failure::HttpResponseTimeout => Self::Timeout,
            Failure::HttpRequestBodySize(limit) | Failure::HttpResponseBodySize(limit) => {
                Self::TooLarge(limit.unwrap_or(MAX_ANSWERS))
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The way out of one call.
struct Way {
    /// `None` refuses everything.
    prepared: Option<Arc<Prepared>>,
    deadline: Instant,
    trace: Option<Trace>,
    /// What is left for the bodies of its answers.
    room: AtomicU64,
}

/// The store's way out, and the call that waits for it.
fn own<'a>(store: &'a mut StoreContextMut<'_, State>) -> (Way, &'a mut Call) {
    let State { call, own, .. } = store.data_mut();
    let prepared = own.http.as_ref().and_then(|instance| instance.prepared.clone());
    let (deadline, trace) = (call.deadline, call.trace.clone());
    (Way { prepared, deadline, trace, room: AtomicU64::new(MAX_ANSWERS) }, call)
}

/// Add every function.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut client = linker.instance(INTERFACE)?;
    client.func_wrap_async("send", |mut store, (request,): (Request,)| {
        Box::new(async move {
            let (way, call) = own(&mut store);
            Ok((call.wait(way.send(request)).await,))
        })
    })?;
    client.func_wrap_async("send-all", |mut store, (requests,): (Vec<Request>,)| {
        Box::new(async move {
            let count = requests.len();
            if count > MAX_REQUESTS {
                wasmtime::bail!("{count} requests in one call; {MAX_REQUESTS} are the most");
            }
            let (way, call) = own(&mut store);
            let all = join_all(requests.into_iter().map(|request| way.send(request)));
            Ok((call.wait(all).await,))
        })
    })
}

impl Way {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let deadline = request.timeout_ms.map_or(self.deadline, |ms| {
            self.deadline.min(Instant::now() + Duration::from_millis(ms.into()))
        });
        let url = request.url.clone();
        let fail = |failure| Error::of(failure, &url);
        let prepared = self.prepared.clone().ok_or(fail(Failure::HttpRequestDenied))?;
        let request = outgoing(request)?;
        let terms =
            Terms { options: None, deadline, trace: self.trace.clone(), late: Late::Missing };
        let answer = exchange(prepared, request, terms).await.map_err(fail)?.0;
        let (head, body) = answer.into_parts();
        let body = self.read(body).await.map_err(fail)?;
        Ok(Response { status: head.status.as_u16(), headers: fields(&head.headers), body })
    }

    /// The whole body, as long as all answers together have room.
    async fn read(&self, mut body: WasiBody) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame?.into_data() else { continue };
            let take = |left: u64| left.checked_sub(part.len() as u64);
            self.room
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .map_err(|_| Failure::HttpResponseBodySize(Some(MAX_ANSWERS)))?;
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }
}

/// The request as it goes out.
fn outgoing(request: Request) -> Result<http::Request<WasiBody>, Error> {
    let invalid = |what: &str, value: &str| Error::Invalid(format!("{what} `{value}`"));
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| invalid("the method", &request.method))?;
    let uri: Uri = request.url.parse().map_err(|_| invalid("the url", &request.url))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("the url is neither http nor https:", &request.url));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let field = HeaderName::from_bytes(name.as_bytes());
        let field = field.map_err(|_| invalid("the header name", name))?;
        if NOT_THE_GUESTS.contains(&field) {
            return Err(invalid("the host of the plugin writes the header", name));
        }
        // A value may be a secret, so it is not said.
        let value = HeaderValue::from_str(value).map_err(|_| invalid("the value of", name))?;
        headers.append(field, value);
    }
    let body = Full::new(Bytes::from(request.body)).map_err(|never| match never {});
    let mut out = http::Request::new(body.boxed_unsync());
    (*out.method_mut(), *out.uri_mut(), *out.headers_mut()) = (method, uri, headers);
    Ok(out)
}

/// The fields of an answer.
fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::capabilities::http::{Settings, tests};

    fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Request {
            method: method.into(),
            url: url.into(),
            headers: headers.collect(),
            body: body.into(),
            timeout_ms: None,
        }
    }

    async fn way(private: bool, room: u64) -> Way {
        let caller = tests::instance(Settings::default(), tests::everywhere(private)).await;
        let (prepared, deadline, room) = (caller.prepared, caller.deadline, AtomicU64::new(room));
        Way { prepared, deadline, trace: None, room }
    }

    #[tokio::test]
    async fn a_request_is_answered_whole() {
        let url = format!("http://home.test:{}/echo", tests::serve().await.port());
        let way = way(true, 100).await;
        let answer = way.send(request("POST", &url, &[("x-a", "b")], "hello")).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]));
        assert!(answer.headers.iter().any(|(name, _)| name == "x-host"));
    }

    #[tokio::test]
    async fn all_answers_of_a_call_share_its_room() {
        let url = format!("http://home.test:{}/echo", tests::serve().await.port());
        let way = way(true, 7).await;
        way.send(request("POST", &url, &[], "hello")).await.unwrap();
        let second = way.send(request("POST", &url, &[], "hello")).await;
        assert!(matches!(second, Err(Error::TooLarge(_))), "{second:?}");
    }

    #[tokio::test]
    async fn what_is_not_granted_or_late_or_broken_is_told_apart() {
        let port = tests::serve().await.port();
        let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let refused = way(false, 9).await.send(request("GET", &at("/"), &[], "")).await;
        assert!(matches!(&refused, Err(Error::NotGranted(why)) if why.contains("private")));
        let way = way(true, 9).await;
        let late = Request { timeout_ms: Some(20), ..request("GET", &at("/never"), &[], "") };
        assert!(matches!(way.send(late).await, Err(Error::Timeout)));
        for broken in [
            request("G T", &at("/"), &[], ""),
            request("GET", "ftp://home.test/", &[], ""),
            request("GET", "/echo", &[], ""),
            request("GET", &at("/"), &[("a b", "c")], ""),
            request("GET", &at("/"), &[("a", "b\nc")], ""),
            request("GET", &at("/"), &[("Host", "other")], ""),
        ] {
            let answer = way.send(broken).await;
            assert!(matches!(answer, Err(Error::Invalid(_))), "{answer:?}");
        }
    }
}
