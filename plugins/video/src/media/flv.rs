//! The tags of FLV: one piece of video or audio, with a few bytes about it.

use super::{aac, avc};

/// What a tag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The parameters of the pictures that follow.
    Avc(avc::Parameters),
    /// The parameters of the sound that follows.
    Aac(aac::Parameters),
    /// A picture.
    Picture {
        /// Whether a player can begin with it.
        is_key: bool,
        /// How much later than it is decoded it is shown.
        delay_ms: i32,
        /// What it is made of, each unit behind its length.
        units: &'a [u8],
    },
    /// A frame of sound.
    Sound(&'a [u8]),
    /// Nothing that is passed on.
    Nothing,
}

/// Why a tag cannot be passed on: a sentence for the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);

/// The longest time that a picture may wait to be shown; beyond it the number is not meant.
const LONGEST_DELAY: i32 = 10_000;
const H264: u8 = 7;
const AAC: u8 = 10;
/// Enhanced RTMP: what follows has its codec as four characters.
const ENHANCED_VIDEO: u8 = 0x80;
const ENHANCED_AUDIO: u8 = 9;
/// The packet types of both codecs.
const PARAMETERS: u8 = 0;
const FRAME: u8 = 1;
/// A frame type that is for the player and has no picture.
const INFORMATION: u8 = 5;

/// Read a tag of video. An empty one says nothing.
pub fn video(tag: &[u8]) -> Result<Packet<'_>, Unsupported> {
    let Some((first, rest)) = tag.split_first() else { return Ok(Packet::Nothing) };
    if first & ENHANCED_VIDEO != 0 {
        let codec = four(rest);
        return Err(Unsupported(format!("the video codec `{codec}` is not supported: send H.264")));
    }
    if first >> 4 == INFORMATION {
        return Ok(Packet::Nothing);
    }
    if first & 15 != H264 {
        let codec = first & 15;
        return Err(Unsupported(format!("the video codec {codec} is not supported: send H.264")));
    }
    let Some(([kind, a, b, c], body)) = rest.split_first_chunk() else {
        return Ok(Packet::Nothing);
    };
    match *kind {
        PARAMETERS => avc::Parameters::read(body).map(Packet::Avc).map_err(Unsupported),
        FRAME if body.is_empty() => Ok(Packet::Nothing),
        FRAME => {
            // A number of 24 bits with a sign.
            let delay = i32::from_be_bytes([*a, *b, *c, 0]) >> 8;
            let delay_ms = if delay.abs() > LONGEST_DELAY { 0 } else { delay };
            Ok(Packet::Picture { is_key: first >> 4 == 1, delay_ms, units: body })
        }
        _ => Ok(Packet::Nothing),
    }
}

/// Read a tag of audio. An empty one says nothing.
pub fn audio(tag: &[u8]) -> Result<Packet<'_>, Unsupported> {
    let Some((first, rest)) = tag.split_first() else { return Ok(Packet::Nothing) };
    match first >> 4 {
        AAC => {}
        ENHANCED_AUDIO => {
            let codec = four(rest);
            return Err(Unsupported(format!(
                "the audio codec `{codec}` is not supported: send AAC"
            )));
        }
        codec => {
            return Err(Unsupported(format!("the audio codec {codec} is not supported: send AAC")));
        }
    }
    match rest.split_first() {
        Some((&PARAMETERS, body)) => {
            aac::Parameters::read(body).map(Packet::Aac).map_err(Unsupported)
        }
        Some((&FRAME, body)) if !body.is_empty() => Ok(Packet::Sound(body)),
        _ => Ok(Packet::Nothing),
    }
}

/// The four characters of a codec, as far as they can be shown.
fn four(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(4).filter(|byte| byte.is_ascii_graphic() && **byte != b'`');
    shown.map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_picture_has_its_delay_and_says_whether_it_is_a_key_frame() {
        let picture =
            |is_key, delay_ms| Packet::Picture { is_key, delay_ms, units: &[0, 0, 0, 1, 9] };
        let body = [0, 0, 0, 1, 9];
        let tag = |first: u8, delay: [u8; 3]| [&[first, 1][..], &delay, &body].concat();
        assert_eq!(video(&tag(0x17, [0, 0, 80])).unwrap(), picture(true, 80));
        assert_eq!(video(&tag(0x27, [255, 255, 255])).unwrap(), picture(false, -1));
        assert_eq!(video(&tag(0x27, [127, 255, 255])).unwrap(), picture(false, 0));
    }

    #[test]
    fn codecs_that_are_not_passed_on_are_named() {
        let said = |tag: &[u8]| video(tag).unwrap_err().0;
        assert!(said(b"\x90hvc1....").contains("`hvc1`"));
        assert!(said(b"\x90av01").contains("`av01`"));
        assert!(said(b"\x90\0`").contains("``"));
        assert!(said(&[0x12, 0]).contains("codec 2 "));
        assert!(said(&[0x1c, 0]).contains("codec 12 "));
        let said = |tag: &[u8]| audio(tag).unwrap_err().0;
        assert!(said(b"\x91Opus").contains("`Opus`"));
        assert!(said(&[0x2f, 0]).contains("codec 2 "));
    }

    #[test]
    fn what_is_empty_or_of_no_use_says_nothing() {
        for tag in
            [&[][..], &[0x17], &[0x17, 1, 0, 0], &[0x17, 1, 0, 0, 0], &[0x17, 2, 0, 0, 0], &[0x57]]
        {
            assert_eq!(video(tag), Ok(Packet::Nothing), "{tag:?}");
        }
        for tag in [&[][..], &[0xaf], &[0xaf, 1], &[0xaf, 7, 1]] {
            assert_eq!(audio(tag), Ok(Packet::Nothing), "{tag:?}");
        }
    }

    proptest! {
        #[test]
        fn any_tag_is_a_packet_or_not(tag in prop::collection::vec(any::<u8>(), 0..200), begin: bool) {
            let begun = |first: [u8; 5]| [&first[..], &tag].concat();
            let (picture, sound) = (begun([0x17, 0, 0, 0, 0]), begun([0xaf, 0, 0x12, 0x10, 0]));
            let _ = video(if begin { &picture } else { &tag });
            let _ = audio(if begin { &sound } else { &tag });
        }
    }
}
