//! The media of a stream: from the tags of FLV, in which RTMP carries them, to fragments of MP4.
//!
//! ```text
//! tag ─ flv ─ Packet ─ segmenter ─▶ Part (initialisation), Segment
//!        avc, aac (parameters)  └ clock (times that go on), mp4 (boxes)
//! ```

mod aac;
mod avc;
mod clock;
mod flv;
mod mp4;
mod segmenter;

pub use flv::{Packet, audio, video};
pub use segmenter::{Made, Part, Segment, Segmenter};

#[cfg(test)]
pub use avc::tests::RECORD;
