//! What was live, kept as blobs.

use std::{fmt, time::Duration};

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
/// So much may wait for a store that is away.
const MOST: usize = 1 << 20;

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

/// Why something was not written.
enum Lost {
    /// There is no such recording any more.
    Deleted,
    /// A store cannot be reached, or takes no more.
    Away(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("somebody deleted it"),
            Self::Away(error) => f.write_str(error),
        }
    }
}

/// Writes a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorder {
    key: String,
    waiting: Vec<u8>,
    /// How long what is not noted yet is to be heard.
    lasts: Duration,
    /// What it carries, as soon as that is known.
    codec: Option<Codec>,
    /// How much has to wait until it is written.
    due: usize,
}

impl Recorder {
    /// Go on with a recording, or begin one.
    pub fn begin(again: Option<String>, new: &Recording) -> Result<Self, String> {
        let writes = |key: String| Self {
            key,
            waiting: Vec::new(),
            lasts: Duration::ZERO,
            codec: new.codec,
            due: PIECE,
        };
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

    /// It is known how the sound is coded.
    pub fn carries(&mut self, codec: Codec) {
        self.codec = self.codec.or(Some(codec));
    }

    /// Add what was heard. A store that is away for a while ends no recording.
    pub fn add(&mut self, frame: &Frame) -> Result<(), String> {
        self.waiting.extend_from_slice(&frame.bytes);
        self.lasts += frame.lasts;
        if self.waiting.len() < self.due {
            return Ok(());
        }
        match self.write() {
            Ok(_) => self.due = PIECE,
            Err(Lost::Away(error)) if self.waiting.len() < MOST => {
                log::warn(format_args!("the recording {} waits: {error}", self.key));
                self.due = self.waiting.len() + PIECE;
            }
            Err(lost) => return Err(lost.to_string()),
        }
        Ok(())
    }

    /// Write what waits; how long the whole is then.
    fn write(&mut self) -> Result<Duration, Lost> {
        let away = |error: &dyn fmt::Display| Lost::Away(error.to_string());
        let known = Recording::of(&self.key).map_err(|error| away(&error))?;
        let mut known = known.ok_or(Lost::Deleted)?;
        if !self.waiting.is_empty() {
            blobs::append(CONTAINER, &self.key, &self.waiting).map_err(|error| away(&error))?;
            self.waiting.clear();
        }
        if !self.lasts.is_zero() {
            known.lasts_ms += ms(self.lasts);
            known.codec = known.codec.or(self.codec);
            store::set(Store::Recordings, &self.key, &known).map_err(|error| away(&error))?;
            self.lasts = Duration::ZERO;
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

/// Remove the oldest recordings beyond so many bytes.
pub fn drop_oldest(most: u64) -> Result<(), String> {
    for entry in blobs::surplus(CONTAINER, most).map_err(|error| error.to_string())? {
        delete(&entry.key)?;
        log::info(format_args!("the recording {} is dropped: there are too many", entry.key));
    }
    Ok(())
}

/// Remove a recording; a missing one is fine.
pub fn delete(key: &str) -> Result<(), String> {
    store::delete(Store::Recordings, key).map_err(|error| error.to_string())?;
    blobs::delete(CONTAINER, key).map_err(|error| error.to_string())
}
