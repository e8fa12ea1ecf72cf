//! What waits for a client to take it.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// The pieces of one write.
const PIECES: usize = 16;

/// Bytes, in order.
#[derive(Default)]
pub struct Outbox {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    /// Behind all others.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// What goes into one write.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces.iter().take(PIECES).map(|piece| IoSlice::new(piece)).collect()
    }

    /// The client's system took so many.
    pub fn took(&mut self, mut count: usize) {
        self.bytes -= count.min(self.bytes);
        while let Some(piece) = self.pieces.front_mut().filter(|_| count > 0) {
            let part = count.min(piece.len());
            piece.advance(part);
            count -= part;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_gone_wherever_it_was_cut() {
        let mut outbox = Outbox::default();
        for piece in ["one", "", "two", "three"] {
            outbox.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!((outbox.bytes(), outbox.slices().len()), (11, 3));
        outbox.took(4);
        assert_eq!((outbox.bytes(), &*outbox.slices()[0]), (7, &b"wo"[..]));
        outbox.took(7);
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }
}
