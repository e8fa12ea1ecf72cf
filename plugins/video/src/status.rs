//! What is live and what was recorded, as JSON.

use serde::Serialize;
use trellis_sdk::http::{Error, Response, Result};
use trellis_sdk::{blobs, log};

use crate::names::Name;
use crate::playlist::date;
use crate::shelf::{Host, RECORDINGS, Shelf};
use crate::stream::{State, Stream};
use crate::viewers;

/// How many recordings are listed, the newest.
const RECENT: usize = 50;

/// All of it.
#[derive(Serialize)]
struct Status {
    streams: Vec<Shown>,
    recordings: Vec<Recording>,
}

/// A stream of which there is something to see.
#[derive(Serialize)]
struct Shown {
    app: String,
    name: String,
    state: State,
    since: String,
    codecs: String,
    width: Option<u16>,
    height: Option<u16>,
    /// Bits a second.
    bitrate: u64,
    viewers: u32,
}

#[derive(Serialize)]
struct Recording {
    app: String,
    name: String,
    file: String,
    bytes: u64,
    /// When it was last written.
    modified: String,
}

/// Answer with what there is at a time.
pub fn answer(now_ms: u64) -> Result {
    let away = |error| {
        log::error(error);
        Error::status(503, "the streams cannot be read right now: try again in a while")
    };
    let mut streams = Vec::new();
    for name in Host.names().map_err(away)? {
        let stream = Host.stream(&name).map_err(away)?;
        streams.extend(Shown::of(name, &stream, now_ms, viewers::watching));
    }
    let recordings = recordings().map_err(|error| away(error.to_string()))?;
    Ok(Response::json(&Status { streams, recordings })?.with_header("cache-control", "no-store"))
}

impl Shown {
    fn of(
        name: Name,
        stream: &Stream,
        now_ms: u64,
        watching: impl Fn(&Name) -> u32,
    ) -> Option<Self> {
        let state = stream.state(now_ms);
        let part = stream.part.as_ref()?;
        (state != State::Gone).then(|| Self {
            viewers: watching(&name),
            app: name.app,
            name: name.name,
            state,
            since: date(stream.since_ms),
            codecs: part.codecs.clone(),
            width: part.size.map(|size| size.0),
            height: part.size.map(|size| size.1),
            bitrate: stream.bits().1,
        })
    }
}

fn recordings() -> std::result::Result<Vec<Recording>, blobs::Error> {
    let mut entries = blobs::all(RECORDINGS, "").collect::<std::result::Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.info.modified_ms));
    let recording = |entry: blobs::Entry| {
        let (stream, file) = entry.key.rsplit_once('/')?;
        let Name { app, name } = Name::of(stream)?;
        let (bytes, modified) = (entry.info.size, date(entry.info.modified_ms));
        Some(Recording { app, name, file: file.to_owned(), bytes, modified })
    };
    Ok(entries.into_iter().take(RECENT).filter_map(recording).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stream::tests::stream;

    #[test]
    fn a_stream_is_shown_with_what_it_is_until_nothing_is_left() {
        let (stream, name) = (stream(3), Name::new("live", "show").unwrap());
        let shown = Shown::of(name.clone(), &stream, stream.heard_ms, |_| 7).unwrap();
        assert_eq!(
            serde_json::to_value(shown).unwrap(),
            serde_json::json!({
                "app": "live", "name": "show", "state": "live", "since": "1970-01-01T00:16:40.000Z",
                "codecs": "avc1.64001e,mp4a.40.2", "width": 640, "height": 360,
                "bitrate": 400_000, "viewers": 7,
            })
        );
        assert!(Shown::of(name, &stream, stream.heard_ms + 300_000, |_| 7).is_none());
    }
}
