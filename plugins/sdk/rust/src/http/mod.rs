//! Answering HTTP requests: the packed handler with typed views on both sides.
//!
//! ```no_run
//! use trellis_sdk::http::{self, Request, Response};
//!
//! trellis_sdk::http!(answer);
//!
//! fn answer(request: Request<'_>) -> http::Result {
//!     let order: serde_json::Value = request.json()?;
//!     Ok(Response::json(&order)?.with_status(201))
//! }
//! # fn main() {}
//! ```
//!
//! The function may return a [`Response`], a `Result` of one with any error, or anything else
//! that is [`IntoResponse`]. An error is logged and answered with 500; an [`Error::status`] with
//! its own status and text.

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{Headers, Pairs, Params, Request};
pub use response::{IntoResponse, Response};

use std::fmt;

/// Export a function as the HTTP handler of this plugin.
#[macro_export]
macro_rules! http {
    ($handle:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Handler;
            impl $crate::bindings::http::exports::trellis::http::packed_handler::Guest for Handler {
                fn handle(head: Vec<u8>, body: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
                    $crate::http::serve(&head, &body, $handle)
                }
            }
    $crate::bindings::http::export_http!(Handler with_types_in $crate::bindings::http);
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = $handle;
        };
    };
}

/// What a handler that can fail returns.
pub type Result<T = Response> = std::result::Result<T, Error>;

/// Why a request was not answered as hoped.
///
/// Any error becomes one with `?`; then the client sees a bare 500 and the log the reason. One
/// made with [`Error::status`] is meant for the client.
#[derive(Debug)]
pub enum Error {
    /// To be told to the client: a status and a sentence.
    Status(u16, String),
    /// To be logged; the client gets a 500 that says nothing.
    Internal(Box<dyn std::error::Error>),
}

impl Error {
    /// An answer with this status and a text that the client may read.
    pub fn status(status: u16, text: impl Into<String>) -> Self {
        Self::Status(status, text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, text) => write!(f, "{status}: {text}"),
            Self::Internal(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// One call of the packed handler. [`http!`](crate::http!) calls it.
#[doc(hidden)]
pub fn serve<A, H>(head: &[u8], body: &[u8], handle: H) -> (Vec<u8>, Vec<u8>)
where
    A: IntoResponse,
    H: for<'a> FnOnce(Request<'a>) -> A,
{
    match Request::parse(head, body) {
        Ok(request) => handle(request).into_response(),
        Err(error) => Error::from(error).into_response(),
    }
    .into_packed()
}
