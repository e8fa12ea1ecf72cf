#![allow(clippy::unwrap_used)]
//! The parsers against sound that is whole, cut, broken, and none.

use std::time::Duration;

use proptest::prelude::*;

use super::{ogg::page, *};

/// Frames of 128 kbit/s and 44.1 kHz.
pub fn mp3(frames: usize) -> Vec<u8> {
    let one = |number: usize| {
        let mut frame = vec![number as u8 & 0x7f; 417];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        frame
    };
    (0..frames).flat_map(one).collect()
}

/// Frames of 44.1 kHz with 300 bytes each.
pub fn aac(frames: usize) -> Vec<u8> {
    let one = |number: usize| {
        let mut frame = vec![number as u8 & 0x7f; 300];
        frame[..7].copy_from_slice(&[
            0xff,
            0xf1,
            0x50,
            0x80,
            300u16.to_be_bytes()[1] / 8 + 32,
            0x80,
            0xfc,
        ]);
        frame
    };
    (0..frames).flat_map(one).collect()
}

/// A page with one packet.
pub fn ogg_page(flags: u8, serial: u32, clock: u64, packet: &[u8]) -> Vec<u8> {
    let mut bytes = b"OggS\0".to_vec();
    bytes.push(flags);
    bytes.extend(clock.to_le_bytes());
    bytes.extend(serial.to_le_bytes());
    bytes.extend([0; 8]);
    let mut lengths = vec![255; packet.len() / 255];
    lengths.push((packet.len() % 255) as u8);
    bytes.push(lengths.len() as u8);
    bytes.extend(lengths);
    bytes.extend(packet);
    page::sign(&mut bytes);
    bytes
}

