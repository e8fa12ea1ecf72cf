//! The headers of ADTS, the frames that AAC is sent in (ISO 13818-7).

use std::time::Duration;

use super::frames::Header;

const SAMPLES_A_SECOND: [u64; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// The header at the beginning of the bytes.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let [0xff, second, third, fourth, fifth, sixth, seventh, ..] = *bytes else { return None };
    if second & 0xf6 != 0xf0 {
        return None;
    }
    let rate = SAMPLES_A_SECOND.get(usize::from(third >> 2 & 15))?;
    let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    // A header has seven bytes, or nine with a checksum, and something follows it.
    let least = if second & 1 == 1 { 7 } else { 9 };
    if length <= least {
        return None;
    }
    let blocks = u64::from(seventh & 3) + 1;
    Some(Header {
        length,
        lasts: Duration::from_nanos(1024 * blocks * 1_000_000_000 / rate),
        kind: u32::from(second & 0x08) << 16 | u32::from(third) << 8 | u32::from(fourth & 0xc0),
    })
}
