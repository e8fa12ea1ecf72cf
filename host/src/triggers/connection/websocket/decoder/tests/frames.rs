//! Single frames: payloads, control frames, reserved bits and opcodes (chapters 1 to 4).

use super::*;

#[test]
fn messages_of_every_size_of_header_are_decoded() {
    for size in [0, 1, 7, 8, 9, 125, 126, 127, 128, 65535, 65536, 65537] {
        let letters = "*".repeat(size);
        assert_eq!(decoded(&[TEXT.frame(&letters)]), [text(&letters)], "{size}");
        let bytes = vec![0xfe; size];
        assert_eq!(decoded(&[BINARY.frame(&bytes)]), [binary(&bytes)], "{size}");
    }
}

#[test]
fn messages_follow_one_another_in_order() {
    let frames = [TEXT.frame("a"), BINARY.frame([1]), TEXT.frame(""), PING.frame("p")];
    assert_eq!(decoded(&frames), [text("a"), binary(&[1]), text(""), ping("p")]);
}

#[test]
fn pings_and_pongs_carry_up_to_125_bytes() {
    assert_eq!(decoded(&[PING.frame("")]), [ping("")]);
    let most = vec![0xfe; 125];
    let most_bytes = Bytes::copy_from_slice(&most);
    assert_eq!(decoded(&[PING.frame(&most)]), [Incoming::Ping(most_bytes.clone())]);
    assert_eq!(decoded(&[PONG.frame(&most)]), [Incoming::Pong(most_bytes)]);
    for first in [PING, PONG, CLOSE] {
        assert_eq!(refused(&[first.frame(vec![0xfe; 126])]), (vec![], 1002));
    }
}

#[test]
fn reserved_bits_and_opcodes_end_the_connection_behind_what_was_right() {
    let rest = PING.frame("not seen");
    for first in [0xc1, 0xa1, 0x91, 0xf2, 0xc8, 0xc9, 0x83, 0x87, 0x8b, 0x8f, 0x03, 0x0b] {
        let frames = [TEXT.frame("good"), First(first).frame("bad"), rest.clone()];
        assert_eq!(refused(&frames), (vec![text("good")], 1002), "{first:x}");
    }
}

#[test]
fn a_frame_without_a_mask_ends_the_connection() {
    let unmasked = encode::frame(Opcode::Text, b"hello", false);
    assert_eq!(refused(&[unmasked.into()]), (vec![], 1002));
}

#[test]
fn what_the_first_two_bytes_break_is_refused_at_once() {
    for bytes in [[0x81, 0x05], [0x83, 0x85], [0x09, 0x80], [0x89, 0xfe], [0xf1, 0x85]] {
        let mut server = Server::new(MAX, false);
        assert_eq!(server.read(&bytes).unwrap_err().1.code, 1002, "{bytes:x?}");
    }
}

#[test]
fn a_whole_message_is_split_off_the_read_buffer_without_a_copy() {
    for first in [TEXT, BINARY] {
        let mut input =
            BytesMut::from(&[first.frame("behind a header"), PING.frame("")].concat()[..]);
        let payload = input[6..].as_ptr();
        let mut decoder = Decoder::new(MAX, false);
        let incoming = decoder.next(&mut input, &mut Inflater::new()).unwrap();
        let Some(Incoming::Text(bytes) | Incoming::Binary(bytes)) = incoming else {
            panic!("no message")
        };
        assert_eq!((bytes.as_ptr(), &bytes[..]), (payload, &b"behind a header"[..]));
        assert_eq!(input, PING.frame("")[..]);
    }
}
