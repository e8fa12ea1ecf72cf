//! Video over HTTP: pages, playlists, segments, recordings, and what is live as JSON.

use trellis_sdk::http::{Error, Request, Response, Result};
use trellis_sdk::log;

use crate::names::{Name, is_plain};
use crate::settings::{self, Settings};
use crate::shelf::{Host, RECORDINGS, SEGMENTS, Shelf, path};
use crate::stream::{State, Stream};
use crate::{page, playlist, status, viewers};

/// What playlists are.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// Segments are never written again.
const FOREVER: &str = "public, max-age=3600, immutable";

/// Answer one request.
pub fn answer(request: Request<'_>) -> Response {
    let answer = match request.method() {
        "GET" | "HEAD" => get(&request),
        "OPTIONS" => Ok(Response::new(204)
            .with_header("access-control-allow-methods", "GET, HEAD, OPTIONS")
            .with_header("access-control-allow-headers", "range")
            .with_header("access-control-max-age", "86400")),
        _ => Ok(Response::text("send GET, HEAD or OPTIONS")
            .with_status(405)
            .with_header("allow", "GET, HEAD, OPTIONS")),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(Error::Status(status, text)) => {
            Response::text(text).with_status(status).with_header("cache-control", "no-store")
        }
        Err(Error::Internal(error)) => {
            log::error(format_args!("the request was answered with 500: {error}"));
            Response::text("internal error").with_status(500)
        }
    };
    // Players stand on pages of other sites.
    answer
        .with_header("access-control-allow-origin", "*")
        .with_header("access-control-expose-headers", "content-length, content-range")
        .with_header("x-content-type-options", "nosniff")
}

fn get(request: &Request<'_>) -> Result {
    let settings = settings::get().as_ref().map_err(|error| {
        log::error(error);
        Error::status(503, "the settings of the video have a mistake: see the log")
    })?;
    let param = |name| request.param(name);
    let (Some(app), Some(name)) = (param("app"), param("name")) else {
        return match request.path().ends_with("/status.json") {
            true => status::answer(request.time_ms()),
            false => Ok(page::list()),
        };
    };
    let name = named(app, name)?;
    let now_ms = request.time_ms();
    match (param("list"), param("segment"), param("init"), param("recording")) {
        (Some("media"), ..) => media(settings, &name, request),
        (Some(_), ..) => Err(Error::status(404, "a stream's playlist of segments is media.m3u8")),
        (_, Some(segment), ..) => file(SEGMENTS, &name, segment, ".m4s", FOREVER),
        (_, _, Some(init), _) => file(SEGMENTS, &name, init, ".mp4", FOREVER),
        (.., Some(recording)) => file(RECORDINGS, &name, recording, ".mp4", "no-cache"),
        _ if request.path().ends_with(".m3u8") => multivariant(&name, now_ms),
        _ => Ok(page::watch(&name)),
    }
}

fn named(app: &str, name: &str) -> Result<Name> {
    Name::new(app, name).ok_or_else(|| {
        Error::status(404, "there is no such stream: names have letters, digits, `-` and `_`")
    })
}

/// A stream of which there is something to see.
fn watched(name: &Name, now_ms: u64) -> Result<Stream> {
    let stream = Host.stream(name).map_err(away)?;
    match stream.state(now_ms) == State::Gone || stream.segments.is_empty() {
        true => Err(Error::status(404, format!("`{}` is not live", name.path()))),
        false => Ok(stream),
    }
}

fn multivariant(name: &Name, now_ms: u64) -> Result {
    let stream = watched(name, now_ms)?;
    let media = format!("/video/{}/media.m3u8?viewer={}", name.path(), viewers::token());
    let text = playlist::multivariant(&stream, &media)
        .ok_or_else(|| Error::status(404, format!("`{}` is not live", name.path())))?;
    Ok(listed(text))
}

fn media(settings: &Settings, name: &Name, request: &Request<'_>) -> Result {
    let stream = watched(name, request.time_ms())?;
    if let Some(token) = request.query_value("viewer") {
        viewers::note(name, &token);
    }
    Ok(listed(playlist::media(&stream, settings.window, request.time_ms())))
}

/// A file that the host sends.
fn file(container: &str, name: &Name, stem: &str, end: &str, keep: &str) -> Result {
    match is_plain(stem) {
        true => Ok(Response::blob(container, &path(name, &[stem, end].concat()))
            .with_header("cache-control", keep)),
        false => Err(Error::status(404, "there is no such file of a stream")),
    }
}

fn listed(text: String) -> Response {
    Response::bytes(PLAYLIST, text).with_header("cache-control", "no-cache")
}

fn away(error: String) -> Error {
    log::error(error);
    Error::status(503, "the streams cannot be read right now: try again in a while")
}
