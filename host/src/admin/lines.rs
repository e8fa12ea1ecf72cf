//! Answers of JSON objects, one a line, that go on for as long as there is something to say.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Stream values until they end or the host stops.
pub(super) fn lines<T: Serialize>(
    values: impl Stream<Item = T> + Send + 'static,
    shutdown: CancellationToken,
) -> Response {
    let lines = values
        .take_until(shutdown.cancelled_owned())
        .map(|value| Ok::<_, Infallible>(line(&value)));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut line = serde_json::to_vec(value)
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}").into_bytes());
    line.push(b'\n');
    line.into()
}
