//! The headers of MPEG audio, layer III (ISO 11172-3, ISO 13818-3, and what is called MPEG 2.5).

use std::time::Duration;

use super::frames::Header;

/// Thousands of bits a second of MPEG 1; the index 0 would leave the length open, which nobody uses.
const RATES_1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// The same of MPEG 2 and 2.5.
const RATES_2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// The header at the beginning of the bytes.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let [0xff, second, third, ..] = *bytes else { return None };
    if second & 0xe6 != 0xe2 {
        return None;
    }
    let (divide, is_1) = match second >> 3 & 3 {
        3 => (1, true),
        2 => (2, false),
        0 => (4, false),
        _ => return None,
    };
    let samples_a_second = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))? / divide;
    let rates = if is_1 { RATES_1 } else { RATES_2 };
    let bits_a_second = rates.get(usize::from(third >> 4)).filter(|rate| **rate > 0)? * 1000;
    let samples = if is_1 { 1152 } else { 576 };
    let padding = usize::from(third >> 1 & 1);
    Some(Header {
        length: samples / 8 * bits_a_second / samples_a_second + padding,
        // More than a `usize` of WebAssembly holds.
        lasts: Duration::from_nanos(samples as u64 * 1_000_000_000 / samples_a_second as u64),
        kind: u32::from(second & 0x18) << 8 | u32::from(third & 0x0c),
    })
}

/// Whether the frame is what encoders put in front: silence with a table of contents in it, which
/// is about the whole file and not true of a part of it.
pub fn is_about(frame: &[u8]) -> bool {
    let (Some(second), Some(fourth)) = (frame.get(1), frame.get(3)) else { return false };
    let (is_1, is_mono) = (second >> 3 & 3 == 3, fourth >> 6 == 3);
    let side = match (is_1, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let word = |at: usize| frame.get(at..at + 4);
    matches!(word(4 + side), Some(b"Xing" | b"Info")) || word(36) == Some(b"VBRI")
}
