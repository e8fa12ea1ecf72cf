//! Compressed messages (chapters 12 and 13).

use super::*;
use crate::triggers::connection::websocket::Deflater;

/// `message` as it comes from a client that compresses; shrinks, so it is long enough.
fn deflated(message: &[u8]) -> Vec<u8> {
    Deflater::new().deflate(message).unwrap().to_vec()
}

fn decoded(frames: &[Vec<u8>]) -> Vec<Incoming> {
    let (seen, violation) = outcome(frames, true);
    assert_eq!(violation, None, "after {seen:?}");
    seen
}

fn refused(frames: &[Vec<u8>]) -> (Vec<Incoming>, u16) {
    let (seen, violation) = outcome(frames, true);
    (seen, violation.unwrap())
}

#[test]
fn compressed_messages_and_others_are_decoded() {
    let long = "grüße an alle ".repeat(1000);
    let payload = deflated(long.as_bytes());
    let frames = [
        TEXT.compressed().frame(&payload),
        TEXT.frame("plain"),
        BINARY.compressed().frame(&payload),
        TEXT.compressed().frame([0]),
    ];
    assert_eq!(decoded(&frames), [text(&long), text("plain"), binary(long.as_bytes()), text("")]);
}

#[test]
fn a_compressed_message_comes_in_fragments() {
    let long = "so it goes ".repeat(500);
    let payload = deflated(long.as_bytes());
    let (begin, rest) = payload.split_at(3);
    let (middle, end) = rest.split_at(rest.len() / 2);
    let frames = [
        TEXT_BEGIN.compressed().frame(begin),
        PING.frame("between"),
        MORE.frame(middle),
        LAST.frame(end),
        BINARY_BEGIN.compressed().frame([]),
        LAST.frame(&payload),
    ];
    let expected = [ping("between"), text(&long), binary(long.as_bytes())];
    assert_eq!(decoded(&frames), expected);
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    let payload = deflated(&[7; 500]);
    for first in [MORE, LAST] {
        let frames = [BINARY_BEGIN.compressed().frame(&payload), first.compressed().frame([0])];
        assert_eq!(refused(&frames), (vec![], 1002));
    }
    for first in [PING, PONG, CLOSE] {
        assert_eq!(refused(&[first.compressed().frame([])]), (vec![], 1002));
    }
}

#[test]
fn compression_that_was_not_negotiated_is_refused() {
    let frame = BINARY.compressed().frame(deflated(&[7; 500]));
    assert_eq!(outcome(&[frame], false), (vec![], Some(1002)));
}

#[test]
fn what_cannot_be_inflated_is_refused() {
    let payload = deflated(&b"some message, and some more of it".repeat(10));
    for bad in [&[][..], &[0xff, 0xff, 0xff], &payload[..payload.len() / 2]] {
        assert_eq!(refused(&[BINARY.compressed().frame(bad)]), (vec![], 1007), "{bad:x?}");
    }
}

#[test]
fn a_compressed_text_is_utf_8() {
    let payload = deflated(&b"\xed\xa0\x80".repeat(100));
    assert_eq!(refused(&[TEXT.compressed().frame(&payload)]), (vec![], 1007));
    let frames = [TEXT_BEGIN.compressed().frame(&payload), LAST.frame([])];
    assert_eq!(refused(&frames), (vec![], 1007));
    // What is compressed is no text by itself.
    let good = deflated("é".repeat(100).as_bytes());
    assert!(str::from_utf8(&good).is_err());
    let frames = [TEXT_BEGIN.compressed().frame(&good), LAST.frame([])];
    assert_eq!(decoded(&frames), [text(&"é".repeat(100))]);
}

#[test]
fn a_bomb_is_refused_before_it_grows() {
    let bomb = deflated(&vec![0; 16 * MAX]);
    assert!(bomb.len() < MAX / 10);
    assert_eq!(refused(&[BINARY.compressed().frame(&bomb)]), (vec![], 1009));
    let (begin, end) = bomb.split_at(bomb.len() / 2);
    let frames = [BINARY_BEGIN.compressed().frame(begin), LAST.frame(end)];
    assert_eq!(refused(&frames), (vec![], 1009));
    let largest = BINARY.compressed().frame(deflated(&vec![0; MAX]));
    assert_eq!(decoded(&[largest]), [binary(&vec![0; MAX])]);
    let larger = BINARY.compressed().frame(deflated(&vec![0; MAX + 1]));
    assert_eq!(refused(&[larger]), (vec![], 1009));
}

#[test]
fn a_compressed_message_is_not_larger_than_an_honest_one_could_be() {
    let read = |payload: &[u8]| {
        let mut server = Server::new(8000, true);
        server.read(&BINARY.compressed().frame(payload)).map_err(|(_, violation)| violation.code)
    };
    // Blocks without compression, of 1000 bytes each and with 5 more.
    let stored = [&[0, 0xe8, 0x03, 0x17, 0xfc][..], &[0xab; 1000]].concat();
    let honest = [&stored.repeat(8)[..], &[0]].concat();
    assert!(honest.len() > 8000);
    assert_eq!(read(&honest), Ok(vec![binary(&[0xab; 8000])]));
    // Nothing but empty blocks, without end.
    let empty = [0, 0, 0, 0xff, 0xff].repeat(2000);
    assert_eq!(read(&empty), Err(1009));
}
