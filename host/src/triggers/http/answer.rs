//! Answers as responses of HTTP: what a plugin gave, whole or as a stream, and what the host says
//! where it refuses.

use std::time::SystemTime;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, response::Parts,
};

use super::{
    body::Body,
    client::{Id, REQUEST_ID},
    refusal::Refusal,
    stream::{Begun, Origin, Stream},
};
use crate::runtime::exports::http::{Running, StreamBody};

/// A refusal as a response, in the form that the client accepts.
pub fn refused(refusal: &Refusal, accept: Option<&HeaderValue>) -> Response<Body> {
    let status = refusal.status.as_u16();
    let (kind, text) = if wants_json(accept) {
        let body = serde_json::json!({ "status": status, "error": refusal.says });
        ("application/json", format!("{body}\n"))
    } else {
        ("text/plain; charset=utf-8", refusal.text())
    };
    let mut response = Response::new(Body::whole(text.into()));
    *response.status_mut() = refusal.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Whether JSON is named before anything that a person would read.
fn wants_json(accept: Option<&HeaderValue>) -> bool {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let first = kinds.find(|kind| kind.starts_with("text/") || kind.ends_with("json"));
    first.is_some_and(|kind| kind.ends_with("json"))
}

/// Fields that belong to the connection, which is the host's.
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "transfer-encoding"
            | "upgrade"
            | "te"
            | "trailer"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// The most fields of an answer. A map of many more does not refuse them, it panics.
const MAX_FIELDS: usize = 1000;

/// What a plugin answered, as a response; the error says what HTTP does not allow in it.
pub fn response(
    status: u16,
    fields: impl Iterator<Item = (Bytes, Bytes)>,
    count: usize,
    body: Bytes,
) -> Result<Response<Body>, String> {
    let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 200);
    let status =
        status.filter(|status| status.as_u16() < 600).ok_or("a status out of 200 to 599")?;
    if count > MAX_FIELDS {
        return Err(format!("{count} header fields; an answer may have {MAX_FIELDS}"));
    }
    // Room for the request id, and the date and length that hyper adds.
    let mut headers = HeaderMap::with_capacity(count + 3);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(&name)
            .map_err(|_| format!("a header name `{}`", name.escape_ascii()))?;
        if is_of_connection(&name) {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(value)
            .map_err(|_| format!("a value of `{name}` that HTTP does not allow"))?;
        headers.append(name, value);
    }
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The response for a head that a guest gave. Where the guest has already ended and all is there,
/// it becomes a response like any other; where it has already failed, there is none.
pub async fn streamed(
    head: Response<StreamBody>,
    running: Running,
    method: &Method,
    origin: Origin,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = head.into_parts();
    let body = if *method == Method::HEAD {
        drop(body);
        origin.see_out_behind(running);
        Body::whole(Bytes::new())
    } else {
        match Stream::begin(body, length(&parts.headers), running, origin).await {
            Begun::Whole(bytes) => Body::whole(bytes),
            Begun::Stream(stream) => Body::Stream(stream),
            Begun::Broken => return Err(Refusal::broken()),
        }
    };
    Ok(Response::from_parts(parts, body))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Make a response fit its request: the body's length, what a `HEAD` asks for, the id.
pub fn finish(mut response: Response<Body>, method: &Method, id: Id) -> Response<Body> {
    let status = response.status();
    response.headers_mut().insert(REQUEST_ID, id.into_value());
    if response.body().is_stream() {
        return response;
    }
    let length = response.body().length();
    let given = response.headers_mut().remove(header::CONTENT_LENGTH);
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *response.body_mut() = Body::whole(Bytes::new());
    } else if *method == Method::HEAD {
        // Who answers `HEAD` without making a body may say how long it would be.
        let length = match length {
            0 => given.filter(is_number),
            length => Some(length.into()),
        };
        if let Some(length) = length {
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        *response.body_mut() = Body::whole(Bytes::new());
    }
    response
}

/// The head of an answer whose body ends with its connection, as HTTP/1.1 writes it (RFC 9112,
/// section 6.3, item 8).
pub fn head(parts: &Parts) -> Bytes {
    let mut head = Vec::with_capacity(256);
    let status = parts.status;
    let reason = status.canonical_reason().unwrap_or_default();
    head.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    let date = httpdate::fmt_http_date(SystemTime::now());
    head.extend_from_slice(format!("date: {date}\r\nconnection: close\r\n").as_bytes());
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != header::DATE) {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(piece);
        }
    }
    head.extend_from_slice(b"\r\n");
    head.into()
}

