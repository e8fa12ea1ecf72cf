//! The answer: written straight into the packed head.

use serde::Serialize;

use super::{Error, Result};
use crate::channels::Start;
use crate::log;
use crate::wire::{VERSION, patch, put_bytes};

/// Where the head keeps its status and the number of its headers.
const STATUS_AT: usize = 2;
const COUNT_AT: usize = 4;
/// Room for a content type and a few more headers without growing.
const HEAD_ROOM: usize = 128;

/// An answer: a status, headers and a body.
///
/// The host adds `date`, `content-length` and `x-request-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    head: Vec<u8>,
    headers: u32,
    body: Vec<u8>,
}

impl Response {
    /// An answer without headers and body.
    pub fn new(status: u16) -> Self {
        let mut head = Vec::with_capacity(HEAD_ROOM);
        head.extend_from_slice(&[VERSION, 0]);
        head.extend_from_slice(&status.to_le_bytes());
        head.extend_from_slice(&0u32.to_le_bytes());
        Self { head, headers: 0, body: Vec::new() }
    }

    /// 200 with these bytes and their media type.
    pub fn bytes(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).with_header("content-type", content_type).with_body(body)
    }

    /// 200 with plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", body.into())
    }

    /// 200 with a page.
    pub fn html(body: impl Into<String>) -> Self {
        Self::bytes("text/html; charset=utf-8", body.into())
    }

    /// 200 with a value as JSON; fails only where the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result {
        Ok(Self::bytes("application/json", serde_json::to_vec(value)?))
    }

    /// 200 with a blob of the plugin's own, which the host sends: with its content type, and to
    /// clients that ask for a range or have it already, with 206 or 304. Where there is none the
    /// client gets 404. The container is one of `[needs.blobs]`.
    pub fn blob(container: &str, key: &str) -> Self {
        Self::new(200).with_header("x-trellis-blob", [container, "/", key].concat())
    }

    /// 200 with the frames of a channel of the plugin's own, which the host sends for as long as the
    /// client listens. With `content-type: text/event-stream` they are events.
    pub fn channel(name: &str, start: Start) -> Self {
        let start = match start {
            Start::Next => "next".to_owned(),
            Start::After(sequence) => format!("after={sequence}"),
            Start::Recent(frames) => format!("recent={frames}"),
            Start::Burst(bytes) => format!("burst={bytes}"),
        };
        Self::new(200).with_header("x-trellis-channel", name).with_header("x-trellis-start", start)
    }

    /// With another status, 200 to 599.
    pub fn with_status(mut self, status: u16) -> Self {
        patch(&mut self.head, STATUS_AT, &status.to_le_bytes());
        self
    }

    /// With one more header. The value may be any bytes that HTTP allows.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        put_bytes(&mut self.head, name.as_bytes());
        put_bytes(&mut self.head, value.as_ref());
        self.headers += 1;
        self
    }

    /// With another body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status, for tests and for what wraps a handler.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.head[STATUS_AT], self.head[STATUS_AT + 1]])
    }

    /// The body, for tests and for what wraps a handler.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The head and the body as `trellis:http/packed-handler` describes them.
    pub fn into_packed(mut self) -> (Vec<u8>, Vec<u8>) {
        patch(&mut self.head, COUNT_AT, &self.headers.to_le_bytes());
        (self.head, self.body)
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// The answer that the client gets.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Status(status, text) => Response::text(text).with_status(status),
            Error::Internal(error) => {
                log::error(format_args!("the request was answered with 500: {error}"));
                Response::text("internal error").with_status(500)
            }
        }
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for std::result::Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into().into_response(),
        }
    }
}
