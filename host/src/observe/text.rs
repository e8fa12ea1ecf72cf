//! Log lines for people: an event is a line, and what else it has to say stands indented below it.
//!
//! A guest's panic and the hint of an error have several lines. Left at the margin they would look
//! like events, and a plugin could write lines that seem to be somebody else's.

use std::io::{self, Write};

/// What the lines of an event are moved in by, but for the first.
const INDENT: &[u8] = b"    ";

/// Takes events, each in one piece as the formatter writes them, and hands them on in one piece.
pub(super) struct Indented<W>(pub(super) W);

impl<W: Write> Write for Indented<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let body = event.strip_suffix(b"\n").unwrap_or(event);
        if body.contains(&b'\n') {
            let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
            let mut text = lines.join(&[b"\n", INDENT].concat()[..]);
            text.push(b'\n');
            self.0.write_all(&text)?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_further_lines_of_an_event_are_moved_in() {
        let mut written = Indented(Vec::new());
        for event in ["one\n", "it panicked:\n  at main\n2026 INFO forged\n", "two\n"] {
            written.write_all(event.as_bytes()).unwrap();
        }
        let text = String::from_utf8(written.0).unwrap();
        assert_eq!(text, "one\nit panicked:\n      at main\n    2026 INFO forged\ntwo\n");
    }
}