fn is_number(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn shown(refusal: Refusal, accept: Option<&'static str>) -> (String, String) {
        let accept = accept.map(HeaderValue::from_static);
        let response = refused(&refusal, accept.as_ref());
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (kind, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_error_is_json_or_text_as_the_client_accepts() {
        let json = r#"{"error":"nothing is served at this path","status":404}"#.to_owned() + "\n";
        let text = "404: nothing is served at this path\n".to_owned();
        for accept in
            ["application/json", "application/problem+json, text/html", "*/*;q=0.1, text/json"]
        {
            let shown = shown(Refusal::not_found(), Some(accept)).await;
            assert_eq!(shown, ("application/json".to_owned(), json.clone()), "{accept}");
        }
        for accept in [None, Some("*/*"), Some("text/html,application/json"), Some("image/png")] {
            assert_eq!(shown(Refusal::not_found(), accept).await.1, text, "{accept:?}");
        }
    }

    #[test]
    fn a_head_is_written_with_all_its_fields_and_the_end_of_the_connection() {
        let answer = answer(200, &[("Content-Type", "audio/mpeg"), ("icy-br", "128")]).unwrap();
        let head = String::from_utf8(head(&answer.into_parts().0).to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ndate: "), "{head}");
        let end = "GMT\r\nconnection: close\r\ncontent-type: audio/mpeg\r\nicy-br: 128\r\n\r\n";
        assert!(head.ends_with(end), "{head}");
    }

    #[test]
    fn more_fields_than_a_map_takes_are_refused() {
        let refusal = answer(200, &[("a", "b"); 40_000]).unwrap_err();
        assert_eq!(refusal, "40000 header fields; an answer may have 1000");
        assert!(answer(200, &[("a", "b"); 1000]).is_ok());
    }

    fn answer(
        status: u16,
        fields: &[(&'static str, &'static str)],
    ) -> Result<Response<Body>, String> {
        let count = fields.len();
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        response(status, fields, count, Bytes::from_static(b"body"))
    }

    #[test]
    fn what_http_does_not_allow_is_named() {
        assert_eq!(answer(199, &[]).unwrap_err(), "a status out of 200 to 599");
        assert_eq!(answer(600, &[]).unwrap_err(), "a status out of 200 to 599");
        assert_eq!(answer(200, &[("a b", "")]).unwrap_err(), "a header name `a b`");
        let split = answer(200, &[("a", "1\r\nb: 2")]).unwrap_err();
        assert_eq!(split, "a value of `a` that HTTP does not allow");
    }

    #[test]
    fn fields_of_the_connection_are_dropped_and_the_others_kept_in_order() {
        let fields =
            [("Connection", "close"), ("set-cookie", "a"), ("Set-Cookie", "b"), ("te", "x")];
        let response = answer(201, &fields).unwrap();
        assert_eq!(response.headers().len(), 2);
        let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a", "b"]);
    }

    #[test]
    fn the_length_is_that_of_the_body_and_a_head_has_none() {
        let id = Id::of(&super::super::client::Peer::new([1, 1, 1, 1].into(), &[]), None);
        let finished = |fields: &[_], method| {
            let response = finish(answer(200, fields).unwrap(), method, id.clone());
            (response.headers().get("content-length").cloned(), response.body().length())
        };
        assert_eq!(finished(&[("content-length", "99")], &Method::GET), (None, 4));
        let head = finished(&[("content-length", "99")], &Method::HEAD);
        assert_eq!(head, (Some(HeaderValue::from_static("4")), 0));
        let bodiless = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let response = response(200, fields, 0, Bytes::new()).unwrap();
            finish(response, &Method::HEAD, id.clone()).headers().get("content-length").cloned()
        };
        assert_eq!(bodiless(&[("content-length", "99")]).unwrap(), "99");
        assert_eq!(bodiless(&[("content-length", "x")]), None);
        assert_eq!(bodiless(&[]), None);
    }
}
