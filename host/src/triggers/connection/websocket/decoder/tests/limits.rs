//! How large messages may be and what memory they take (chapter 9).

use super::*;

const SMALL: usize = 1000;

/// The code that ends a connection on which these bytes arrived, if there is one.
fn ended(frames: &[Vec<u8>]) -> Option<u16> {
    let bytes = frames.concat();
    let at_once = pieces(Server::new(SMALL, false), [&bytes[..]]).1;
    assert_eq!(pieces(Server::new(SMALL, false), bytes.chunks(1)).1, at_once);
    at_once
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    let (half, rest) = (vec![7; SMALL / 2], vec![7; SMALL / 2 + 1]);
    assert_eq!(ended(&[BINARY.frame(vec![7; SMALL])]), None);
    assert_eq!(ended(&[BINARY.frame(vec![7; SMALL + 1])]), Some(1009));
    assert_eq!(ended(&[BINARY_BEGIN.frame(&half), LAST.frame(&half)]), None);
    assert_eq!(ended(&[BINARY_BEGIN.frame(&half), LAST.frame(&rest)]), Some(1009));
    assert_eq!(ended(&[BINARY_BEGIN.frame(&half), MORE.frame(&rest)]), Some(1009));
    // Control frames do not count, and the next message begins at nothing.
    let frames = [BINARY_BEGIN.frame(&half), PING.frame(vec![7; 125]), LAST.frame(&half)];
    assert_eq!(ended(&[frames.concat(), frames.concat()]), None);
}

#[test]
fn control_frames_come_through_whatever_the_limit_for_messages() {
    let mut server = Server::new(0, false);
    let frames = [TEXT.frame(""), PING.frame("ping"), CLOSE.frame([3, 0xe8])].concat();
    let close = Incoming::Close { code: Some(1000), reason: String::new() };
    assert_eq!(server.read(&frames), Ok(vec![text(""), ping("ping"), close]));
}

#[test]
fn a_message_that_is_too_large_is_refused_from_its_header() {
    let declared = |length: u64| {
        let mut header = vec![0x82, 0xff];
        header.extend(length.to_be_bytes());
        [header, vec![0; 4]].concat()
    };
    for length in [MAX as u64 + 1, 1 << 32, u64::MAX >> 1] {
        let mut server = Server::new(MAX, false);
        let (_, violation) = server.read(&declared(length)).unwrap_err();
        assert_eq!(violation.code, 1009);
        assert!(violation.reason.contains("1048576 bytes"));
    }
}

#[test]
fn a_declared_length_takes_no_memory_before_its_bytes_arrive() {
    let mut server = Server::new(1 << 40, true);
    let header = [&[0x82, 0xff][..], &(1u64 << 39).to_be_bytes(), &[0; 4]].concat();
    assert_eq!(server.read(&header), Ok(vec![]));
    assert_eq!(server.decoder.held(), 0);
    for arrived in 1..=1000 {
        assert_eq!(server.read(b"x"), Ok(vec![]));
        assert!(server.decoder.held() <= 2 * arrived);
    }
    // Nothing of it waits in the read buffer.
    assert!(server.input.is_empty() && server.input.capacity() < 100);
}

#[test]
fn a_message_in_pieces_takes_its_exact_size() {
    let frame = BINARY.frame(vec![7; 100_000]);
    let mut server = Server::new(MAX, false);
    let (mut most, mut seen) = (0, vec![]);
    for piece in frame.chunks(999) {
        seen.extend(server.read(piece).unwrap());
        most = most.max(server.decoder.held());
    }
    assert_eq!(most, 100_000);
    let [Incoming::Binary(bytes)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(Vec::from(bytes.clone()).capacity(), 100_000);
}

#[test]
fn a_decoder_between_messages_is_small_and_holds_no_heap() {
    assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    let mut server = Server::new(MAX, true);
    assert_eq!(server.decoder.held(), 0);
    let compressed = First(0xc2).frame([0]);
    for frames in [
        vec![BINARY.frame(vec![7; 10_000])],
        vec![BINARY_BEGIN.frame(vec![7; 10_000]), PING.frame("x"), LAST.frame([7])],
        vec![compressed],
        vec![PING.frame("x")],
    ] {
        for piece in frames.concat().chunks(100) {
            server.read(piece).unwrap();
        }
        assert_eq!(server.decoder.held(), 0);
    }
}

#[test]
fn many_small_fragments_are_not_copied_again_with_each() {
    let fragments = vec![MORE.frame("x"); 100_000].concat();
    let mut server = Server::new(MAX, false);
    server.read(&TEXT_BEGIN.frame("")).unwrap();
    let (mut grown, mut held) = (0, 0);
    for piece in fragments.chunks(7) {
        server.read(piece).unwrap();
        grown += usize::from(server.decoder.held() != held);
        held = server.decoder.held();
    }
    assert!(grown < 20 && held < 200_000, "{grown} times to {held}");
    assert_eq!(server.read(&LAST.frame("")), Ok(vec![text(&"x".repeat(100_000))]));
}