/// What a track or a source in Opus begins with.
pub fn opus_headers(serial: u32, title: &str) -> Vec<u8> {
    let comment = format!("TITLE={title}");
    let mut tags = b"OpusTags\x02\0\0\0me\x01\0\0\0".to_vec();
    tags.extend((comment.len() as u32).to_le_bytes());
    tags.extend(comment.bytes());
    let head = ogg_page(2, serial, 0, b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0");
    [head, ogg_page(0, serial, 0, &tags)].concat()
}

/// A logical stream with pages of a second each.
pub fn opus(serial: u32, title: &str, pages: usize) -> Vec<u8> {
    let mut bytes = opus_headers(serial, title);
    for number in 1..=pages {
        bytes.extend(ogg_page(0, serial, 48_000 * number as u64, &[number as u8; 2000]));
    }
    bytes
}

/// All that is found in bytes that come in pieces: the sound, its length, how often headers came.
fn hear(format: Format, pieces: &[&[u8]]) -> (Result<(), Unfit>, Vec<u8>, Duration, usize) {
    let mut framer = Framer::new(Parser::new(format, None, 7));
    let (mut heard, mut lasts, mut begins, mut end) = (vec![], Duration::ZERO, 0, Ok(()));
    for piece in pieces {
        let pushed = framer.push(piece, |what, bytes| {
            heard.extend_from_slice(bytes);
            match what {
                What::Sound(sound) => lasts += sound,
                What::Headers(headers) => {
                    heard.extend(headers.pages);
                    begins += 1;
                }
                What::Nothing => {}
            }
        });
        if pushed.is_err() {
            end = pushed;
            break;
        }
    }
    (end, heard, lasts, begins)
}

#[test]
fn every_frame_is_found_and_lasts_as_long_as_its_header_says() {
    let (end, heard, lasts, _) = hear(Format::Mp3, &[&mp3(100)]);
    assert!(end.is_ok() && heard == mp3(100));
    assert_eq!(lasts.as_micros(), 100 * 26_122_448 / 1000);
    let (end, heard, lasts, _) = hear(Format::Aac, &[&aac(100)]);
    assert_eq!((end, heard.len()), (Ok(()), 30_000));
    assert_eq!(lasts.as_millis(), 2321);
}

#[test]
fn headers_of_all_versions_of_mpeg_are_read() {
    for (bytes, length, micros) in [
        ([0xff, 0xfb, 0x90, 0x00], 417, 26_122),
        ([0xff, 0xfb, 0x92, 0x00], 418, 26_122),
        ([0xff, 0xfa, 0xe4, 0x00], 960, 24_000),
        ([0xff, 0xf3, 0x80, 0xc0], 208, 26_122),
        ([0xff, 0xe3, 0x18, 0xc0], 72, 72_000),
    ] {
        let header = mpeg::header(&bytes).unwrap();
        assert_eq!((header.length, header.lasts.as_micros()), (length, micros), "{bytes:x?}");
    }
    // Another layer, a reserved version, no length, a reserved rate.
    for bytes in
        [[0xff, 0xfd, 0x90, 0], [0xff, 0xeb, 0x90, 0], [0xff, 0xfb, 0, 0], [0xff, 0xfb, 0x9c, 0]]
    {
        assert!(mpeg::header(&bytes).is_none(), "{bytes:x?}");
    }
}

#[test]
fn tags_garbage_and_what_is_about_the_file_are_passed_over() {
    let mut about = mp3(1);
    about[36..40].copy_from_slice(b"Info");
    let tag = [b"ID3\x04\0\0\0\0\x07\x68".as_slice(), &[0xff; 1000]].concat();
    let garbage = [0xff, 0xfb, 0xff, 0x00, 1, 2, 3];
    let sent = [&tag, &about, &mp3(10), garbage.as_slice(), &mp3(10), b"TAG"].concat();
    assert!(hear(Format::Mp3, &[&sent]).1 == [mp3(10), mp3(10)].concat());
}

#[test]
fn a_stream_that_changes_its_rate_goes_on() {
    let mut other = mp3(10);
    for frame in other.chunks_mut(417) {
        frame[2] = 0x94;
    }
    // 384 bytes of 48 kHz, then what the shorter frames leave of the longer ones.
    let shorter: Vec<u8> = other.chunks(417).flat_map(|frame| frame[..384].to_vec()).collect();
    assert_eq!(hear(Format::Mp3, &[&mp3(5), &shorter, &mp3(5)]).1.len(), 10 * 417 + 10 * 384);
}

#[test]
fn a_logical_stream_gets_a_number_of_its_own_and_says_what_plays() {
    let sent = [opus(7, "one", 3), opus(7, "two", 2)].concat();
    let mut framer = Framer::new(Parser::new(Format::Ogg, None, 1000));
    let (mut serials, mut titles, mut lasts) = (vec![], vec![], Duration::ZERO);
    framer
        .push(&sent, |what, bytes| match what {
            What::Headers(headers) => titles.push(headers.tags.title),
            What::Sound(sound) => {
                lasts += sound;
                let page::Found::Page(page) = page::find(bytes) else { panic!("no page") };
                serials.push(page.serial());
            }
            What::Nothing => {}
        })
        .unwrap();
    assert_eq!(titles, ["one", "two"]);
    assert_eq!(serials, [1000, 1000, 1000, 1001, 1001]);
    assert_eq!(lasts, Duration::from_secs(5));
}

#[test]
fn headers_can_be_sent_again_under_a_new_number() {
    let mut framer = Framer::new(Parser::new(Format::Ogg, None, 1));
    let mut pages = vec![];
    let push = framer.push(&opus(7, "x", 1), |what, _| {
        if let What::Headers(headers) = what {
            pages = headers.pages;
        }
    });
    push.unwrap();
    let Parser::Ogg(ogg) = framer.parser() else { panic!() };
    let again = ogg.renew(&pages);
    let page::Found::Page(page) = page::find(&again) else { panic!() };
    assert_eq!((again.len(), page.serial(), page.is_first()), (pages.len(), 2, true));
    assert!(page::is_beginning(&again) && !page::is_beginning(&opus(1, "x", 1)[100..]));
}

#[test]
fn other_codecs_endless_headers_and_what_is_no_ogg_end_the_stream() {
    let flac = [ogg_page(2, 1, 0, b"\x7fFLAC"), ogg_page(0, 1, 0, b"x")].concat();
    let refused = hear(Format::Ogg, &[&flac]).0.unwrap_err();
    assert!(refused.0.contains("neither Vorbis nor Opus"), "{refused}");
    let mut endless = ogg_page(2, 1, 0, b"OpusHead");
    for _ in 0..300 {
        // A packet that never ends.
        let mut page = ogg_page(0, 1, u64::MAX, &[0; 1000]);
        page[26] = 3;
        page.truncate(27 + 3 + 765);
        page::sign(&mut page);
        endless.extend(page);
    }
    assert_eq!(hear(Format::Ogg, &[&endless]).0, Ok(()), "240 KB are not too many");
    assert!(hear(Format::Ogg, &[&endless, &endless[28 + 8..]]).0.is_err());
    assert!(hear(Format::Ogg, &[&b"OggS\0xxxxxxxxxxxxxxxxxxxxxxxxx".repeat(1000)]).0.is_err());
    let mut vorbis = Framer::new(Parser::new(Format::Ogg, Some(Codec::Vorbis), 1));
    let refused = vorbis.push(&opus(1, "x", 1), |_, _| {}).unwrap_err();
    assert!(refused.0.contains("no Vorbis, as the mount does"), "{refused}");
}

#[test]
fn a_clock_that_jumps_takes_no_time() {
    let sent = [
        opus_headers(1, "x"),
        ogg_page(0, 1, 1 << 60, b"a"),
        ogg_page(0, 1, (1 << 60) + 48_000, b"b"),
        ogg_page(0, 1, 5, b"c"),
        ogg_page(0, 1, u64::MAX, b"d"),
    ];
    assert_eq!(hear(Format::Ogg, &[&sent.concat()]).2, Duration::from_secs(1));
}

#[test]
fn titles_are_read_from_id3_and_comments() {
    // Two text frames in Latin-1, as ID3v2.3 has them.
    let text = |id: &str, value: &str| {
        [id.as_bytes(), &(value.len() as u32 + 1).to_be_bytes(), &[0, 0, 0], value.as_bytes()]
            .concat()
    };
    let frames = [text("TIT2", "A title"), text("TPE1", "Somebody")].concat();
    let tag = [b"ID3\x03\0\0\0\0\0".as_slice(), &[frames.len() as u8], &frames, &mp3(3)].concat();
    assert_eq!(Tags::of_id3(&tag).line(), "Somebody - A title");
    assert_eq!(Tags::of_id3(&mp3(3)), Tags::default());
    assert_eq!(Tags::of_comments(b"OpusTags\xff\xff\xff\xff"), Tags::default());
}

#[test]
fn frames_of_a_channel_are_whole_pieces_of_about_5000_bytes() {
    let (mut framer, mut packer) =
        (Framer::new(Parser::new(Format::Mp3, None, 0)), Packer::default());
    let mut frames = vec![];
    let each = |what, bytes: &[u8]| {
        if let What::Sound(lasts) = what {
            packer.sound(bytes, lasts, &mut frames);
        }
    };
    framer.push(&mp3(30), each).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.bytes.len()).collect::<Vec<_>>(), [12 * 417; 2]);
    packer.flush(&mut frames);
    assert!(frames.iter().flat_map(|frame| frame.bytes.clone()).collect::<Vec<_>>() == mp3(30));
    // A low rate does not wait for so many bytes.
    let mut slow = vec![];
    (0..20).for_each(|_| packer.sound(&[0; 72], Duration::from_millis(72), &mut slow));
    assert_eq!(slow.len(), 4);
    // Headers stand alone.
    packer.sound(&[1], Duration::ZERO, &mut slow);
    packer.headers(vec![2], &mut slow);
    assert_eq!(
        (&slow[4].bytes[..], &slow[5].bytes[..], slow[5].is_headers),
        (&[1][..], &[2][..], true)
    );
}

