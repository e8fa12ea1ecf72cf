//! Percent-encoding of paths.

use std::{borrow::Cow, string::FromUtf8Error};

/// Decode a path or a part of it; `None` where an escape is broken. What is not UTF-8 (old links
/// in other encodings are full of it) is replaced by U+FFFD. Nothing is copied where nothing is
/// encoded.
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            out.push(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?);
        } else {
            out.push(byte);
        }
    }
    let decoded = String::from_utf8(out);
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    Some(Cow::Owned(decoded.unwrap_or_else(lossy)))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_refused() {
        assert_eq!(decode("a%20b%2Fc").as_deref(), Some("a b/c"));
        assert_eq!(decode("caf%c3%A9").as_deref(), Some("café"));
        assert_eq!(decode("a%e9").as_deref(), Some("a\u{FFFD}"));
        assert!(matches!(decode("plain+"), Some(Cow::Borrowed("plain+"))));
        for broken in ["%", "%4", "%zz", "%+1"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_encoded_is_decoded(text: String) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let decoded = decode(&encoded);
            proptest::prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        }
    }
}
