//! Formats that are one frame after the other, each with a header that tells its length: MPEG audio
//! and ADTS. A frame is taken for one when it follows a frame, or when another one follows it.

use std::time::Duration;

use memchr::memchr2;
use serde::{Deserialize, Serialize};

use super::{Step, What, adts, mpeg};

/// Enough bytes to read any header, and the head of a tag.
pub const HEAD: usize = 10;
/// A larger tag is none: covers have some megabytes.
const MAX_TAG: u64 = 16 << 20;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole frame.
    pub length: usize,
    /// How long it is to be heard.
    pub lasts: Duration,
    /// What all frames of a stream have in common.
    pub kind: u32,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coding {
    /// MPEG audio, layer III.
    Mpeg,
    /// AAC in ADTS.
    Adts,
}

impl Coding {
    fn header(self, bytes: &[u8]) -> Option<Header> {
        match self {
            Self::Mpeg => mpeg::header(bytes),
            Self::Adts => adts::header(bytes),
        }
    }

    /// Whether a frame says something about its file instead of sounding.
    fn is_about(self, frame: &[u8]) -> bool {
        self == Self::Mpeg && mpeg::is_about(frame)
    }
}

/// Where the parser of a stream of frames is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    coding: Coding,
    /// What the frames have in common, while one follows the other.
    kind: Option<u32>,
    /// Bytes of a tag that are still to come.
    tag: u64,
}

impl Frames {
    /// Before the first byte.
    pub fn new(coding: Coding) -> Self {
        Self { coding, kind: None, tag: 0 }
    }

    /// See [`super::Parser::step`].
    pub fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Step> {
        if self.tag > 0 && !bytes.is_empty() {
            let left = usize::try_from(self.tag).unwrap_or(usize::MAX);
            let used = left.min(bytes.len());
            self.tag -= used as u64;
            return Step::skip(used);
        }
        if bytes.len() < HEAD {
            return None;
        }
        if let Some(length) = tag(bytes) {
            self.tag = length;
            return Step::skip(HEAD);
        }
        let Some(header) = self.coding.header(bytes) else {
            self.kind = None;
            return Step::skip(1 + memchr2(0xff, b'I', &bytes[1..]).unwrap_or(bytes.len() - 1));
        };
        self.kind = self.kind.filter(|kind| *kind == header.kind);
        if self.kind.is_none() {
            let next = bytes.get(header.length..).filter(|next| next.len() >= HEAD)?;
            let next = self.coding.header(next);
            if next.is_none_or(|next| next.kind != header.kind) {
                return Step::skip(1);
            }
            self.kind = Some(header.kind);
        }
        let frame = bytes.get(..header.length)?;
        if self.coding.is_about(frame) {
            return Step::skip(frame.len());
        }
        out.extend_from_slice(frame);
        Some(Step { used: frame.len(), what: What::Sound(header.lasts) })
    }
}

/// The bytes behind the head of an ID3v2 tag that begins here.
fn tag(bytes: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', major, minor, _, size @ ..] = bytes.first_chunk::<HEAD>()? else {
        return None;
    };
    if *major == 0xff || *minor == 0xff || size.iter().any(|byte| *byte >= 0x80) {
        return None;
    }
    let size = size.iter().fold(0, |sum, byte| sum << 7 | u64::from(*byte));
    (size <= MAX_TAG).then_some(size)
}
