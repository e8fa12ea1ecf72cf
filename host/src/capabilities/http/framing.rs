//! How the end of a request's body is told where its length is not known.
//!
//! The client frames every such body as chunked, but for GET and HEAD it takes for granted that
//! there is none, drops what the guest sends and says nothing. Most of these requests indeed have
//! no body, and a server may refuse one that is announced, so the first part is waited for.

use std::time::Duration;

use http::{
    HeaderValue, Method, Request,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::Capped;

/// How long a GET or HEAD is held back for the first part of its body. Guests that have none end
/// it in the same turn.
const START: Duration = Duration::from_millis(50);

/// What is made of a body that has neither begun nor ended by then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Late {
    /// There will be none. Guests of 0.2 may wait for the answer before they end a body that they
    /// never write to; a server that reads to the end would then wait for them.
    Missing,
    /// It follows. Guests of 0.3 pass a stream with the request, which may be one that they get
    /// from elsewhere.
    Follows,
}

/// Announce the body of a GET or HEAD, if it has one.
///
/// # Errors
///
/// What the body fails with before its first part.
pub async fn announce(request: &mut Request<Capped<WasiBody>>, late: Late) -> Result<(), Error> {
    if !is_dropped_by_client(request) {
        return Ok(());
    }
    let follows = match timeout(START, request.body_mut().begin()).await {
        Ok(begun) => begun?,
        Err(_) => late == Late::Follows,
    };
    if follows {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(())
}

fn is_dropped_by_client(request: &Request<Capped<WasiBody>>) -> bool {
    let (headers, body) = (request.headers(), request.body());
    let has_length = body.size_hint().exact().is_some() || headers.contains_key(CONTENT_LENGTH);
    let without_body = matches!(*request.method(), Method::GET | Method::HEAD);
    without_body && !has_length && !body.is_end_stream()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

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

    /// What `/echo` answers to a GET with a body of these parts.
    async fn echo(
        parts: impl Stream<Item = &'static str> + Send + 'static,
        late: Late,
    ) -> Response<WasiBody> {
        let caller = instance(Settings::default(), everywhere(true)).await;
        let mut caller = Instance { late, ..caller };
        let frames =
            parts.map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes()))));
        let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
        let uri = format!("http://{}/echo", serve().await);
        let request = Request::get(uri).body(body).unwrap();
        let answer = caller.send_request(request, None, Box::new(async { Ok(()) }));
        Box::into_pin(answer).await.unwrap().0
    }

    /// A part that comes long after the head might have gone.
    fn slow() -> impl Stream<Item = &'static str> {
        stream::once(async {
            tokio::time::sleep(3 * START).await;
            "slow"
        })
    }

    #[tokio::test]
    async fn the_body_of_a_get_is_sent_though_its_length_is_not_known() {
        for late in [Late::Missing, Late::Follows] {
            let answer = echo(stream::iter(["a", "", "b"]), late).await;
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
}
