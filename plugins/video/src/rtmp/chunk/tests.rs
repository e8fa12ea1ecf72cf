#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

/// Everything that bytes say, read in pieces, with what ends it.
fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Broken>) {
    hear(bytes, piece, |reader| reader)
}

/// The same, with something done to the reader between the pieces.
fn hear(
    bytes: &[u8],
    piece: usize,
    between: impl Fn(Reader) -> Reader,
) -> (Vec<Message>, Option<Broken>) {
    let (mut reader, mut messages) = (Reader::default(), Vec::new());
    reader.expect_video();
    for mut input in bytes.chunks(piece) {
        loop {
            match reader.next(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(broken) => return (messages, Some(broken)),
            }
        }
        reader = between(reader);
    }
    (messages, None)
}

fn message(kind: u8, timestamp: u32, body: &[u8]) -> Message {
    Message { kind, timestamp, body: body.to_vec() }
}

#[test]
fn a_message_that_was_written_is_read() {
    let body: Vec<u8> = (0..1000).map(|at| at as u8).collect();
    let mut out = Vec::new();
    write(&mut out, 5, kind::COMMAND, 1, &body);
    write(&mut out, 3, kind::COMMAND, 0, b"");
    let expected = vec![message(kind::COMMAND, 0, &body), message(kind::COMMAND, 0, b"")];
    assert_eq!(read(&out, 9), (expected, None));
}

#[test]
fn messages_of_several_chunk_streams_may_be_mixed() {
    let mut bytes = vec![4, 0, 0, 9, 0, 0, 200, kind::AUDIO, 1, 0, 0, 0];
    bytes.extend([1; 128]);
    // The stream 64 + 1 + 256 * 1, as three bytes of basic header.
    bytes.extend([1, 1, 1, 0, 0, 7, 0, 0, 2, kind::VIDEO, 1, 0, 0, 0, 2, 2]);
    bytes.push(0xc4);
    bytes.extend([1; 72]);
    let expected = vec![message(kind::VIDEO, 7, &[2, 2]), message(kind::AUDIO, 9, &[1; 200])];
    assert_eq!(read(&bytes, 1), (expected, None));
}

#[test]
fn times_are_those_since_the_last_message_and_beyond_24_bits_stand_behind_the_header() {
    let mut bytes = vec![4, 255, 255, 255, 0, 0, 130, 9, 1, 0, 0, 0, 1, 0, 0, 0];
    bytes.extend([0; 128]);
    bytes.extend([0xc4, 1, 0, 0, 0, 0, 0]);
    bytes.extend([0x44, 0, 0, 40, 0, 0, 1, 9, 0]);
    bytes.extend([0x84, 0, 0, 2, 0]);
    bytes.extend([0xc4, 0]);
    let times: Vec<u32> = read(&bytes, 3).0.iter().map(|message| message.timestamp).collect();
    let first = 1 << 24;
    assert_eq!(times, [first, first + 40, first + 42, first + 44]);
}

#[test]
fn a_message_like_the_one_with_a_whole_header_comes_at_the_same_time() {
    let bytes = [4, 0, 1, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0, 0xc4, 0];
    let times: Vec<u32> = read(&bytes, 99).0.iter().map(|message| message.timestamp).collect();
    assert_eq!(times, [256, 256]);
}

#[test]
fn a_chunk_size_and_an_abort_are_obeyed() {
    let mut bytes = Vec::new();
    write(&mut bytes, 2, kind::SET_CHUNK_SIZE, 0, &1000u32.to_be_bytes());
    bytes.extend([4, 0, 0, 0, 0, 3, 232, 9, 1, 0, 0, 0]);
    bytes.extend([7; 1000]);
    assert_eq!(read(&bytes, 50).0, [message(9, 0, &[7; 1000])]);

    let mut bytes = vec![4, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0];
    bytes.extend([1; 128]);
    write(&mut bytes, 2, kind::ABORT, 0, &4u32.to_be_bytes());
    bytes.extend([4, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 3]);
    assert_eq!(read(&bytes, 50).0, [message(9, 0, &[3])]);
}

#[test]
fn what_is_beyond_the_limits_is_refused_at_its_header() {
    let refused = |bytes: &[u8]| read(bytes, 64).1.unwrap().0;
    let long = [4, 0, 0, 0, 255, 255, 255, 9, 1, 0, 0, 0];
    assert!(refused(&long).contains("16777215 bytes: at most 4194304"));
    let long = [4, 0, 0, 0, 1, 0, 1, kind::AUDIO, 1, 0, 0, 0];
    assert!(refused(&long).contains("65537 bytes: at most 65536"));
    let many: Vec<u8> = (3..60).flat_map(|id| [id, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0]).collect();
    assert!(refused(&many).contains("more than 32 chunk streams"));
    // Two long ones that never end.
    let mut two = Vec::new();
    for id in [4, 5] {
        two.extend([id, 0, 0, 0, 0x3f, 0, 0, 9, 1, 0, 0, 0]);
        two.extend([0; 128]);
    }
    assert!(refused(&two).contains("4128768 bytes"));
    for size in [0u32, 1, 127, 1 << 31] {
        let mut bytes = Vec::new();
        write(&mut bytes, 2, kind::SET_CHUNK_SIZE, 0, &size.to_be_bytes());
        assert!(refused(&bytes).contains(&format!("chunk size of {size}")));
    }
    assert!(refused(&[0xc4]).contains("does not begin with a whole header"));
    let mut within = vec![4, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0];
    within.extend([1; 128]);
    within.extend([4, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 3]);
    assert!(refused(&within).contains("before the last one had ended"));
}

#[test]
fn a_long_message_takes_no_memory_before_it_comes() {
    let mut reader = Reader::default();
    reader.expect_video();
    let bytes = [4, 0, 0, 0, 0x3f, 255, 255, 9, 1, 0, 0, 0, 1, 2, 3];
    assert_eq!(reader.next(&mut &bytes[..]), Ok(None));
    assert!(reader.streams[&4].body.capacity() <= MOST);
}

/// Bytes that look like chunks more often than chance has it.
fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        (3..6u8, any::<u8>(), 0..300u16, prop_oneof![Just(1u8), Just(2), Just(8), Just(9)])
            .prop_map(|(id, time, length, kind)| {
                let length = length.to_be_bytes();
                let mut bytes = vec![id, 0, 0, time, 0, length[0], length[1], kind, 1, 0, 0, 0];
                bytes.extend(std::iter::repeat_n(time, usize::from(u16::from_be_bytes(length))));
                bytes
            }),
        (3..6u8).prop_map(|id| vec![0xc0 | id]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_of_any_bytes_says_the_same(bytes in chunks(), piece in 1..200usize) {
        prop_assert_eq!(read(&bytes, piece), read(&bytes, usize::MAX));
    }

    #[test]
    fn a_reader_goes_on_from_what_was_saved(bytes in chunks(), piece in 1..200usize) {
        let again = |reader: Reader| {
            let saved = postcard::to_allocvec(&reader).unwrap();
            postcard::from_bytes(&saved).unwrap()
        };
        prop_assert_eq!(hear(&bytes, piece, again), read(&bytes, usize::MAX));
    }
}
