//! The quotes that open and close the strings of an event, found 64 bytes at a time.
//!
//! A search from string to string waits at each of them for the one before. Here the next quote
//! is a bit that is already known, and the search for those behind it waits for nothing.

use std::ops::Range;

use wide::u8x16;

use super::NoEvent;

/// How many bytes are looked at at once.
const BLOCK: usize = 64;

/// Walks the quotes that are not escaped, in order.
#[derive(Clone, Copy)]
pub(super) struct Quotes<'a> {
    bytes: &'a [u8],
    /// Where the block begins.
    block: usize,
    /// A bit for each quote of the block that has not been passed.
    left: u64,
}

impl<'a> Quotes<'a> {
    /// The quotes of an event.
    #[inline(always)]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, block: 0, left: quotes_in(bytes, 0) }
    }

    /// Pass the next string, which begins at this place; what lies between its quotes.
    #[inline(always)]
    pub fn string(&mut self, at: usize) -> Result<Range<usize>, NoEvent> {
        let open = self.next().ok_or(NoEvent)?;
        let close = self.next().ok_or(NoEvent)?;
        if open == at { Ok(open + 1..close) } else { Err(NoEvent) }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            self.block += BLOCK;
            if self.block >= self.bytes.len() {
                return None;
            }
            self.left = quotes_in(self.bytes, self.block);
        }
        let at = self.block + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(at)
    }
}

/// A bit for each quote of a block that is not escaped.
#[inline(never)]
fn quotes_in(bytes: &[u8], block: usize) -> u64 {
    let marks = marks_in(bytes, block);
    if marks.backslashes == 0 && !bytes[..block].ends_with(b"\\") {
        return marks.quotes;
    }
    not_escaped(marks, &bytes[..block])
}

/// The quotes that no backslash stands before, or one that is escaped itself.
#[cold]
fn not_escaped(marks: Marks, before: &[u8]) -> u64 {
    let before = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    let mut escaped = u64::from(before % 2 == 1);
    let mut backslashes = marks.backslashes;
    while backslashes != 0 {
        let lowest = backslashes & backslashes.wrapping_neg();
        backslashes ^= lowest;
        if escaped & lowest == 0 {
            escaped |= lowest << 1;
        }
    }
    marks.quotes & !escaped
}

/// A bit for each byte that is a quote or a backslash, the first byte lowest.
#[derive(Clone, Copy, Default)]
struct Marks {
    quotes: u64,
    backslashes: u64,
}

impl Marks {
    #[inline(always)]
    fn of(window: [u8; 16]) -> Self {
        let window = u8x16::new(window);
        let equal_to = |byte| u64::from(window.simd_eq(u8x16::splat(byte)).to_bitmask());
        Self { quotes: equal_to(b'"'), backslashes: equal_to(b'\\') }
    }

    /// These, and those of the bytes that begin so much later.
    #[inline(always)]
    fn and(self, later: Self, by: usize) -> Self {
        Self {
            quotes: self.quotes | later.quotes << by,
            backslashes: self.backslashes | later.backslashes << by,
        }
    }
}

#[inline(always)]
fn marks_in(bytes: &[u8], block: usize) -> Marks {
    let (windows, rest) = bytes[block..].as_chunks::<16>();
    if let Some(&[a, b, c, d]) = windows.first_chunk() {
        let (low, high) = (Marks::of(a).and(Marks::of(b), 16), Marks::of(c).and(Marks::of(d), 16));
        return low.and(high, 32);
    }
    let end = windows.len() * 16;
    let windows = windows.iter().enumerate();
    let marks = windows.fold(Marks::default(), |marks, (number, window)| {
        marks.and(Marks::of(*window), number * 16)
    });
    marks.and(marks_at_end(bytes, rest), end)
}

/// Those of the last bytes, which are fewer than 16.
#[inline(always)]
fn marks_at_end(bytes: &[u8], rest: &[u8]) -> Marks {
    if let Some(last) = bytes.last_chunk::<16>() {
        let marks = Marks::of(*last);
        let before = 16 - rest.len();
        return Marks { quotes: marks.quotes >> before, backslashes: marks.backslashes >> before };
    }
    let mut window = [0; 16];
    window[..rest.len()].copy_from_slice(rest);
    Marks::of(window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, one byte after the other.
    fn plainly(bytes: &[u8]) -> Vec<usize> {
        let (mut quotes, mut is_escaped) = (Vec::new(), false);
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'"' && !is_escaped {
                quotes.push(at);
            }
            is_escaped = *byte == b'\\' && !is_escaped;
        }
        quotes
    }

    proptest! {
        #[test]
        fn the_quotes_are_those_that_a_plain_search_finds(
            bytes in prop::collection::vec(prop::sample::select(&b"\"\\\\\\ab\xff"[..]), 0..200),
        ) {
            let mut quotes = Quotes::of(&bytes);
            let found: Vec<usize> = std::iter::from_fn(|| quotes.next()).collect();
            prop_assert_eq!(found, plainly(&bytes));
        }
    }
}
