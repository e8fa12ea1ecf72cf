//! Gathers bytes that come cut anywhere until there is a whole piece of sound.

use serde::{Deserialize, Serialize};

use super::{MAX_PIECE, Parser, Unfit, What};

/// A parser with what it has not used yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Framer {
    parser: Parser,
    /// At most [`MAX_PIECE`] and what came last.
    rest: Vec<u8>,
}

impl Framer {
    /// Before the first byte.
    pub fn new(parser: Parser) -> Self {
        Self { parser, rest: Vec::new() }
    }

    /// Take bytes, and hand over each piece with its bytes; those of headers are in what they are.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(What, &[u8])) -> Result<(), Unfit> {
        self.rest.extend_from_slice(bytes);
        let (mut at, mut out) = (0, Vec::new());
        while let Some(step) = self.parser.step(&self.rest[at..], &mut out)? {
            at += step.used;
            if step.what != What::Nothing {
                each(step.what, &out);
            }
            out.clear();
        }
        self.rest.drain(..at);
        debug_assert!(self.rest.len() <= MAX_PIECE + super::frames::HEAD);
        Ok(())
    }

    /// The parser, which knows nothing of the bytes that wait.
    pub fn parser(&mut self) -> &mut Parser {
        &mut self.parser
    }
}
