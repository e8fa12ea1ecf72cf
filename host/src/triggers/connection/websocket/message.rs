//! A message that has not arrived as a whole: its kind, its bytes so far, and how far they are
//! known to be UTF-8.

use std::str;

use bytes::Bytes;

use super::{Incoming, Violation};

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

impl Kind {
    /// A message of this kind, whole and not compressed.
    pub fn whole(self, payload: Bytes) -> Result<Incoming, Violation> {
        match self {
            Self::Binary => Ok(Incoming::Binary(payload)),
            Self::Text if str::from_utf8(&payload).is_ok() => Ok(Incoming::Text(payload)),
            Self::Text => Err(not_utf8()),
        }
    }
}

/// A message of which more is to come.
#[derive(Debug)]
pub struct Message {
    /// What it holds.
    pub kind: Kind,
    /// Whether what arrives is compressed.
    pub compressed: bool,
    bytes: Vec<u8>,
    /// How many of the bytes are whole characters.
    checked: usize,
}

impl Message {
    /// A message of which nothing has arrived.
    pub fn new(kind: Kind, compressed: bool) -> Self {
        Self { kind, compressed, bytes: Vec::new(), checked: 0 }
    }

    /// How much has arrived, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The memory it takes, in bytes.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// What has arrived.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Make room for `arrived` bytes. It at most doubles what is there, whatever a header
    /// declares, and stays within `most`, the largest that the message can become.
    pub fn reserve(&mut self, arrived: usize, most: usize) {
        let needed = self.bytes.len() + arrived;
        if needed > self.bytes.capacity() {
            let room = (2 * self.bytes.capacity()).min(most).max(needed);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    /// Append what has arrived, already unmasked. A text that cannot become UTF-8 any more is
    /// refused at once (RFC 6455, section 8.1).
    pub fn append(&mut self, arrived: &[u8]) -> Result<(), Violation> {
        self.bytes.extend_from_slice(arrived);
        if self.kind == Kind::Binary || self.compressed {
            return Ok(());
        }
        match str::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // A character of which more may come.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(not_utf8()),
        }
        Ok(())
    }

    /// The whole message, if it is not compressed.
    pub fn end(mut self) -> Result<Incoming, Violation> {
        let is_whole = self.checked == self.bytes.len();
        // It may wait for its reader for a while: give back what doubling left unused.
        self.bytes.shrink_to_fit();
        match self.kind {
            Kind::Binary => Ok(Incoming::Binary(self.bytes.into())),
            Kind::Text if is_whole => Ok(Incoming::Text(self.bytes.into())),
            Kind::Text => Err(not_utf8()),
        }
    }
}

fn not_utf8() -> Violation {
    Violation::data("a text is not utf-8; send other bytes as a binary message")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_what_arrived_and_not_beyond_what_can_come() {
        let mut message = Message::new(Kind::Binary, false);
        let (mut grown, most) = (0, 1000);
        for _ in 0..most {
            let held = message.held();
            message.reserve(1, most);
            message.append(b"x").unwrap();
            assert!(message.held() <= 2 * message.len() && message.held() <= most);
            grown += usize::from(message.held() != held);
        }
        assert!((9..=11).contains(&grown), "{grown}");
    }

    #[test]
    fn a_message_that_ends_early_gives_its_room_back() {
        let mut message = Message::new(Kind::Binary, false);
        for _ in 0..600 {
            message.reserve(1, 10_000);
            message.append(b"x").unwrap();
        }
        assert_eq!(message.held(), 1024);
        let Incoming::Binary(bytes) = message.end().unwrap() else { panic!("not binary") };
        assert_eq!(Vec::from(bytes).capacity(), 600);
    }

    #[test]
    fn a_text_is_refused_at_the_first_byte_that_cannot_belong_to_it() {
        for (good, bad) in [
            (&b"ok "[..], 0x80),
            (b"ok ", 0xff),
            (b"\xc3", 0x28),
            // Too long for what it says.
            (b"", 0xc0),
            (b"\xe0", 0x80),
            (b"\xf0", 0x80),
            // Surrogates.
            (b"\xed", 0xa0),
            // Beyond U+10FFFF.
            (b"\xf4", 0x90),
            (b"", 0xf5),
            (b"\xf0\x9f\x98", 0x20),
        ] {
            let mut message = Message::new(Kind::Text, false);
            for byte in good {
                message.append(&[*byte]).unwrap();
            }
            assert_eq!(message.append(&[bad]).unwrap_err().code, 1007, "{good:x?} {bad:x}");
        }
    }

    #[test]
    fn a_text_that_ends_within_a_character_is_refused() {
        for cut in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
            let mut message = Message::new(Kind::Text, false);
            message.append(cut).unwrap();
            assert_eq!(message.end().unwrap_err().code, 1007, "{cut:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_is_accepted_byte_by_byte_where_it_is_whole(bytes: Vec<u8>, text: String) {
            for bytes in [bytes, text.into_bytes()] {
                let mut message = Message::new(Kind::Text, false);
                let pieces = bytes.iter().try_for_each(|byte| message.append(&[*byte]));
                let end = pieces.and_then(|()| message.end());
                proptest::prop_assert_eq!(end, Kind::Text.whole(bytes.into()));
            }
        }
    }
}
