//! How the end of a request's body is told where its length is not known.
//!
//! The client frames every such body as chunked, but for GET, HEAD and CONNECT it takes for granted
//! that there is none, drops what the guest sends and says nothing. Most of these requests indeed
//! have no body, and a server may refuse one that is announced, so the first part is waited for.

use std::time::Duration;

use http::{
    HeaderValue, Method, Request,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::Capped;

/// How long such a request is held back for the first part of its body. Guests that have none end
/// it in the same turn.
const START: Duration = Duration::from_millis(50);

/// What is made of a body that has neither begun nor ended by then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Late {
    /// There is none. Guests of 0.2 may wait for the answer before they end a body that they never
    /// write to; a server that reads to the end would then wait for them.
    Missing,
    /// It follows. Guests of 0.3 pass a stream with the request, which may be one that they get
    /// from elsewhere. The host does not see whether they passed one: a request without it ends
    /// with its trailers, which are to be resolved without waiting for the answer.
    Follows,
}

/// Announce the body of a GET or HEAD, if it has one.
///
/// # Errors
///
/// A first part that is too large, and a CONNECT with a body: servers do not agree where that
/// ends, and what follows on the connection may be another plugin's.
pub async fn announce(request: &mut Request<Capped<WasiBody>>, late: Late) -> Result<(), Error> {
    let is_tunnel = request.method() == Method::CONNECT;
    if is_dropped_by_client(request) {
        if follows(request.body_mut(), late).await? {
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        } else {
            request.body_mut().end();
        }
    }
    if is_tunnel && !request.body().is_end_stream() {
        return Err(Error::HttpRequestMethodInvalid);
    }
    Ok(())
}

/// Whether there is a body. One that the guest gives up before its first part is none: nobody has
/// read it either where the client is asked to send it.
async fn follows(body: &mut Capped<WasiBody>, late: Late) -> Result<bool, Error> {
    match timeout(START, body.begin()).await {
        Ok(Ok(begun)) => Ok(begun),
        Ok(Err(error @ Error::HttpRequestBodySize(_))) => Err(error),
        Ok(Err(_)) => Ok(false),
        Err(_) if late == Late::Follows => Ok(true),
        Err(_) => {
            tracing::debug!("the body of a request did not begin; it is sent without one");
            Ok(false)
        }
    }
}

fn is_dropped_by_client(request: &Request<Capped<WasiBody>>) -> bool {
    let (headers, body) = (request.headers(), request.body());
    let has_length = body.size_hint().exact().is_some() || headers.contains_key(CONTENT_LENGTH);
    let usually_none = matches!(*request.method(), Method::GET | Method::HEAD | Method::CONNECT);
    usually_none && !has_length && !body.is_end_stream()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use futures_util::{Stream, StreamExt, stream};
    use http::Response;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::body::Frame;
    use wasmtime_wasi_http::WasiHttpHooks;

    use super::{
        super::{
            Instance, Settings,
            tests::{everywhere, instance, serve, text},
        },
        *,
    };
    use crate::quantity;

    type Part = Result<&'static str, Error>;

    /// What `/echo` answers to a request with a body of these parts, of at most ten bytes.
    async fn sent(
        method: Method,
        parts: impl Stream<Item = Part> + Send + 'static,
        late: Late,
    ) -> Result<Response<WasiBody>, Error> {
        let settings = Settings { max_request_bytes: quantity::Bytes(10), ..Settings::default() };
        let caller = instance(settings, everywhere(true)).await;
        let mut caller = Instance { late, ..caller };
        let frame = |part: &'static str| Frame::data(Bytes::from_static(part.as_bytes()));
        let body = StreamBody::new(parts.map(move |part| part.map(frame))).boxed_unsync();
        let uri = format!("http://{}/echo", serve().await);
        let request = Request::builder().method(method).uri(uri).body(body).unwrap();
        let answer = caller.send_request(request, None, Box::new(async { Ok(()) }));
        Ok(Box::into_pin(answer).await?.0)
    }

    async fn echo(
        parts: impl Stream<Item = Part> + Send + 'static,
        late: Late,
    ) -> Response<WasiBody> {
        sent(Method::GET, parts, late).await.unwrap()
    }

    /// A part that comes long after the head might have gone.
    fn slow() -> impl Stream<Item = Part> {
        stream::once(async {
            tokio::time::sleep(3 * START).await;
            Ok("slow")
        })
    }

    #[tokio::test]
    async fn the_body_of_a_get_is_sent_though_its_length_is_not_known() {
        for late in [Late::Missing, Late::Follows] {
            let answer = echo(stream::iter([Ok("a"), Ok(""), Ok("b")]), late).await;
            assert_eq!(answer.headers()["x-framing"], "chunked");
            assert_eq!(text(answer).await.unwrap(), "ab", "{late:?}");
        }
    }

    #[tokio::test]
    async fn a_get_whose_body_ends_without_a_part_announces_none() {
        for late in [Late::Missing, Late::Follows] {
            let answer = echo(stream::empty(), late).await;
            assert!(!answer.headers().contains_key("x-framing"), "{late:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_of_a_guest_of_03_is_sent_however_late_it_begins() {
        let answer = echo(slow(), Late::Follows).await;
        assert_eq!(text(answer).await.unwrap(), "slow");
    }

    #[tokio::test]
    async fn a_guest_of_02_may_wait_for_the_answer_before_it_ends_its_body() {
        let answer = echo(slow().chain(stream::pending()), Late::Missing).await;
        assert_eq!(text(answer).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_head_is_announced_as_a_get_is() {
        let answer = sent(Method::HEAD, stream::iter([Ok("a")]), Late::Missing).await.unwrap();
        assert_eq!(answer.headers()["x-framing"], "chunked");
    }

    #[tokio::test]
    async fn a_first_part_that_is_too_large_is_not_sent() {
        let large = sent(Method::GET, stream::iter([Ok("eleven byte")]), Late::Missing).await;
        assert!(matches!(large, Err(Error::HttpRequestBodySize(Some(10)))), "{large:?}");
    }

    #[tokio::test]
    async fn a_body_that_is_given_up_before_it_begins_is_none() {
        let given_up = stream::iter([Err(Error::HttpProtocolError)]);
        let answer = echo(given_up, Late::Follows).await;
        assert!(!answer.headers().contains_key("x-framing"));
    }

    #[tokio::test]
    async fn a_tunnel_takes_no_body() {
        for late in [Late::Missing, Late::Follows] {
            let body = sent(Method::CONNECT, stream::iter([Ok("a")]), late).await;
            assert!(matches!(body, Err(Error::HttpRequestMethodInvalid)), "{body:?}");
        }
    }
}
