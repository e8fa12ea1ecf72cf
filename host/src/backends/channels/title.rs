//! What plays in a channel, as Icecast's players are told it among the bytes of a stream.

/// The unit of a block's length, in bytes.
const UNIT: usize = 16;
/// The longest block behind its length: what one byte counts in units.
const MAX_BLOCK: usize = 255 * UNIT;

/// A title with its block of metadata.
#[derive(Debug, PartialEq, Eq)]
pub struct Title {
    text: Box<str>,
    block: Vec<u8>,
}

impl Title {
    /// One that players show. What would end it early, or is too long for a block, is left out.
    pub fn new(title: &str) -> Self {
        let (before, behind) = ("StreamTitle='", "';");
        let title = title.replace("';", "',").replace(char::is_control, " ");
        let end = title.floor_char_boundary(MAX_BLOCK - before.len() - behind.len());
        let text = &title[..end];
        let title = [before, text, behind].concat();
        let units = title.len().div_ceil(UNIT);
        let mut block = Vec::with_capacity(1 + units * UNIT);
        // It is at most 255.
        block.push(units as u8);
        block.extend(title.as_bytes());
        block.resize(1 + units * UNIT, 0);
        Self { text: text.into(), block }
    }

    /// What players show.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The length in units of 16 bytes, and as many of those.
    pub fn block(&self) -> &[u8] {
        &self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_units_and_no_title_ends_it_early() {
        let title = Title::new("a");
        assert_eq!(title.block(), b"\x01StreamTitle='a';");
        let title = Title::new("it's';StreamUrl='x\n");
        assert!(title.block().starts_with(b"\x03StreamTitle='it's',StreamUrl='x ';\0"));
        assert!(
            !Title::new("'';;StreamUrl='x").block().windows(12).any(|part| part == b"';StreamUrl=")
        );
        let long = Title::new(&"\u{e4}".repeat(5000));
        assert_eq!((long.block()[0], long.block().len()), (255, 4081));
    }
}
