//! Looks at texts eight bytes at a time: whether they are equal, which key they are, where they
//! and numbers end.

use memchr::memchr2;

/// Whether two byte strings are equal. What the language offers compares byte by byte in a
/// plugin.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(a_end), Some(b_end)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a.iter().zip(b).all(|(a, b)| a == b);
    };
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    // The last eight bytes overlap the words before them.
    a_end == b_end && a_words.iter().zip(b_words).all(|(a, b)| a == b)
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

/// The next `"` or `\`.
///
/// Most texts of an event are shorter than a call of a SIMD search costs, so the first words are
/// looked at here. There is no loop, because a plugin is asked at every turn of a loop whether
/// its time is up.
#[inline(always)]
pub(super) fn quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    let found = |at| {
        let word = word(bytes, at)?;
        first_of(bytes_equal_to(word, b'"') | bytes_equal_to(word, b'\\')).map(|found| at + found)
    };
    let near = found(from).or_else(|| found(from + 8)).or_else(|| found(from + 16));
    near.or_else(|| far_quote_or_backslash(bytes, from))
}

#[inline(never)]
fn far_quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    memchr2(b'"', b'\\', bytes.get(from..)?).map(|found| from + found)
}

/// Where a number or a word ends: at a comma, a closing bracket, white space, or the end.
#[inline(always)]
pub(super) fn end_of_plain(bytes: &[u8], from: usize) -> usize {
    let found = |at| first_of(bytes_after_plain(word(bytes, at)?)).map(|found| at + found);
    found(from).or_else(|| found(from + 8)).unwrap_or_else(|| far_end_of_plain(bytes, from))
}

#[inline(never)]
fn far_end_of_plain(bytes: &[u8], from: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
    let length = bytes[from..].iter().position(ends);
    length.map_or(bytes.len(), |length| from + length)
}

/// The place of the first byte that is marked.
#[inline(always)]
fn first_of(marks: u64) -> Option<usize> {
    (marks != 0).then(|| (marks.trailing_zeros() / 8) as usize)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// Marks the lowest byte that equals the wanted one; marks above it may be wrong.
#[inline]
fn bytes_equal_to(word: u64, wanted: u8) -> u64 {
    let zeroed = word ^ (ONES * u64::from(wanted));
    zeroed.wrapping_sub(ONES) & !zeroed & HIGH
}

/// Marks the lowest byte that may follow a number or a word; marks above it may be wrong.
#[inline]
fn bytes_after_plain(word: u64) -> u64 {
    // `]` and `}` differ in one bit, and nothing else of a number or a word has the others.
    let brackets = bytes_equal_to(word | (ONES * 0x20), b'}');
    brackets | bytes_equal_to(word, b',') | bytes_equal_to(word, b' ') | bytes_up_to_return(word)
}

/// Marks the lowest byte that is a tab, a line feed or a carriage return, or below.
#[inline]
fn bytes_up_to_return(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x0e) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_next_quote_is_the_one_a_plain_search_finds(bytes: Vec<u8>, from in 0usize..64) {
            let from = from.min(bytes.len());
            let plain = bytes[from..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(quote_or_backslash(&bytes, from), plain.map(|at| from + at));
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
