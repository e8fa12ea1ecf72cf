//! Listeners: what `GET /radio/lobby.mp3` gets, and the files that players open instead.

use trellis_sdk::channels::{self, Frame, Start};
use trellis_sdk::connection::{Accepted, Connections, Event, Refused, Request, Transport};
use trellis_sdk::log;

use crate::clock::now_ms;
use crate::format::{Format, ogg::page};
use crate::lists::{Entry, List};
use crate::mount::{self, About, Mount, Record};
use crate::settings::{self, Settings};
use crate::status::{self, Status};
use crate::store::{self, Store};

/// What a player gets at once: four seconds of 128 kbit/s.
const BURST: u32 = 64 << 10;
/// So many frames of a channel are looked at for the beginning of a logical stream of Ogg.
const FRAMES: u32 = 64;
/// The title comes after each so many bytes.
const TITLE_EVERY: u32 = 16_000;

/// The listeners.
pub struct Listeners;

impl Connections for Listeners {
    fn open(request: Request) -> Result<Accepted, Refused> {
        let settings = settings::get().as_ref().map_err(|error| {
            log::error(error);
            refuse(503, "the settings of the radio have a mistake: see the log")
        })?;
        match find(&request, settings) {
            Ok(found) => found,
            Err(error) => {
                log::error(error);
                Err(refuse(503, "the radio cannot remember anything right now")
                    .header("retry-after", "5"))
            }
        }
    }

    /// Listeners say nothing, and their end changes nothing but a number that the host has.
    fn events(_: Vec<Event>) {}
}

fn find(request: &Request, settings: &Settings) -> store::Result<Result<Accepted, Refused>> {
    // The last part of the path, whatever route led here. No mount's name needs to be decoded.
    let name = request.path.rsplit('/').next().unwrap_or_default();
    if let Some((list, stem)) = List::of_name(name) {
        return Ok(Err(playlist(list, stem, request, settings)?));
    }
    let Some((mount, record)) = known(name)? else {
        return Ok(Err(refuse(404, "there is no such mount: /radio shows all")));
    };
    if request.transport != Transport::Stream {
        return Ok(Err(refuse(406, "this is sound: ask for it with a plain GET")));
    }
    let status = Status::of(mount, &record, now_ms(), settings)?;
    if !status.sounds {
        let text = "nobody plays here at the moment, and there is no playlist";
        return Ok(Err(refuse(503, text).header("retry-after", "10")));
    }
    let accepted = dress(&status);
    let channel = status.mount.channel();
    if record.format == Format::Ogg {
        let (headers, start) = beginning(&channels::recent(&channel, FRAMES));
        let headers = match headers {
            Some(headers) => Some(headers),
            None => store::raw(Store::Headers, status.mount.name())?,
        };
        let accepted = accepted.join(channel, start);
        return Ok(Ok(match headers {
            Some(headers) => accepted.first(headers),
            None => accepted,
        }));
    }
    let accepted = accepted.join(channel, Start::Burst(BURST));
    Ok(Ok(match request.header("icy-metadata") {
        Some("1") => accepted.icy(TITLE_EVERY),
        _ => accepted,
    }))
}

fn known(name: &str) -> store::Result<Option<(Mount, Record)>> {
    let Some(mount) = Mount::named(name) else { return Ok(None) };
    let record = mount.record()?;
    Ok(record.map(|record| (mount, record)))
}

/// What the answer says of the mount.
fn dress(status: &Status) -> Accepted {
    let About { genre, description, url, public, bitrate, .. } = &status.about;
    let mut accepted = Accepted::new()
        .tag("listener")
        .header("content-type", status.content_type)
        .header("cache-control", "no-store")
        .header("access-control-allow-origin", "*")
        .header(
            "access-control-expose-headers",
            "icy-name, icy-description, icy-genre, icy-br, icy-url",
        )
        .header("x-content-type-options", "nosniff")
        .header("icy-pub", if *public { "1" } else { "0" });
    let bitrate = if *bitrate > 0 { bitrate.to_string() } else { String::new() };
    let fields = [
        ("icy-name", status.name()),
        ("icy-genre", genre),
        ("icy-description", description),
        ("icy-url", url),
        ("icy-br", &bitrate),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        accepted = accepted.header(name, About::field(value));
    }
    accepted
}

/// The headers among the last frames of a channel, and where to begin behind them. A frame that
/// comes meanwhile lets it begin one later, which nobody hears.
fn beginning(frames: &[Frame]) -> (Option<Vec<u8>>, Start) {
    let bytes = |frame: &Frame| match frame {
        Frame::Binary(bytes) => bytes.clone(),
        Frame::Text(text) => text.clone().into_bytes(),
    };
    let (mut size, mut count) = (0, 0);
    for frame in frames.iter().rev() {
        let bytes = bytes(frame);
        if page::is_beginning(&bytes) {
            return (Some(bytes), Start::Recent(count));
        }
        size += bytes.len();
        // What is older is of the same stream, or else its headers would stand in between.
        if size <= BURST as usize {
            count += 1;
        }
    }
    (None, Start::Recent(count))
}

/// The file that names the mounts of a stem, or the one mount of that name.
fn playlist(
    list: List,
    stem: &str,
    request: &Request,
    settings: &Settings,
) -> store::Result<Refused> {
    let base = status::base(settings, request.header("host"), None);
    let mut entries = Vec::new();
    for mount in mount::all()? {
        if (mount.name() == stem || mount.stem() == stem)
            && let Some(record) = mount.record()?
        {
            let about = record.about();
            let name = if about.name.is_empty() { mount.stem().to_owned() } else { about.name };
            entries.push(Entry { url: format!("{base}/radio/{}", mount.name()), name });
        }
    }
    if entries.is_empty() {
        return Ok(refuse(404, "there is no such mount: /radio shows all"));
    }
    let mut answer = refuse(200, "").header("content-disposition", "inline");
    answer.headers.retain(|(name, _)| name != "content-type");
    answer.body = list.write(&entries).into_bytes();
    Ok(answer.header("content-type", list.content_type()))
}

fn refuse(status: u16, text: &str) -> Refused {
    let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
    Refused::new(status, text)
        .header("cache-control", "no-store")
        .header("access-control-allow-origin", "*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tests::{ogg_page, opus_headers};

    fn count(start: Start) -> u32 {
        if let Start::Recent(count) = start { count } else { panic!("{start:?}") }
    }

    #[test]
    fn who_comes_hears_nothing_of_the_stream_before() {
        let sound = || Frame::Binary(ogg_page(0, 1, 1, &[0; 4000]));
        let (one, other) = (opus_headers(1, "one"), opus_headers(2, "other"));
        let frames = [Frame::Binary(one), sound(), sound(), Frame::Binary(other.clone()), sound()];
        let (headers, start) = beginning(&frames);
        assert_eq!((headers, count(start)), (Some(other), 1));
        // The headers are out of reach: not more than a burst.
        let many: Vec<_> = (0..40).map(|_| sound()).collect();
        let (headers, start) = beginning(&many);
        assert_eq!((headers, count(start)), (None, 16));
        assert_eq!(count(beginning(&[]).1), 0);
    }
}
