//! The header of a frame from a client, and the mask on its payload (RFC 6455, section 5.2).
//!
//! ```text
//! 0                 1                    2 ...
//! ├ fin, 3 × rsv, ──┼ mask, 7 bits of ───┼ 0, 2 or 8 bytes ──┼ 4 bytes ──┼ payload ...
//! │ 4 bits of opcode│ length, 126 or 127 │ of length         │ of mask   │
//! ```

use super::Violation;

/// What a frame is (RFC 6455, section 11.8). All other values are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text or its first fragment.
    Text = 1,
    /// A binary message or its first fragment.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// To be answered with a pong.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is a control frame, which may come between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The largest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL: usize = 125;

pub const FIN: u8 = 0x80;
pub const RSV1: u8 = 0x40;
const OTHER_RSV: u8 = 0x30;
const MASKED: u8 = 0x80;

/// A header that keeps all rules that do not depend on other frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last fragment.
    pub fin: bool,
    /// Whether it begins a compressed message (RFC 7692, section 6).
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask on its payload.
    pub mask: [u8; 4],
    /// The size of its payload, in bytes, as the client declares it.
    pub length: u64,
    /// Its own size, in bytes.
    pub size: usize,
}

impl Header {
    /// The header at the front of `input`; `None` if it is not there as a whole. `deflate`:
    /// whether compressed messages were negotiated. What the first two bytes already break is
    /// refused without waiting for the rest.
    pub fn parse(input: &[u8], deflate: bool) -> Result<Option<Self>, Violation> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let opcode = check(*first, *second, deflate)?;
        let Some((length, rest)) = length(second & !MASKED, rest)? else { return Ok(None) };
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Self {
            fin: first & FIN != 0,
            compressed: first & RSV1 != 0,
            opcode,
            mask: *mask,
            length,
            size: input.len() - rest.len(),
        }))
    }
}

/// The opcode, if the first two bytes are those of a frame that a client may send.
fn check(first: u8, second: u8, deflate: bool) -> Result<Opcode, Violation> {
    let Some(opcode) = Opcode::of(first & 0x0f) else {
        return Err(Violation::protocol("this opcode is reserved; send text, binary or control"));
    };
    let begins_message = matches!(opcode, Opcode::Text | Opcode::Binary);
    if first & OTHER_RSV != 0 || (first & RSV1 != 0 && !deflate) {
        return Err(Violation::protocol("a reserved bit is set without an extension; clear it"));
    }
    if first & RSV1 != 0 && !begins_message {
        let says = "only the first frame of a message says that it is compressed";
        return Err(Violation::protocol(says));
    }
    if second & MASKED == 0 {
        return Err(Violation::protocol("a frame is not masked; mask all that a client sends"));
    }
    if opcode.is_control() && first & FIN == 0 {
        return Err(Violation::protocol("a control frame is fragmented; send it whole"));
    }
    if opcode.is_control() && usize::from(second & !MASKED) > MAX_CONTROL {
        return Err(Violation::protocol("a control frame has more than 125 bytes; send fewer"));
    }
    Ok(opcode)
}

/// The length behind the seven bits that stand for it, and what follows.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 1 << 16),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    if length < least {
        return Err(Violation::protocol("a length takes more bytes than it needs; use the fewest"));
    }
    if length >> 63 != 0 {
        return Err(Violation::protocol("the top bit of a length is set; clear it"));
    }
    Ok(Some((length, rest)))
}

