//! The decoder against a client that can also do what it must not. Every example is decoded in one
//! piece and byte by byte. The cases are those of the Autobahn test suite, chapters 1 to 7, 9, 12
//! and 13.

#![allow(clippy::unwrap_used)]

mod close;
mod compressed;
mod fragments;
mod frames;
mod limits;
mod random;
mod text;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::triggers::connection::websocket::encode;

const MAX: usize = 1 << 20;

/// A frame of a client: the bits before the opcode, and the opcode.
#[derive(Clone, Copy)]
struct First(u8);

// Whole messages, fragments and control frames.
const TEXT: First = First(0x81);
const BINARY: First = First(0x82);
const TEXT_BEGIN: First = First(0x01);
const BINARY_BEGIN: First = First(0x02);
const MORE: First = First(0x00);
const LAST: First = First(0x80);
const CLOSE: First = First(0x88);
const PING: First = First(0x89);
const PONG: First = First(0x8a);

impl First {
    /// The same, said to be compressed.
    fn compressed(self) -> Self {
        Self(self.0 | 0x40)
    }

    /// The whole frame, masked.
    fn frame(self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        let payload = payload.as_ref();
        // No byte of it is 0: one that is not unmasked shows.
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let plain = encode::frame(Opcode::Binary, payload, false);
        let header = plain.len() - payload.len();
        let mut frame = plain[..header].to_vec();
        frame[0] = self.0;
        frame[1] |= 0x80;
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }
}

/// A server's end of a connection.
struct Server {
    decoder: Decoder,
    inflater: Inflater,
    input: BytesMut,
}

impl Server {
    fn new(max_message: usize, deflate: bool) -> Self {
        let decoder = Decoder::new(max_message, deflate);
        Self { decoder, inflater: Inflater::new(), input: BytesMut::new() }
    }

    /// What comes out once these bytes have arrived.
    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Incoming>, (Vec<Incoming>, Violation)> {
        self.input.extend_from_slice(bytes);
        let mut seen = Vec::new();
        loop {
            match self.decoder.next(&mut self.input, &mut self.inflater) {
                Ok(Some(incoming)) => seen.push(incoming),
                Ok(None) => return Ok(seen),
                Err(violation) => {
                    assert!(violation.reason.len() <= 123, "{violation}");
                    assert!(violation.reason.starts_with(|first: char| first.is_lowercase()));
                    return Err((seen, violation));
                }
            }
        }
    }
}

/// Everything that comes of bytes that arrive in these pieces: messages, and the code of the
/// violation that ends them.
fn pieces<'a>(
    mut server: Server,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Option<u16>) {
    let mut all = Vec::new();
    for piece in pieces {
        match server.read(piece) {
            Ok(seen) => all.extend(seen),
            Err((seen, violation)) => {
                all.extend(seen);
                assert_eq!(server.read(b"more"), Ok(vec![]));
                assert_eq!((server.decoder.held(), server.input.len()), (0, 0));
                return (all, Some(violation.code));
            }
        }
    }
    (all, None)
}

/// The same for bytes in one piece and byte by byte.
fn outcome(frames: &[Vec<u8>], deflate: bool) -> (Vec<Incoming>, Option<u16>) {
    let bytes = frames.concat();
    let at_once = pieces(Server::new(MAX, deflate), [&bytes[..]]);
    let dripped = pieces(Server::new(MAX, deflate), bytes.chunks(1));
    assert_eq!(at_once, dripped);
    at_once
}

/// What is decoded of frames that keep the rules.
fn decoded(frames: &[Vec<u8>]) -> Vec<Incoming> {
    let (seen, violation) = outcome(frames, false);
    assert_eq!(violation, None, "after {seen:?}");
    seen
}

/// The messages before the violation, and its code.
fn refused(frames: &[Vec<u8>]) -> (Vec<Incoming>, u16) {
    let (seen, violation) = outcome(frames, false);
    (seen, violation.unwrap())
}

fn text(text: &str) -> Incoming {
    Incoming::Text(text.to_owned().into())
}

fn binary(bytes: &[u8]) -> Incoming {
    Incoming::Binary(Bytes::copy_from_slice(bytes))
}

fn ping(payload: &'static str) -> Incoming {
    Incoming::Ping(payload.into())
}
