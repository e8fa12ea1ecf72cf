//! A page of Ogg: a head of 27 bytes, the lengths of its segments, and these.

use memchr::memchr;

/// The largest page: 255 segments of 255 bytes.
pub const MAX: usize = HEAD + 255 + 255 * 255;
const HEAD: usize = 27;
/// Where the head has the number of the stream and the checksum.
const SERIAL: usize = 14;
const CHECKSUM: usize = 22;

/// What stands at the beginning of bytes.
pub enum Found<'a> {
    /// They are too few to tell.
    Few,
    /// So many of them are no page.
    Garbage(usize),
    /// They begin like a page and are none.
    Broken,
    /// A whole page.
    Page(Page<'a>),
}

/// A page whose checksum is right.
pub struct Page<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// What is in it.
    pub payload: &'a [u8],
    segments: &'a [u8],
}

/// Look at the beginning of bytes.
pub fn find(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() {
        return Found::Few;
    }
    if bytes[0] != b'O' {
        return Found::Garbage(memchr(b'O', bytes).unwrap_or(bytes.len()));
    }
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Found::Few };
    // The fifth byte is the version of the format, which has always been 0.
    if !head.starts_with(b"OggS\0") {
        return Found::Garbage(1);
    }
    let count = usize::from(head[HEAD - 1]);
    let Some(segments) = bytes.get(HEAD..HEAD + count) else { return Found::Few };
    let length: usize = segments.iter().map(|length| usize::from(*length)).sum();
    let (begin, end) = (HEAD + count, HEAD + count + length);
    let Some(page) = bytes.get(..end) else { return Found::Few };
    if sum_of(page) != number(page, CHECKSUM) {
        return Found::Broken;
    }
    Found::Page(Page { bytes: page, payload: &page[begin..], segments })
}

impl Page<'_> {
    /// Whether a logical stream begins with it.
    pub fn is_first(&self) -> bool {
        self.bytes[5] & 2 != 0
    }

    /// The number of its logical stream.
    pub fn serial(&self) -> u32 {
        number(self.bytes, SERIAL)
    }

    /// How many packets end in it.
    pub fn packets(&self) -> usize {
        self.segments.iter().filter(|length| **length < 255).count()
    }

    /// The clock of the stream at the end of the last packet that ends in it, if one does.
    pub fn clock(&self) -> Option<u64> {
        let (low, high) = (number(self.bytes, 6), number(self.bytes, 10));
        let clock = u64::from(high) << 32 | u64::from(low);
        (clock != u64::MAX).then_some(clock)
    }

    /// Write it under another number.
    pub fn write(&self, serial: u32, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(self.bytes);
        let page = &mut out[begin..];
        page[SERIAL..SERIAL + 4].copy_from_slice(&serial.to_le_bytes());
        sign(page);
    }
}

/// Write the checksum of a page into it.
pub fn sign(page: &mut [u8]) {
    let sum = sum_of(page);
    if let Some(place) = page.get_mut(CHECKSUM..CHECKSUM + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Whether a frame of a channel begins with the first page of a logical stream.
pub fn is_beginning(frame: &[u8]) -> bool {
    frame.starts_with(b"OggS") && frame.get(5).is_some_and(|flags| flags & 2 != 0)
}

fn number(page: &[u8], at: usize) -> u32 {
    let bytes = page.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The checksum of a page, whatever stands in the place of it.
fn sum_of(page: &[u8]) -> u32 {
    let (before, rest) = page.split_at(CHECKSUM.min(page.len()));
    let after = rest.get(4..).unwrap_or_default();
    [before, &[0; 4], after].iter().fold(0, |sum, part| add(sum, part))
}

/// CRC-32 with the polynomial 0x04c11db7, neither reflected nor inverted.
fn add(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, byte| sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)])
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = sum << 1 ^ (if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 });
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};