/// Bytes that look like sound here and there.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => (1..5usize).prop_map(mp3),
        3 => (1..5usize).prop_map(aac),
        3 => (0..9u32, 0..4usize).prop_map(|(serial, pages)| opus(serial, "t", pages)),
        1 => Just(b"ID3\x04\0\0\0\0\0\x20".to_vec()),
        1 => Just(b"OggS\0\x02".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let parts = prop::collection::vec(part, 0..8);
    (parts, any::<prop::sample::Index>(), any::<u8>(), 0..3u8).prop_map(
        |(parts, at, byte, change)| {
            let mut bytes = parts.concat();
            if change == 0 && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn any_cutting_of_the_input_gives_the_same_sound(
        bytes in bytes(),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        format in prop::sample::select(vec![Format::Mp3, Format::Aac, Format::Ogg]),
    ) {
        let mut at: Vec<_> = cuts.drain(..).map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert!(hear(format, &pieces) == hear(format, &[&bytes]));
    }

    #[test]
    fn saving_between_two_pieces_changes_nothing(bytes in bytes(), cut in any::<prop::sample::Index>()) {
        for format in [Format::Mp3, Format::Aac, Format::Ogg] {
            let mut whole = Framer::new(Parser::new(format, None, 7));
            let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
            if whole.push(first, |_, _| {}).is_err() {
                continue;
            }
            let saved = rmp_serde::to_vec_named(&whole).unwrap();
            let mut restored: Framer = rmp_serde::from_slice(&saved).unwrap();
            let (mut one, mut other) = (vec![], vec![]);
            let _ = whole.push(second, |what, bytes| one.push((what, bytes.to_vec())));
            let _ = restored.push(second, |what, bytes| other.push((what, bytes.to_vec())));
            prop_assert!(one == other);
        }
    }

    #[test]
    fn tags_of_any_bytes_are_short(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for front in [&b"ID3\x03\0\0\0\0\x02\0TIT2\0\0"[..], b"OpusTags", b"\x03vorbis", b""] {
            let bytes = [front, &bytes].concat();
            prop_assert!(Tags::of_id3(&bytes).line().len() < 700);
            prop_assert!(Tags::of_comments(&bytes).line().len() < 700);
        }
    }
}

proptest! {
    // So many bytes are slow to make.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_parser_always_goes_on_and_knows_after_the_largest_piece(
        bytes in prop::collection::vec(any::<u8>(), MAX_PIECE + 16..MAX_PIECE + 17),
        head in prop::sample::select(vec![&b"OggS\0"[..], b"ID3", b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80"]),
        format in prop::sample::select(vec![Format::Mp3, Format::Aac, Format::Ogg]),
    ) {
        let bytes = [head, &bytes].concat();
        let step = Parser::new(format, None, 0).step(&bytes, &mut vec![]);
        prop_assert!(step.unwrap().is_some_and(|step| step.used > 0 && step.used <= bytes.len()));
    }
}
