//! Puts pieces of sound together to frames of a channel. To send a frame to a listener costs the
//! same for one byte as for a few thousand, so frames are as large as players do not mind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A frame has at most so many bytes, unless one piece has more: a third of a second of 128 kbit/s.
const BYTES: usize = 5120;
/// A frame lasts about so long at most, so that what is heard is not much older than what was said.
const LASTS: Duration = Duration::from_millis(300);

/// Whole pieces of sound, or the headers of a logical stream of Ogg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// What goes to the channel.
    pub bytes: Vec<u8>,
    /// How long it is to be heard; headers: not at all.
    pub lasts: Duration,
    /// Whether a logical stream of Ogg begins with it.
    pub is_headers: bool,
}

/// Gathers pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packer {
    waiting: Frame,
}

impl Packer {
    /// Add a piece of sound; frames that are complete now go to `out`.
    pub fn sound(&mut self, piece: &[u8], lasts: Duration, out: &mut Vec<Frame>) {
        if self.waiting.bytes.len() + piece.len() > BYTES {
            self.flush(out);
        }
        self.waiting.bytes.extend_from_slice(piece);
        self.waiting.lasts += lasts;
        if self.waiting.lasts >= LASTS || self.waiting.bytes.len() >= BYTES {
            self.flush(out);
        }
    }

    /// Add headers, which are a frame of their own.
    pub fn headers(&mut self, pages: Vec<u8>, out: &mut Vec<Frame>) {
        self.flush(out);
        out.push(Frame { bytes: pages, lasts: Duration::ZERO, is_headers: true });
    }

    /// Hand over what waits.
    pub fn flush(&mut self, out: &mut Vec<Frame>) {
        if !self.waiting.bytes.is_empty() {
            out.push(std::mem::take(&mut self.waiting));
        }
    }
}
