//! From the bytes of a source's body to frames of a channel. Nothing here knows the host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::format::{Codec, Format, Frame, Framer, Packer, Parser, Tags, Unfit, What};

use super::body::Body;

/// So much sound a source may be ahead of the clock: sources send as fast as one listens, and
/// catch up when the network held them up. More would only push listeners out.
const AHEAD: Duration = Duration::from_secs(60);

/// What came out of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A logical stream of Ogg begins, coded so, and called so.
    Begins(Codec, Tags),
    /// Something for listeners.
    Frame(Frame),
}

/// Why no more comes out of it.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The source said that it is over.
    Over,
    /// The chunks are none.
    Chunks,
    /// It is not what it is said to be.
    Unfit(Unfit),
    /// It is sent faster than one listens.
    TooFast,
}

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    body: Body,
    framer: Framer,
    packer: Packer,
    /// Those of the logical stream that plays.
    headers: Vec<u8>,
    /// How much more sound came than time passed, until when.
    ahead: Duration,
    until_ms: u64,
}

impl Feed {
    /// Before the first byte. `only`: what the mount carries; see [`Parser::new`] for `serial`.
    pub fn new(body: Body, format: Format, only: Option<Codec>, serial: u32, now_ms: u64) -> Self {
        let framer = Framer::new(Parser::new(format, only, serial));
        let (packer, headers) = (Packer::default(), Vec::new());
        Self { body, framer, packer, headers, ahead: Duration::ZERO, until_ms: now_ms }
    }

    /// Take what came. What is complete goes to `out`, also where it ends.
    pub fn push(&mut self, bytes: &[u8], now_ms: u64, out: &mut Vec<Heard>) -> Result<(), End> {
        let passed = Duration::from_millis(now_ms.saturating_sub(self.until_ms));
        // Also where the clock was set back: it counts from there.
        self.until_ms = now_ms;
        self.ahead = self.ahead.saturating_sub(passed);
        let (mut frames, mut unfit) = (Vec::new(), None);
        let Self { body, framer, packer, headers, ahead, .. } = self;
        let taken = body.take(bytes, |part| {
            if unfit.is_some() {
                return;
            }
            let pushed = framer.push(part, |what, piece| match what {
                What::Sound(lasts) => {
                    packer.sound(piece, lasts, &mut frames);
                    *ahead += lasts;
                }
                What::Headers(begins) => {
                    headers.clone_from(&begins.pages);
                    packer.headers(begins.pages, &mut frames);
                    out.extend(frames.drain(..).map(Heard::Frame));
                    out.push(Heard::Begins(begins.codec, begins.tags));
                }
                What::Nothing => {}
            });
            unfit = pushed.err();
        });
        out.extend(frames.into_iter().map(Heard::Frame));
        if let Some(unfit) = unfit {
            return Err(End::Unfit(unfit));
        }
        taken.map_err(|_| End::Chunks)?;
        if self.body.is_over() {
            return Err(End::Over);
        }
        if self.ahead > AHEAD { Err(End::TooFast) } else { Ok(()) }
    }

    /// What is complete but too little for a frame of its own.
    pub fn flush(&mut self) -> Option<Frame> {
        let mut frames = Vec::new();
        self.packer.flush(&mut frames);
        frames.pop()
    }

    /// What listeners need who heard something else in between: the headers of Ogg, once more.
    pub fn renew(&mut self) -> Option<Frame> {
        let Parser::Ogg(ogg) = self.framer.parser() else { return None };
        if self.headers.is_empty() {
            return None;
        }
        self.headers = ogg.renew(&self.headers);
        let bytes = self.headers.clone();
        Some(Frame { bytes, lasts: Duration::ZERO, is_headers: true })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::format::{ogg::page, tests::*};

    fn feed(format: Format, body: Body) -> Feed {
        Feed::new(body, format, None, 1, 0)
    }

    fn bytes(heard: &[Heard]) -> Vec<u8> {
        let frame = |heard: &Heard| match heard {
            Heard::Frame(frame) => frame.bytes.clone(),
            Heard::Begins(..) => vec![],
        };
        heard.iter().flat_map(frame).collect()
    }

    #[test]
    fn a_source_that_is_faster_than_time_ends() {
        let (mut feed, mut out) = (feed(Format::Mp3, Body::Open), vec![]);
        // 26 ms each: 52 s of sound at once are fine, and again half a minute later.
        assert_eq!(feed.push(&mp3(2000), 0, &mut out), Ok(()));
        assert_eq!(feed.push(&mp3(1000), 30_000, &mut out), Ok(()));
        assert_eq!(feed.push(&mp3(1000), 30_001, &mut out), Err(End::TooFast));
    }

    #[test]
    fn what_is_whole_is_heard_before_the_end() {
        for (mut feed, sent, end) in [
            (feed(Format::Mp3, Body::Long(12 * 417)), mp3(20), End::Over),
            (
                feed(Format::Ogg, Body::Open),
                [opus(1, "x", 3), b"OggS\0x".repeat(20_000)].concat(),
                End::Unfit(Unfit("this is not Ogg")),
            ),
        ] {
            let mut out = vec![];
            assert_eq!(feed.push(&sent, 0, &mut out), Err(end));
            assert!(bytes(&out).len() > 3700);
        }
    }

    #[test]
    fn headers_are_a_frame_before_the_sound_and_can_be_renewed() {
        let (mut feed, mut out) = (feed(Format::Ogg, Body::Open), vec![]);
        assert_eq!(feed.renew(), None);
        feed.push(&opus(9, "song", 2), 0, &mut out).unwrap();
        let [Heard::Frame(headers), Heard::Begins(codec, tags), Heard::Frame(_), Heard::Frame(_)] =
            &out[..]
        else {
            panic!("{out:?}")
        };
        assert!(headers.is_headers && page::is_beginning(&headers.bytes));
        assert_eq!((codec, tags.title.as_str()), (&Codec::Opus, "song"));
        let renewed = feed.renew().unwrap();
        assert!(renewed.bytes != headers.bytes && renewed.bytes.len() == headers.bytes.len());
    }

    proptest! {
        #[test]
        fn a_source_that_is_saved_anywhere_loses_no_byte(
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
            format in prop::sample::select(vec![Format::Mp3, Format::Aac, Format::Ogg]),
        ) {
            let sent = match format {
                Format::Mp3 => mp3(60),
                Format::Aac => aac(60),
                Format::Ogg => opus(3, "x", 9),
            };
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
            at.extend([0, sent.len()]);
            at.sort_unstable();
            let (mut swapped, mut heard) = (feed(format, Body::Open), vec![]);
            for pair in at.windows(2) {
                swapped.push(&sent[pair[0]..pair[1]], 0, &mut heard).unwrap();
                swapped = rmp_serde::from_slice(&rmp_serde::to_vec_named(&swapped).unwrap()).unwrap();
            }
            let (mut whole, mut wanted) = (feed(format, Body::Open), vec![]);
            whole.push(&sent, 0, &mut wanted).unwrap();
            prop_assert!(heard == wanted && swapped.flush() == whole.flush());
        }
    }
}
