//! What clients get: the usual `ok`, the image, errors as JSON, and the headers of CORS.

use trellis_sdk::http::{Error, IntoResponse, Response};

use crate::settings::Settings;

/// A transparent image of one pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// The event is stored.
pub fn ok() -> Response {
    uncached(Response::bytes("application/json", *br#"{"status":"ok"}"#))
}

/// The event is stored, for an `<img>`.
pub fn pixel() -> Response {
    uncached(Response::bytes("image/gif", PIXEL))
}

/// What a script of another site may send.
pub fn preflight() -> Response {
    Response::new(204)
        .with_header("access-control-allow-methods", "GET, POST")
        .with_header("access-control-allow-headers", "content-type, authorization")
        .with_header("access-control-max-age", "86400")
}

/// An error as JSON, with what tells the client how to go on.
pub fn failure(error: Error) -> Response {
    let Error::Status(status, text) = error else {
        return error.into_response();
    };
    let body = serde_json::json!({"status": "error", "error": text}).to_string();
    let response = uncached(Response::bytes("application/json", body)).with_status(status);
    match status {
        401 => response.with_header("www-authenticate", "Basic realm=\"write key\""),
        405 => response.with_header("allow", "GET, HEAD, POST, OPTIONS"),
        503 => response.with_header("retry-after", "1"),
        _ => response,
    }
}

/// Allow the answer to be read: by everybody without credentials, with them by the origins that
/// were set.
pub fn cors(response: Response, origin: Option<&str>, settings: &Settings) -> Response {
    match origin {
        Some(origin) if settings.origins.iter().any(|allowed| allowed == origin) => response
            .with_header("access-control-allow-origin", origin)
            .with_header("access-control-allow-credentials", "true")
            .with_header("vary", "origin"),
        _ => response.with_header("access-control-allow-origin", "*"),
    }
}

fn uncached(response: Response) -> Response {
    response.with_header("cache-control", "no-store")
}
