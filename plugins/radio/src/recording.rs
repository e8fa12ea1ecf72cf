//! What was live, kept as blobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trellis_sdk::{blobs, log};

use crate::clock::{self, ms};
use crate::format::{Codec, Format, Frame};
use crate::mount::Mount;
use crate::store::{self, Store};

/// The container of `[needs.blobs]`.
pub const CONTAINER: &str = "recordings";
/// So much is gathered before it is written: each write waits for the disk.
const PIECE: usize = 64 << 10;

/// What is known of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Where it was live.
    pub mount: Mount,
    /// Who played.
    pub dj: String,
    /// What it is.
    pub format: Format,
    /// The same for Ogg.
    pub codec: Option<Codec>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How long it is to be heard, as far as it is written.
    pub lasts_ms: u64,
}

impl Recording {
    /// The one with this key, `lobby.mp3/20261122T131950Z-ada.mp3`.
    pub fn of(key: &str) -> store::Result<Option<Self>> {
        store::get(Store::Recordings, key)
    }

    fn key(&self) -> String {
        let (mount, began, end) =
            (self.mount.name(), clock::compact(self.began_ms), self.format.extension());
        format!("{mount}/{began}-{}.{end}", self.dj)
    }
}

/// Writes a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorder {
    key: String,
    waiting: Vec<u8>,
    /// How long what waits is to be heard.
    lasts: Duration,
}

impl Recorder {
    /// Go on with a recording, or begin one.
    pub fn begin(again: Option<String>, new: &Recording) -> Result<Self, String> {
        let writes = |key: String| Self { key, waiting: Vec::new(), lasts: Duration::ZERO };
        if let Some(key) = again
            && Recording::of(&key).map_err(|error| error.to_string())?.is_some()
        {
            return Ok(writes(key));
        }
        let key = new.key();
        let begun = blobs::put(CONTAINER, &key, &[], Some(new.format.content_type()));
        begun.map_err(|error| error.to_string())?;
        store::set(Store::Recordings, &key, new).map_err(|error| error.to_string())?;
        Ok(writes(key))
    }

    /// The recording's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Add what was heard.
    pub fn add(&mut self, frame: &Frame) -> Result<(), String> {
        self.waiting.extend_from_slice(&frame.bytes);
        self.lasts += frame.lasts;
        if self.waiting.len() >= PIECE { self.write().map(drop) } else { Ok(()) }
    }

    /// Write what waits; how long the whole is then.
    fn write(&mut self) -> Result<Duration, String> {
        let Some(mut known) = Recording::of(&self.key).map_err(|error| error.to_string())? else {
            return Err("somebody deleted it".to_owned());
        };
        if !self.waiting.is_empty() {
            blobs::append(CONTAINER, &self.key, &self.waiting)
                .map_err(|error| error.to_string())?;
            known.lasts_ms += ms(self.lasts);
            store::set(Store::Recordings, &self.key, &known).map_err(|error| error.to_string())?;
            (self.waiting, self.lasts) = (Vec::new(), Duration::ZERO);
        }
        Ok(Duration::from_millis(known.lasts_ms))
    }

    /// Write the rest. One that is shorter than `shortest` is dropped.
    pub fn finish(mut self, shortest: Duration) {
        match self.write() {
            Ok(lasts) if lasts < shortest => {
                log::info(format_args!(
                    "the recording {} is dropped: it has {} s only",
                    self.key,
                    lasts.as_secs()
                ));
                if let Err(error) = delete(&self.key) {
                    log::warn(format_args!("the recording {} stays: {error}", self.key));
                }
            }
            Ok(lasts) => log::info(format_args!("recorded {}: {} s", self.key, lasts.as_secs())),
            Err(error) => {
                log::error(format_args!("the end of the recording {} is lost: {error}", self.key))
            }
        }
    }
}

/// All recordings with their keys, in the order of the keys.
pub fn all() -> store::Result<Vec<(String, Recording)>> {
    let mut all = Vec::new();
    for key in store::keys(Store::Recordings)? {
        all.extend(Recording::of(&key)?.map(|recording| (key, recording)));
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all)
}

/// Remove a recording; a missing one is fine.
pub fn delete(key: &str) -> Result<(), String> {
    store::delete(Store::Recordings, key).map_err(|error| error.to_string())?;
    blobs::delete(CONTAINER, key).map_err(|error| error.to_string())
}