/// Take the mask off, or put it on, eight bytes at a time. Answers the mask for the byte behind
/// them.
pub fn unmask(bytes: &mut [u8], mut mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(tail.len() % 4);
    mask
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// A masked header with these bytes before the mask.
    fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
        Header::parse(&[bytes, &MASK].concat(), false)
    }

    /// Why it is refused.
    fn refused(bytes: &[u8]) -> String {
        let violation = parse(bytes).unwrap_err();
        assert_eq!(violation.code, 1002);
        violation.reason.into_owned()
    }

    #[test]
    fn a_length_is_read_in_each_of_its_three_sizes() {
        let large = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0];
        for (bytes, length) in [
            (&[0x82, 0x80][..], 0),
            (&[0x82, 0xfd], 125),
            (&[0x82, 0xfe, 0, 126], 126),
            (&[0x82, 0xfe, 0xff, 0xff], 0xffff),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0], 0x1_0000),
            (&large, 1 << 32),
        ] {
            let header = parse(bytes).unwrap().unwrap();
            let size = bytes.len() + 4;
            let (opcode, fin, compressed) = (Opcode::Binary, true, false);
            assert_eq!(header, Header { fin, compressed, opcode, mask: MASK, length, size });
        }
    }

    #[test]
    fn a_header_that_is_cut_off_waits_for_the_rest() {
        for bytes in [&[0x82, 0x85][..], &[2, 0xfe, 1, 0], &[2, 0xff, 0, 0, 0, 0, 1, 0, 0, 0]] {
            let whole = [bytes, &MASK].concat();
            for end in 0..whole.len() {
                assert_eq!(Header::parse(&whole[..end], false), Ok(None), "{end} of {bytes:?}");
            }
            assert!(Header::parse(&whole, false).unwrap().is_some());
        }
    }

    #[test]
    fn a_length_in_more_bytes_than_needed_is_refused() {
        for bytes in [
            &[0x82, 0xfe, 0, 0][..],
            &[0x82, 0xfe, 0, 125],
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 125],
            &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ] {
            assert!(refused(bytes).contains("use the fewest"), "{bytes:?}");
        }
    }

    #[test]
    fn a_length_with_its_top_bit_is_refused() {
        assert!(refused(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]).contains("top bit"));
        assert!(refused(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]).contains("top bit"));
    }

    #[test]
    fn a_frame_without_a_mask_is_refused() {
        assert!(refused(&[0x82, 0x05]).contains("masked"));
        assert!(refused(&[0x89, 0x00]).contains("masked"));
    }

    #[test]
    fn reserved_opcodes_are_refused() {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert!(refused(&[0x80 | opcode, 0x80]).contains("opcode"), "{opcode}");
        }
    }

    #[test]
    fn reserved_bits_are_refused_unless_they_were_negotiated() {
        for bits in 1..8 {
            for opcode in [0, 1, 2, 8, 9, 10] {
                let first = 0x80 | bits << 4 | opcode;
                assert!(refused(&[first, 0x80]).contains("reserved bit"), "{first:x}");
                let negotiated = Header::parse(&[first, 0x80, 0, 0, 0, 0], true);
                let allowed = bits == 4 && matches!(opcode, 1 | 2);
                assert_eq!(negotiated.is_ok(), allowed, "{first:x}");
            }
        }
    }

    #[test]
    fn control_frames_are_small_and_whole() {
        for opcode in [8, 9, 10] {
            assert!(parse(&[0x80 | opcode, 0x80 | 125]).unwrap().is_some());
            assert!(refused(&[opcode, 0x80]).contains("fragmented"));
            assert!(refused(&[0x80 | opcode, 0x80 | 126, 0, 126]).contains("125 bytes"));
            assert!(refused(&[0x80 | opcode, 0x80 | 127]).contains("125 bytes"));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_payload_is_unmasked_in_pieces_as_in_one(
            bytes: Vec<u8>, mask: [u8; 4], cut: proptest::sample::Index,
        ) {
            let masks = mask.iter().cycle();
            let one_by_one: Vec<u8> = bytes.iter().zip(masks).map(|(b, m)| b ^ m).collect();
            let mut pieces = bytes;
            let cut = cut.index(pieces.len() + 1);
            let mask = unmask(&mut pieces[..cut], mask);
            unmask(&mut pieces[cut..], mask);
            proptest::prop_assert_eq!(pieces, one_by_one);
        }
    }
}
