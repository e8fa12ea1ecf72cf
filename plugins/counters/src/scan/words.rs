//! Looks at many bytes at a time: whether texts are equal, which key they are, where numbers end.

use wide::u8x16;

/// Whether two byte strings are equal. What the language offers compares byte by byte in a
/// plugin.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            0..4 => [0, a.len() / 2, a.len().saturating_sub(1)]
                .iter()
                .all(|at| a.get(*at) == b.get(*at)),
            4..8 => {
                a.first_chunk::<4>() == b.first_chunk() && a.last_chunk::<4>() == b.last_chunk()
            }
            8.. => same_words(a, b),
        }
}

/// The same for two of one length of at least eight bytes.
#[inline(always)]
fn same_words(a: &[u8], b: &[u8]) -> bool {
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    // The last eight bytes overlap the words before them.
    a.last_chunk::<8>() == b.last_chunk() && a_words.iter().zip(b_words).all(|(a, b)| a == b)
}

/// A key of at most seven bytes in one number, with its length, so that it is looked up without
/// comparing bytes; longer ones are all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u64);

impl Name {
    const LONG: Self = Self(u64::MAX);

    /// The name that this key is.
    pub(super) const fn of(key: &[u8]) -> Self {
        if key.len() > 7 {
            return Self::LONG;
        }
        let (mut word, mut at) = (0, key.len());
        while at > 0 {
            at -= 1;
            word = word << 8 | key[at] as u64;
        }
        Self(word | (key.len() as u64) << 56)
    }

    /// The key `from..to` of an event.
    #[inline(always)]
    pub(super) fn at(event: &[u8], from: usize, to: usize) -> Self {
        let length = to - from;
        match word(event, from) {
            Some(word) if length <= 7 => {
                Self(word & !(u64::MAX << (8 * length)) | (length as u64) << 56)
            }
            _ => Self::of(&event[from..to]),
        }
    }
}

/// Eight bytes at a place, the first of them lowest.
#[inline(always)]
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// Where a number or a word ends: at a comma, a closing bracket, white space, or the end.
#[inline(always)]
pub(super) fn end_of_plain(bytes: &[u8], from: usize) -> usize {
    let window = bytes.get(from..).and_then(|rest| rest.first_chunk());
    match window.map_or(0, |window| ends_of_plain(*window)) {
        0 => far_end_of_plain(bytes, from),
        ends => from + ends.trailing_zeros() as usize,
    }
}

#[inline(never)]
fn far_end_of_plain(bytes: &[u8], from: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | ..=b' ');
    let length = bytes[from..].iter().position(ends);
    length.map_or(bytes.len(), |length| from + length)
}

/// A bit for each byte that may follow a number or a word, the first byte lowest.
#[inline(always)]
fn ends_of_plain(window: [u8; 16]) -> u32 {
    let window = u8x16::new(window);
    // `]` and `}` differ in one bit, and no other byte has the rest of them.
    let brackets = (window | u8x16::splat(0x20)).simd_eq(u8x16::splat(b'}'));
    let commas = window.simd_eq(u8x16::splat(b','));
    let spaces = window.min(u8x16::splat(b' ')).simd_eq(window);
    (brackets | commas | spaces).to_bitmask()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_texts_are_the_same_where_each_byte_is(
            a in prop::collection::vec(prop::sample::select(&b"ab"[..]), 0..20),
            b in prop::collection::vec(prop::sample::select(&b"ab"[..]), 0..20),
            changed in 0usize..20,
        ) {
            prop_assert_eq!(same(&a, &b), a == b);
            let mut near = a.clone();
            prop_assert!(same(&a, &near));
            if let Some(byte) = near.get_mut(changed) {
                *byte ^= 1;
                prop_assert!(!same(&a, &near));
            }
        }

        #[test]
        fn a_number_ends_where_a_plain_search_says(
            bytes in prop::collection::vec(prop::sample::select(&b"0123456789-+.eEnulltruefas,]} \n\r\t"[..]), 0..40),
            from in 0usize..40,
        ) {
            let from = from.min(bytes.len());
            prop_assert_eq!(end_of_plain(&bytes, from), far_end_of_plain(&bytes, from));
        }
    }
}
