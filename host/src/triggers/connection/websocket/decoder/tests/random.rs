//! Whatever is sent, in whatever pieces.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::triggers::connection::websocket::Deflater;

/// What a client sends.
#[derive(Clone, Debug)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Control(u8, Vec<u8>),
}

/// How it sends a message.
#[derive(Clone, Debug)]
struct How {
    compressed: bool,
    /// Where it is cut into fragments.
    cuts: Vec<Index>,
    /// Whether a ping comes behind each fragment.
    pings: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        any::<String>().prop_map(Sent::Text),
        ("[a-zé€😀]{0,9}", 0usize..40).prop_map(|(text, times)| Sent::Text(text.repeat(times))),
        (vec(any::<u8>(), 0..300), 0usize..9)
            .prop_map(|(bytes, times)| Sent::Binary(bytes.repeat(times))),
        (9u8..=10, vec(any::<u8>(), 0..=125))
            .prop_map(|(opcode, payload)| Sent::Control(opcode, payload)),
    ]
}

fn how() -> impl Strategy<Value = How> {
    (any::<bool>(), vec(any::<Index>(), 0..4), any::<bool>())
        .prop_map(|(compressed, cuts, pings)| How { compressed, cuts, pings })
}

/// Write a message as frames; answers how many pings came between them.
fn write(opcode: u8, payload: &[u8], how: &How, out: &mut Vec<u8>) -> usize {
    let mut deflater = Deflater::new();
    let deflated = if how.compressed { deflater.deflate(payload) } else { None };
    let mut first = First(if deflated.is_some() { opcode | 0x40 } else { opcode });
    let payload = deflated.unwrap_or(payload);
    let mut ends: Vec<_> = how.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    ends.sort_unstable();
    let mut from = 0;
    for end in &ends {
        out.extend(first.frame(&payload[from..*end]));
        if how.pings {
            out.extend(PING.frame("between"));
        }
        (from, first) = (*end, MORE);
    }
    out.extend(First(first.0 | 0x80).frame(&payload[from..]));
    if how.pings { ends.len() } else { 0 }
}

/// Cut bytes into pieces.
fn chopped<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    pieces
}

/// Frames that are mostly right: any bits, opcode, length and payload.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let right = [0x01, 0x81, 0x02, 0x82, 0x00, 0x80, 0x89, 0x8a, 0xc1, 0xc2];
    let first = prop_oneof![
        9 => prop::sample::select(right.to_vec()),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        any::<String>().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200),
        Just(vec![0; 3]),
    ];
    (first, payload).prop_map(|(first, payload)| First(first).frame(payload))
}

/// Sizes of pieces, none of them empty.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1usize..4, 1usize..300], 1..20)
}

proptest! {
    #[test]
    fn what_a_client_sends_is_decoded_as_sent(
        messages in vec((sent(), how()), 0..6),
        sizes in sizes(),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (message, how) in &messages {
            let (opcode, payload, incoming) = match message {
                Sent::Text(message) => (1, message.as_bytes(), text(message)),
                Sent::Binary(payload) => (2, &payload[..], binary(payload)),
                Sent::Control(opcode, payload) => {
                    bytes.extend(First(0x80 | opcode).frame(payload));
                    let payload = Bytes::copy_from_slice(payload);
                    let is_ping = *opcode == 9;
                    let incoming = if is_ping { Incoming::Ping } else { Incoming::Pong };
                    expected.push(incoming(payload));
                    continue;
                }
            };
            let pings = write(opcode, payload, how, &mut bytes);
            expected.extend(vec![ping("between"); pings]);
            expected.push(incoming);
        }
        let seen = pieces(Server::new(MAX, true), chopped(&bytes, &sizes));
        prop_assert_eq!(seen, (expected, None));
    }

    #[test]
    fn the_pieces_in_which_bytes_arrive_make_no_difference(
        frames in vec(almost(), 0..12), sizes in sizes(), deflate: bool,
    ) {
        let bytes = frames.concat();
        let seen = pieces(Server::new(500, deflate), chopped(&bytes, &sizes));
        prop_assert_eq!(seen, pieces(Server::new(500, deflate), [&bytes[..]]));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>, sizes in sizes(), deflate: bool) {
        let seen = pieces(Server::new(500, deflate), chopped(&bytes, &sizes));
        prop_assert_eq!(seen, pieces(Server::new(500, deflate), [&bytes[..]]));
    }
}
