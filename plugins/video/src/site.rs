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
    let app = request.param("app").unwrap_or_default();
    let param = |name| request.param(name);
    match (param("name"), param("file"), param("recording")) {
        (Some(name), _, Some(file)) => recording(&named(app, name)?, file),
        (Some(name), Some(file), _) => file_of(settings, &named(app, name)?, file, request),
        (None, Some(file), _) => match file.strip_suffix(".m3u8") {
            Some(name) => multivariant(&named(app, name)?, request.time_ms()),
            None => Ok(page::watch(&named(app, file)?)),
        },
        _ if request.path().ends_with("/status.json") => status::answer(request.time_ms()),
        _ => Ok(page::list()),
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
    let media = format!("{}/media.m3u8?viewer={}", name.name, viewers::token());
    let text = playlist::multivariant(&stream, &media)
        .ok_or_else(|| Error::status(404, format!("`{}` is not live", name.path())))?;
    Ok(listed(text))
}

fn file_of(settings: &Settings, name: &Name, file: &str, request: &Request<'_>) -> Result {
    if file == "media.m3u8" {
        let stream = watched(name, request.time_ms())?;
        if let Some(token) = request.query_value("viewer") {
            viewers::note(name, &token);
        }
        return Ok(listed(playlist::media(&stream, settings.window, request.time_ms())));
    }
    let is_file =
        [".m4s", ".mp4"].into_iter().any(|end| file.strip_suffix(end).is_some_and(is_plain));
    match is_file {
        true => {
            Ok(Response::blob(SEGMENTS, &path(name, file)).with_header("cache-control", FOREVER))
        }
        false => Err(Error::status(404, "there is no such file of a stream")),
    }
}

fn recording(name: &Name, file: &str) -> Result {
    match file.strip_suffix(".mp4").is_some_and(is_plain) {
        true => {
            Ok(Response::blob(RECORDINGS, &path(name, file))
                .with_header("cache-control", "no-cache"))
        }
        false => Err(Error::status(404, "there is no such recording")),
    }
}

fn listed(text: String) -> Response {
    Response::bytes(PLAYLIST, text).with_header("cache-control", "no-cache")
}

fn away(error: String) -> Error {
    log::error(error);
    Error::status(503, "the streams cannot be read right now: try again in a while")
}
