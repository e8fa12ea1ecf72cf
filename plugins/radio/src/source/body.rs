//! The body of a source's request: as it is, of a length that it told, or in chunks.

use serde::{Deserialize, Serialize};

use super::head::Head;

/// The longest line between chunks, and all trailers together, bytes.
const MAX_LINE: u32 = 1024;

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Until the connection ends.
    Open,
    /// So many bytes are left.
    Long(u64),
    /// In chunks.
    Chunked(Chunk),
    /// It has ended.
    Over,
}

/// Where a body in chunks is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chunk {
    /// In the line with the next size: the size so far, the bytes of the line so far, and whether
    /// an extension, which nobody wants to know, has begun.
    Size(u64, u32, bool),
    /// So many bytes are left of a chunk.
    Bytes(u64),
    /// In the line behind a chunk, which is empty.
    End,
    /// In the trailers: bytes of them so far, and of the line.
    Trailers(u32, u32),
}

/// A body that is not cut into chunks as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl Body {
    /// That of a request.
    pub fn of(head: &Head) -> Self {
        let is_chunked = |coding: &str| coding.to_ascii_lowercase().contains("chunked");
        if head.field("transfer-encoding").is_some_and(is_chunked) {
            return Self::Chunked(Chunk::Size(0, 0, false));
        }
        // Some sources say that they send nothing, or as much as can be said, and go on for ever.
        let length = head.field("content-length").and_then(|length| length.trim().parse().ok());
        length.filter(|length| *length > 0).map_or(Self::Open, Self::Long)
    }

    /// Whether nothing comes any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Over | Self::Long(0))
    }

    /// Hand over what is the body's of these bytes, in parts.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let used = match self {
                Self::Open => bytes.len(),
                Self::Long(left) | Self::Chunked(Chunk::Bytes(left)) => {
                    let used =
                        usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= used as u64;
                    used
                }
                Self::Chunked(chunk) => {
                    match chunk.next(bytes[0])? {
                        Some(next) => *chunk = next,
                        None => *self = Self::Over,
                    }
                    bytes = &bytes[1..];
                    continue;
                }
                Self::Over => break,
            };
            each(&bytes[..used]);
            bytes = &bytes[used..];
            match self {
                Self::Chunked(chunk @ Chunk::Bytes(0)) => *chunk = Chunk::End,
                Self::Long(0) => *self = Self::Over,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Chunk {
    /// Behind one byte that is not of a chunk; `None` at the end of the body.
    fn next(&self, byte: u8) -> Result<Option<Self>, Broken> {
        let next = match (self, byte) {
            (Self::Size(_, MAX_LINE.., _) | Self::Trailers(MAX_LINE.., _), _) => {
                return Err(Broken);
            }
            (Self::Size(_, 0, _), b'\n') => return Err(Broken),
            (Self::Size(0, ..), b'\n') => Self::Trailers(0, 0),
            (Self::Size(size, ..), b'\n') => Self::Bytes(*size),
            (Self::Size(size, line, true), _) => Self::Size(*size, line + 1, true),
            (Self::Size(size, line, _), b';' | b' ' | b'\t' | b'\r') if *line > 0 => {
                Self::Size(*size, *line, true)
            }
            (Self::Size(size, line, _), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Broken)?;
                let larger = size.checked_mul(16).ok_or(Broken)? + u64::from(digit);
                Self::Size(larger, line + 1, false)
            }
            (Self::End, b'\r') => Self::End,
            (Self::End, b'\n') => Self::Size(0, 0, false),
            (Self::End | Self::Bytes(_), _) => return Err(Broken),
            (Self::Trailers(_, 0), b'\n') => return Ok(None),
            (Self::Trailers(all, _), b'\n') => Self::Trailers(all + 1, 0),
            (Self::Trailers(all, line), b'\r') => Self::Trailers(all + 1, *line),
            (Self::Trailers(all, line), _) => Self::Trailers(all + 1, line + 1),
        };
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn of(fields: &str) -> Body {
        let head = format!("PUT /a.mp3 HTTP/1.1\r\n{fields}\r\n");
        Body::of(&Head::read(head.as_bytes()).unwrap().unwrap().0)
    }

    fn all(body: &mut Body, pieces: &[&[u8]]) -> (Result<(), Broken>, Vec<u8>) {
        let mut out = vec![];
        for piece in pieces {
            if body.take(piece, |part| out.extend_from_slice(part)).is_err() {
                return (Err(Broken), out);
            }
        }
        (Ok(()), out)
    }

    #[test]
    fn each_kind_of_body_ends_where_it_says() {
        let mut body = of("");
        assert_eq!(all(&mut body, &[b"abc"]), (Ok(()), b"abc".to_vec()));
        assert!(!body.is_over());
        let mut body = of("content-length: 2\r\n");
        assert_eq!(all(&mut body, &[b"abc"]), (Ok(()), b"ab".to_vec()));
        assert!(body.is_over());
        let mut body = of("transfer-encoding: chunked\r\n");
        let sent = b"3;x=y\r\nabc\r\n00A \r\n0123456789\r\n0\r\ntrailer: x\r\n\r\nbehind";
        assert_eq!(all(&mut body, &[sent]), (Ok(()), b"abc0123456789".to_vec()));
        assert!(body.is_over());
        assert!(!of("content-length: 0\r\n").is_over());
    }

    #[test]
    fn chunks_that_are_none_are_broken() {
        for sent in
            [&b"x\r\n"[..], b"\r\n", b"3\r\nabcd", b"11111111111111111\r\n", b"1;", b"0\r\n"]
        {
            let sent = [sent, &[b'y'; 2000]].concat();
            assert_eq!(all(&mut of("transfer-encoding: chunked\r\n"), &[&sent]).0, Err(Broken));
        }
    }

    proptest! {
        #[test]
        fn any_cutting_of_a_body_gives_the_same(
            parts in prop::collection::vec(
                prop_oneof!["[0-9a-f]{1,3}(;[a-z]{0,4})?\r?\n", "\r\n", "[a-z]{0,20}", "0\r\n\r\n"],
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let bytes = parts.concat().into_bytes();
            let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            for fields in ["transfer-encoding: chunked\r\n", "content-length: 7\r\n", ""] {
                let (mut cut, mut whole) = (of(fields), of(fields));
                prop_assert_eq!(all(&mut cut, &pieces), all(&mut whole, &[&bytes]));
                prop_assert_eq!(cut, whole);
            }
        }
    }
}
