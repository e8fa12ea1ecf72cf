//! Compressed messages (RFC 7692, section 7.2), each for itself: no window is kept from one to the
//! next, so one inflater and one deflater serve all connections of a thread.
//!
//! The compressor is zlib-rs: it flushes to a byte boundary, as the extension demands, and a reset
//! between messages neither allocates nor lets one message reach into the one before it, which may
//! be somebody else's. Not every backend of flate2 keeps that.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Violation;

/// What a flush leaves at the end and messages do without: an empty block without compression.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// What is inflated behind a message: its tail, and an empty block that ends the stream. If the
/// stream does not end there, the message was cut off.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Bytes that are inflated at a time. Messages up to this size are inflated once.
const PIECE: usize = 64 << 10;
/// Bytes of output that a deflater keeps for the next message.
const KEPT: usize = 64 << 10;
/// The cheapest level that fits its codes to the message, which makes it a quarter smaller.
const LEVEL: u32 = 2;
/// Messages of fewer bytes are not compressed: they hardly shrink, and to prepare the compressor
/// takes longer than to send them.
const WORTH: usize = 64;

/// Inflates messages; some 110 KiB, so one a thread.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    piece: Box<[u8]>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflater {
    /// An inflater.
    pub fn new() -> Self {
        Self { state: Decompress::new(false), piece: vec![0; PIECE].into() }
    }

    /// The message in `payload`, in memory of its exact size. A message of more than [`PIECE`]
    /// bytes is first inflated only to be measured: one that is too large never takes memory.
    ///
    /// # Errors
    ///
    /// 1009 once there are more than `max_message` bytes and a piece; 1007 if `payload` is no
    /// whole compressed message.
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        max_message: usize,
    ) -> Result<Bytes, Violation> {
        let mut size = 0;
        self.pieces(payload, |piece| {
            size += piece.len();
            if size <= max_message { Ok(()) } else { Err(Violation::too_big(max_message)) }
        })?;
        if size <= PIECE {
            return Ok(Bytes::copy_from_slice(&self.piece[..size]));
        }
        let mut message = Vec::with_capacity(size);
        self.pieces(payload, |piece| {
            message.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(message.into())
    }

    /// Inflate `payload`, and hand it out in pieces, all full but the last, which stays in
    /// `self.piece`.
    fn pieces(
        &mut self,
        payload: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        self.state.reset(false);
        let (mut filled, mut ended) = (0, false);
        for mut rest in [payload, &END] {
            while !rest.is_empty() {
                if ended {
                    // A client may end a stream within a message and begin another there
                    // (RFC 7692, section 7.2.3.4).
                    self.state.reset(false);
                }
                if filled == PIECE {
                    take(&self.piece)?;
                    filled = 0;
                }
                let step = self.step(rest, filled)?;
                rest = &rest[step.read..];
                filled += step.made;
                ended = step.ended;
            }
        }
        if !ended {
            return Err(broken());
        }
        take(&self.piece[..filled])
    }

    /// Inflate into the piece, from `filled` on, as far as that goes in one.
    fn step(&mut self, input: &[u8], filled: usize) -> Result<Step, Violation> {
        let before = (self.state.total_in(), self.state.total_out());
        let output = &mut self.piece[filled..];
        let status = self.state.decompress(input, output, FlushDecompress::None);
        let ended = match status {
            Ok(status) => status == Status::StreamEnd,
            Err(_) => return Err(broken()),
        };
        let read = (self.state.total_in() - before.0) as usize;
        let made = (self.state.total_out() - before.1) as usize;
        if read == 0 && made == 0 && !ended {
            return Err(broken());
        }
        Ok(Step { read, made, ended })
    }
}

/// What came of inflating a bit.
struct Step {
    read: usize,
    made: usize,
    /// Whether the stream is over.
    ended: bool,
}

fn broken() -> Violation {
    Violation::data("a compressed message cannot be inflated; send it whole and by itself")
}

/// Compresses messages; some 370 KiB, so one a thread.
#[derive(Debug)]
pub struct Deflater {
    state: Compress,
    output: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    /// A deflater.
    pub fn new() -> Self {
        Self { state: Compress::new(Compression::new(LEVEL), false), output: Vec::new() }
    }

    /// `message` as the payload of a compressed message; `None` where that would not be smaller.
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        if message.len() < WORTH {
            return None;
        }
        self.run(message).filter(|payload| payload.len() < message.len())
    }

    /// `message` compressed, whatever its size; `None` if the compressor fails.
    fn run(&mut self, message: &[u8]) -> Option<&[u8]> {
        self.state.reset();
        self.output.clear();
        self.output.shrink_to(KEPT);
        let mut rest = message;
        // The flush is over once it leaves room in the output.
        while !rest.is_empty() || self.output.len() == self.output.capacity() {
            self.output.reserve(rest.len() / 2 + 64);
            let before = self.state.total_in();
            self.state.compress_vec(rest, &mut self.output, FlushCompress::Sync).ok()?;
            rest = &rest[(self.state.total_in() - before) as usize..];
        }
        self.output.strip_suffix(&TAIL)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deflated(message: &[u8]) -> Vec<u8> {
        Deflater::new().run(message).unwrap().to_vec()
    }

    fn inflated(payload: &[u8]) -> Result<Bytes, Violation> {
        Inflater::new().inflate(payload, usize::MAX)
    }

    /// Bytes that do not compress.
    fn noise(size: usize) -> Vec<u8> {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        (0..size).map(|_| next()).collect()
    }

    /// The examples of RFC 7692, section 7.2.3.
    #[test]
    fn each_way_to_write_a_message_is_inflated() {
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // Without compression.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // A block that says it is the last.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // Two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflated(payload).unwrap(), "Hello", "{payload:x?}");
        }
    }

    #[test]
    fn an_empty_message_is_one_byte() {
        assert_eq!(deflated(b""), [0]);
        assert_eq!(inflated(&[0]).unwrap(), "");
        assert_eq!(inflated(&[]).unwrap_err().code, 1007);
    }

    #[test]
    fn what_would_not_shrink_is_left_as_it_is() {
        let mut deflater = Deflater::new();
        assert_eq!(deflater.deflate(b""), None);
        assert_eq!(deflater.deflate(&noise(10_000)), None);
        let text = b"so it goes ".repeat(100);
        let payload = deflater.deflate(&text).unwrap();
        assert!(payload.len() < 50 && !payload.ends_with(&TAIL));
        assert_eq!(inflated(payload).unwrap(), text);
    }

    #[test]
    fn a_deflater_gives_the_room_of_a_large_message_back() {
        let mut deflater = Deflater::new();
        deflater.run(&noise(1 << 20)).unwrap();
        assert!(deflater.output.capacity() > 1 << 20);
        deflater.run(b"small").unwrap();
        assert!(deflater.output.capacity() <= KEPT);
    }

    #[test]
    fn messages_around_the_size_of_a_piece_are_inflated_to_their_exact_size() {
        let mut inflater = Inflater::new();
        for size in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7] {
            for message in [vec![b'a'; size], noise(size)] {
                let bytes = inflater.inflate(&deflated(&message), size).unwrap();
                assert_eq!(bytes, message);
                assert_eq!(Vec::from(bytes).capacity(), size);
                let refused = inflater.inflate(&deflated(&message), size - 1).unwrap_err();
                assert_eq!(refused.code, 1009);
            }
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_refused() {
        let whole = deflated(&b"a message of some length, of some length".repeat(9));
        let mut inflater = Inflater::new();
        for end in 0..whole.len() {
            let refused = inflater.inflate(&whole[..end], usize::MAX);
            assert_eq!(refused.unwrap_err().code, 1007, "{end} of {}", whole.len());
        }
        assert!(inflater.inflate(&whole, usize::MAX).is_ok());
        // A block of 20 bytes, of which there are 5: what is inflated behind it passes for more.
        let cut = [&[0, 20, 0, 0xeb, 0xff][..], b"Hello"].concat();
        assert_eq!(inflater.inflate(&cut, usize::MAX).unwrap_err().code, 1007);
    }

    #[test]
    fn each_message_is_compressed_by_itself() {
        let mut deflater = Deflater::new();
        let text = b"the same text for everybody, over and over ".repeat(9);
        let first = deflater.deflate(&text).unwrap().to_vec();
        assert_eq!(deflater.deflate(&text).unwrap(), first);
    }

    #[test]
    fn a_message_cannot_reach_into_the_one_before_it() {
        let secret = b"the password of somebody else on this thread";
        let mut keeps_its_window = Compress::new(Compression::best(), false);
        let mut payload = || {
            let mut output = Vec::with_capacity(1000);
            keeps_its_window.compress_vec(secret, &mut output, FlushCompress::Sync).unwrap();
            output[..output.len() - TAIL.len()].to_vec()
        };
        let (first, second) = (payload(), payload());
        assert!(second.len() < 10);
        let mut inflater = Inflater::new();
        assert_eq!(inflater.inflate(&first, 1000).unwrap(), &secret[..]);
        assert_eq!(inflater.inflate(&second, 1000).unwrap_err().code, 1007);
        let both = [&first[..], &TAIL, &second].concat();
        assert_eq!(inflater.inflate(&both, 1000).unwrap(), secret.repeat(2));
    }

    #[test]
    fn a_bomb_is_refused_before_it_grows() {
        // A GiB of zeros in a MiB: each part ends on a byte and stands for itself.
        let mut part = Vec::with_capacity(1 << 12);
        let mut compress = Compress::new(Compression::best(), false);
        compress.compress_vec(&vec![0; 1 << 20], &mut part, FlushCompress::Sync).unwrap();
        assert_eq!((compress.total_in(), part.len() < 1 << 11), (1 << 20, true));
        let bomb = part.repeat(1 << 10);
        let mut inflater = Inflater::new();
        let max = 8 << 20;
        assert_eq!(inflater.inflate(&bomb, max).unwrap_err().code, 1009);
        // It was only measured, which takes no memory, and no further than needed.
        let made = inflater.state.total_out() as usize;
        assert!(made > max && made <= max + 2 * PIECE, "{made}");
    }

    proptest! {
        #[test]
        fn a_message_is_inflated_as_it_was_deflated(
            bytes: Vec<u8>, times in 1usize..200, level in 0u32..10,
        ) {
            let message = bytes.repeat(times);
            prop_assert_eq!(inflated(&deflated(&message)).unwrap(), &message[..]);
            let mut output = Vec::with_capacity(2 * message.len() + 100);
            let mut other = Compress::new(Compression::new(level), false);
            other.compress_vec(&message, &mut output, FlushCompress::Sync).unwrap();
            prop_assert_eq!(inflated(output.strip_suffix(&TAIL).unwrap()).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_inflated_or_refused(bytes: Vec<u8>) {
            let mut inflater = Inflater::new();
            if let Ok(message) = inflater.inflate(&bytes, 1000) {
                prop_assert!(message.len() <= 1000);
            }
            // Whatever it was, the inflater goes on.
            prop_assert_eq!(inflater.inflate(&deflated(b"next"), 1000).unwrap(), "next");
        }
    }
}
