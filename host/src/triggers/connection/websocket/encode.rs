//! Frames from the server, ready for the socket: whole messages in one frame each, and control
//! frames. A server does not mask, so the same bytes go to every client.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Deflater,
    header::{FIN, MAX_CONTROL, Opcode, RSV1},
};

/// The largest header of a frame without a mask, in bytes.
const MAX_HEADER: usize = 10;
/// The largest reason of a close frame, in bytes: a control frame less its code.
const MAX_REASON: usize = MAX_CONTROL - 2;

/// A frame that is a whole message. `compressed`: whether the payload is one that a [`Deflater`]
/// made, for clients that negotiated it.
pub fn frame(opcode: Opcode, payload: &[u8], compressed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(MAX_HEADER + payload.len());
    let rsv1 = if compressed { RSV1 } else { 0 };
    frame.put_u8(FIN | rsv1 | opcode as u8);
    match payload.len() {
        length @ ..126 => frame.put_u8(length as u8),
        length @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.put_u8(127);
            frame.put_u64(length as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

/// A frame that is a whole text or binary message, for clients that negotiated compression. It is
/// sent as it is where compression would not make it smaller.
pub fn deflated(opcode: Opcode, payload: &[u8], deflater: &mut Deflater) -> Bytes {
    match deflater.deflate(payload) {
        Some(payload) => frame(opcode, payload, true),
        None => frame(opcode, payload, false),
    }
}

/// A close frame. The reason is cut to 123 bytes; without a code there is none (RFC 6455,
/// section 5.5.1).
pub fn close(code: Option<u16>, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(MAX_CONTROL);
    if let Some(code) = code {
        payload.put_u16(code);
        payload.put_slice(&reason.as_bytes()[..reason.floor_char_boundary(MAX_REASON)]);
    }
    frame(Opcode::Close, &payload, false)
}

/// A ping, whose payload comes back in a pong; what is beyond 125 bytes of it is left out.
pub fn ping(payload: &[u8]) -> Bytes {
    frame(Opcode::Ping, &payload[..payload.len().min(MAX_CONTROL)], false)
}

/// The answer to a ping of this payload, at most 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL)], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_takes_the_fewest_bytes() {
        for (size, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![7; size];
            let frame = frame(Opcode::Binary, &payload, false);
            assert_eq!(frame, [header, &payload].concat(), "{size}");
        }
    }

    #[test]
    fn a_compressed_frame_says_so() {
        assert_eq!(frame(Opcode::Text, b"x", true), [0xc1, 1, b'x'].as_slice());
        let mut deflater = Deflater::new();
        let text = b"again and ".repeat(40);
        let shrunk = deflated(Opcode::Text, &text, &mut deflater);
        assert!(shrunk[0] == 0xc1 && shrunk.len() < 40, "{shrunk:?}");
        assert_eq!(deflated(Opcode::Text, b"once", &mut deflater), b"\x81\x04once".as_slice());
        assert_eq!(deflated(Opcode::Binary, b"", &mut deflater), [0x82, 0].as_slice());
    }

    #[test]
    fn a_close_frame_has_a_code_and_a_reason_that_fits() {
        assert_eq!(close(None, "not said"), [0x88, 0].as_slice());
        assert_eq!(close(Some(1000), "bye"), b"\x88\x05\x03\xe8bye".as_slice());
        let fits = "x".repeat(123);
        assert_eq!(close(Some(1001), &fits).len(), 2 + 125);
        assert_eq!(close(Some(1001), &format!("{fits}y"))[4..], *fits.as_bytes());
        // The last character would begin at byte 122 and end behind the limit.
        let cut = format!("{}é", "x".repeat(122));
        assert_eq!(close(Some(1001), &cut)[4..], *"x".repeat(122).as_bytes());
    }

    #[test]
    fn control_frames_carry_at_most_125_bytes() {
        assert_eq!(ping(b"a"), b"\x89\x01a".as_slice());
        assert_eq!(pong(b"a"), b"\x8a\x01a".as_slice());
        assert_eq!(ping(&[0; 126])[..2], [0x89, 125]);
        assert_eq!(pong(&[0; 300]).len(), 2 + 125);
    }
}
