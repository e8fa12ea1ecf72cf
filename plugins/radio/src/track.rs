//! Tracks: files that are played when nobody is live.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trellis_sdk::{blobs, log};

use crate::clock::ms;
use crate::format::{Codec, Format, Parser, Tags, What};
use crate::recording::{self, Recording};
use crate::store::{self, Store};

/// The container of `[needs.blobs]`.
pub const CONTAINER: &str = "tracks";
/// As much as a call of the host writes at a time.
const PIECE: usize = 8 << 20;
/// Less sound than this is a mistake.
const SHORTEST: Duration = Duration::from_secs(1);
/// More bytes a second than any sound that one sends.
const DENSEST: u64 = 125_000;

/// What is known of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// Where its bytes are. Another upload of the name is another blob, so that what plays goes on.
    pub blob: String,
    /// What it is.
    pub format: Format,
    /// The same for Ogg.
    pub codec: Option<Codec>,
    /// How long it is to be heard.
    pub lasts_ms: u64,
    /// How many bytes it has.
    pub size: u64,
    /// What it is called, as it says itself.
    #[serde(flatten)]
    pub tags: Tags,
}

impl Track {
    /// The one of this name.
    pub fn named(name: &str) -> store::Result<Option<Self>> {
        store::get(Store::Tracks, name)
    }

    /// What players show while it plays.
    pub fn title(&self, name: &str) -> String {
        let line = self.tags.line();
        if line.is_empty() {
            name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
        } else {
            line
        }
    }
}

/// What a name says of its format; the error says which names there are.
pub fn format_of(name: &str) -> Result<Format, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let format =
        Format::of_name(name).filter(|_| begins && name.len() <= 100 && name.bytes().all(is_plain));
    format.ok_or_else(|| {
        "a track has 1 to 100 letters, digits and `._-` and ends with .mp3, .aac, .ogg or .opus"
            .to_owned()
    })
}

/// Look through the bytes of a file: what it is, and how long.
fn examine(format: Format, file: &[u8]) -> Result<Track, String> {
    let mut parser = Parser::new(format, None, 0);
    let (mut at, mut piece, mut lasts) = (0, Vec::new(), Duration::ZERO);
    let (mut codec, mut tags) = (None, Tags::of_id3(file));
    while let Some(step) = parser
        .step(file.get(at..).unwrap_or_default(), &mut piece)
        .map_err(|error| error.to_string())?
    {
        at += step.used;
        piece.clear();
        match step.what {
            What::Sound(sound) => lasts += sound,
            What::Headers(headers) => {
                if codec.is_some_and(|codec| codec != headers.codec) {
                    return Err("it is Vorbis here and Opus there".to_owned());
                }
                codec = Some(headers.codec);
                tags = headers.tags;
            }
            What::Nothing => {}
        }
    }
    if lasts < SHORTEST {
        return Err(format!(
            "there is not a second of sound in it that is {}",
            format.content_type()
        ));
    }
    let size = file.len() as u64;
    if size / lasts.as_secs().max(1) > DENSEST {
        return Err("it has more than 1 Mbit a second".to_owned());
    }
    Ok(Track { blob: String::new(), format, codec, lasts_ms: ms(lasts), size, tags })
}

/// Keep a file as a track, in place of one of the same name. The inner error is for who sent it.
pub fn put(name: &str, file: &[u8], now_ms: u64) -> Result<Result<Track, String>, String> {
    let examined = format_of(name).and_then(|format| examine(format, file));
    let mut track = match examined {
        Ok(track) => track,
        Err(error) => return Ok(Err(error)),
    };
    track.blob = format!("{name}/{now_ms}");
    let written = write(&track.blob, file, track.format);
    if let Err(error) = written {
        let _ = blobs::delete(CONTAINER, &track.blob);
        return Err(error.to_string());
    }
    keep(name, &track)?;
    Ok(Ok(track))
}

fn write(blob: &str, file: &[u8], format: Format) -> Result<(), blobs::Error> {
    blobs::put(CONTAINER, blob, &[], Some(format.content_type()))?;
    for piece in file.chunks(PIECE) {
        blobs::append(CONTAINER, blob, piece)?;
    }
    Ok(())
}

/// Make a recording a track. The inner error is for who asked.
pub fn put_recording(name: &str, key: &str, now_ms: u64) -> Result<Result<Track, String>, String> {
    let known = Recording::of(key).map_err(|error| error.to_string())?;
    let Some(Recording { format, codec, lasts_ms, dj, began_ms, .. }) = known else {
        return Ok(Err(format!("there is no recording `{key}`")));
    };
    if format_of(name) != Ok(format) {
        return Ok(Err(format!("the name of the track has to end with .{}", format.extension())));
    }
    let blob = format!("{name}/{now_ms}");
    let copied = blobs::copy((recording::CONTAINER, key), (CONTAINER, &blob));
    let Some(info) = copied.map_err(|error| error.to_string())? else {
        return Ok(Err(format!("the recording `{key}` has no sound any more")));
    };
    let tags = Tags { title: crate::clock::iso(began_ms), artist: dj };
    let track = Track { blob, format, codec, lasts_ms, size: info.size, tags };
    keep(name, &track)?;
    Ok(Ok(track))
}

fn keep(name: &str, track: &Track) -> Result<(), String> {
    let before = Track::named(name).map_err(|error| error.to_string())?;
    store::set(Store::Tracks, name, track).map_err(|error| error.to_string())?;
    drop_blob(before);
    Ok(())
}

/// Remove a track; whether there was one.
pub fn delete(name: &str) -> Result<bool, String> {
    let before = Track::named(name).map_err(|error| error.to_string())?;
    store::delete(Store::Tracks, name).map_err(|error| error.to_string())?;
    let was = before.is_some();
    drop_blob(before);
    Ok(was)
}

fn drop_blob(track: Option<Track>) {
    if let Some(track) = track
        && let Err(error) = blobs::delete(CONTAINER, &track.blob)
    {
        log::warn(format_args!("the blob {} stays: {error}", track.blob));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::format::tests::*;

    #[test]
    fn a_file_is_what_is_in_it_and_as_long_as_it_sounds() {
        let track =
            examine(Format::Mp3, &[b"ID3\x04\0\0\0\0\0\0", &mp3(100)[..]].concat()).unwrap();
        assert_eq!((track.lasts_ms, track.codec), (2612, None));
        let track = examine(Format::Ogg, &opus(1, "Song", 3)).unwrap();
        assert_eq!(
            (track.lasts_ms, track.codec, track.title("x.ogg").as_str()),
            (3000, Some(Codec::Opus), "Song")
        );
        assert_eq!(examine(Format::Aac, &aac(100)).unwrap().title("x.aac"), "x");
    }

    #[test]
    fn what_is_no_sound_is_refused() {
        for (format, file) in [
            (Format::Mp3, mp3(10)),
            (Format::Mp3, opus(1, "x", 9)),
            (Format::Ogg, mp3(100)),
            (Format::Aac, vec![0xff; 100_000]),
            (
                Format::Ogg,
                [opus_headers(1, "x"), ogg_page(0, 1, 48_000, &[0; 60_000]).repeat(9)].concat(),
            ),
        ] {
            assert!(examine(format, &file).is_err());
        }
    }

    #[test]
    fn names_say_what_they_are() {
        assert_eq!(format_of("a-1.MP3"), Ok(Format::Mp3));
        for name in ["", ".mp3", "a.wav", "a/b.mp3", "a b.mp3", &format!("{}.mp3", "x".repeat(100))]
        {
            assert!(format_of(name).is_err(), "{name}");
        }
    }
}
