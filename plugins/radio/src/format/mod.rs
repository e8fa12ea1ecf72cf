//! Audio as it is sent: what stands in the bytes of a source or of a track, where it may be cut, and
//! how long each piece lasts. Nothing is decoded.
//!
//! ```text
//! bytes, cut anywhere ─ Framer ─ Parser (frames of MPEG and AAC, pages of Ogg) ─▶ pieces ─ Packer ─▶ frames of a channel
//! ```

mod adts;
mod framer;
mod frames;
mod mpeg;
pub mod ogg;
mod pack;
mod tags;
#[cfg(test)]
pub mod tests;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use framer::Framer;
pub use ogg::Codec;
pub use pack::{Frame, Packer};
pub use tags::{Tags, clean};

use frames::{Coding, Frames};
use ogg::Ogg;

/// The most bytes that a [`Parser`] looks at before it knows what they are: the largest page of Ogg.
pub const MAX_PIECE: usize = ogg::MAX_PAGE;

/// How audio is laid out in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// MPEG audio, layer III.
    Mp3,
    /// AAC in ADTS.
    Aac,
    /// Vorbis or Opus in Ogg.
    Ogg,
}

impl Format {
    /// The format that a media type names.
    pub fn of_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Some(match essence.to_ascii_lowercase().as_str() {
            "audio/mpeg" | "audio/mp3" | "audio/x-mpeg" => Self::Mp3,
            "audio/aac" | "audio/aacp" | "audio/x-aac" => Self::Aac,
            "audio/ogg" | "application/ogg" | "audio/opus" | "audio/vorbis" => Self::Ogg,
            _ => return None,
        })
    }

    /// The format that the end of a name stands for.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once('.')?;
        Some(match end.to_ascii_lowercase().as_str() {
            "mp3" => Self::Mp3,
            "aac" => Self::Aac,
            "ogg" | "oga" | "opus" => Self::Ogg,
            _ => return None,
        })
    }

    /// What players call it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::Ogg => "audio/ogg",
        }
    }

    /// How names of files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Ogg => "ogg",
        }
    }
}

/// What a [`Parser`] found at the beginning of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing to hear: tags, garbage, a part of the headers.
    Nothing,
    /// A whole frame or page that lasts so long; it was written out.
    Sound(Duration),
    /// A logical stream of Ogg begins: what its players need before its sound.
    Headers(Headers),
}

/// The beginning of a logical stream of Ogg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Whole pages.
    pub pages: Vec<u8>,
    /// What it is coded with.
    pub codec: Codec,
    /// What its comments say.
    pub tags: Tags,
}

/// How far a [`Parser`] came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// So many bytes are done; at least one.
    pub used: usize,
    /// What they were.
    pub what: What,
}

impl Step {
    fn skip(used: usize) -> Option<Self> {
        Some(Self { used, what: What::Nothing })
    }
}

/// Why bytes cannot be what they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(pub &'static str);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Finds pieces of sound in bytes. Whatever does not belong to the format is passed over, and sound
/// is found again behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Parser {
    /// MPEG audio or ADTS.
    Frames(Frames),
    /// Ogg.
    Ogg(Ogg),
}

impl Parser {
    /// One for a format. `serial` is the number of the first logical stream of Ogg that is written;
    /// the next ones count up. One that an earlier part of the channel had would confuse players.
    pub fn new(format: Format, only: Option<Codec>, serial: u32) -> Self {
        match format {
            Format::Mp3 => Self::Frames(Frames::new(Coding::Mpeg)),
            Format::Aac => Self::Frames(Frames::new(Coding::Adts)),
            Format::Ogg => Self::Ogg(Ogg::new(only, serial)),
        }
    }

    /// Look at the beginning of `bytes`, and add the piece of sound that stands there to `out`.
    /// `None`: they are too few to tell; [`MAX_PIECE`] and a few are always enough.
    pub fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, Unfit> {
        match self {
            Self::Frames(frames) => Ok(frames.step(bytes, out)),
            Self::Ogg(ogg) => ogg.step(bytes, out),
        }
    }
}
