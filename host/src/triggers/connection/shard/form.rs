//! What frames look like on the wire.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{BufMut, Bytes, BytesMut};

use super::super::websocket::{self, Deflater, Opcode};
use crate::backends::channels::{Form, Frame, Kind};

/// Encodes the frames of one thread.
#[derive(Default)]
pub struct Encoder {
    /// Made when the first client wants it: a deflater is large.
    deflater: Option<Box<Deflater>>,
}

impl Encoder {
    /// The frame in this form, encoded if nobody has.
    pub fn encode<'a>(&mut self, frame: &'a Frame, form: Form) -> &'a Bytes {
        frame.encoded(form, |frame| match form {
            Form::Websocket => websocket::frame(opcode(frame.kind()), frame.payload(), false),
            Form::CompressedWebsocket => {
                let deflater = self.deflater.get_or_insert_default();
                websocket::deflated(opcode(frame.kind()), frame.payload(), deflater)
            }
            Form::EventStream => event(frame),
            Form::Raw => frame.payload().clone(),
        })
    }
}

fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

/// An event of an event stream (WHATWG HTML, section 9.2), with the number of the frame, if it has
/// one, for its id. The format has text only: what is binary goes in base64.
pub fn event(frame: &Frame) -> Bytes {
    let text;
    let payload = match frame.kind() {
        Kind::Text => frame.payload(),
        Kind::Binary => {
            text = Bytes::from(BASE64_STANDARD.encode(frame.payload()));
            &text
        }
    };
    let mut event = BytesMut::with_capacity(payload.len() + 48);
    if let Some(sequence) = frame.sequence() {
        event.put_slice(format!("id: {sequence}\n").as_bytes());
    }
    for line in Lines(Some(payload)) {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

/// The lines of a payload as an event stream counts them: each of `\n`, `\r` and `\r\n` begins a
/// further one, which may be empty.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.0 = None;
            return Some(rest);
        };
        let (line, rest) = rest.split_at(end);
        let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..));
        self.0 = rest;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(frame: &Frame, form: Form) -> Bytes {
        Encoder::default().encode(frame, form).clone()
    }

    #[test]
    fn each_line_of_an_event_is_a_field() {
        let event = |text: &str| encode(&Frame::text(text), Form::EventStream);
        assert_eq!(event(""), "data: \n\n");
        assert_eq!(event("a"), "data: a\n\n");
        assert_eq!(event("a\nb\r\n\rc"), "data: a\ndata: b\ndata: \ndata: c\n\n");
        assert_eq!(event("a\n"), "data: a\ndata: \n\n");
        assert_eq!(event("\r\n"), "data: \ndata: \n\n");
        let binary = encode(&Frame::binary(vec![0, 255, b'\n']), Form::EventStream);
        assert_eq!(binary, "data: AP8K\n\n");
    }

    #[test]
    fn text_and_binary_are_told_apart_on_a_websocket_and_are_the_payload_when_raw() {
        assert_eq!(&encode(&Frame::text("a"), Form::Websocket)[..], b"\x81\x01a");
        assert_eq!(&encode(&Frame::binary("a"), Form::Websocket)[..], b"\x82\x01a");
        assert_eq!(encode(&Frame::binary("a"), Form::Raw), "a");
    }

    #[test]
    fn a_compressed_frame_says_so_and_is_smaller() {
        let frame = encode(&Frame::text("abc".repeat(100)), Form::CompressedWebsocket);
        assert!(frame.len() < 100);
        assert_eq!(frame.first(), Some(&0xc1));
    }
}
