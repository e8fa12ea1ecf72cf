//! The head of what a source sends first: HTTP/1.0, HTTP/1.1, or `ICE/1.0` in place of them.

use httparse::{EMPTY_HEADER, Status};

/// A longer head is refused, bytes.
pub const MAX: usize = 8 << 10;
const MAX_FIELDS: usize = 64;

/// A request without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// As it came: `PUT`, `SOURCE`, `GET`.
    pub method: String,
    /// As it came, percent-encoded, without the query.
    pub path: String,
    /// Behind the `?`, still encoded; empty without one.
    pub query: String,
    /// Whether the client speaks HTTP/1.1.
    pub is_1_1: bool,
    fields: Vec<(String, String)>,
}

/// Why bytes are not the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It has more than [`MAX`] bytes or 64 fields.
    TooLong,
    /// It is no HTTP.
    Garbage,
}

impl Head {
    /// The head at the beginning of the bytes, and its length. `None`: it has not ended yet.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Wrong> {
        // What comes behind a long head that ends early enough is the body.
        let seen = &bytes[..bytes.len().min(MAX)];
        let too_long = if bytes.len() >= MAX { Err(Wrong::TooLong) } else { Ok(None) };
        let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
            return if is_line(seen) { too_long } else { Err(Wrong::Garbage) };
        };
        let line = seen[..end].trim_ascii_end();
        let plain = match line.strip_suffix(b" ICE/1.0") {
            Some(begin) => [begin, b" HTTP/1.0", &seen[line.len()..]].concat(),
            None => seen.to_vec(),
        };
        let mut fields = [EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&plain) {
            Ok(Status::Complete(length)) => {
                let head = Self::of(&request).ok_or(Wrong::Garbage)?;
                Ok(Some((head, length + seen.len() - plain.len())))
            }
            Ok(Status::Partial) => too_long,
            Err(httparse::Error::TooManyHeaders) => Err(Wrong::TooLong),
            Err(_) => Err(Wrong::Garbage),
        }
    }

    fn of(request: &httparse::Request<'_, '_>) -> Option<Self> {
        let target = request.path?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let field =
            |field: &httparse::Header<'_>| (field.name.to_ascii_lowercase(), text(field.value));
        Some(Self {
            method: request.method?.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            is_1_1: request.version? == 1,
            fields: request.headers.iter().map(field).collect(),
        })
    }

    /// The first field of a name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Whether these bytes can be the beginning of a request's first line.
fn is_line(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(u8::is_ascii_uppercase)
        && bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\r')
}

/// UTF-8, or else Latin-1, which older sources send.
pub fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => latin_1(bytes),
    }
}

/// Each byte as the character with its number.
pub fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_ways_to_begin_are_read() {
        for (version, is_1_1) in [("HTTP/1.1", true), ("HTTP/1.0", false), ("ICE/1.0", false)] {
            let head = format!("SOURCE /lobby.mp3?a=b {version}\r\nIce-Name: Caf\u{e9}\r\n\r\n");
            let (read, length) = Head::read(format!("{head}sound").as_bytes()).unwrap().unwrap();
            assert_eq!(length, head.len());
            assert_eq!(
                (read.method.as_str(), read.path.as_str(), read.query.as_str()),
                ("SOURCE", "/lobby.mp3", "a=b")
            );
            assert_eq!((read.is_1_1, read.field("ice-name")), (is_1_1, Some("Caf\u{e9}")));
        }
        let (read, _) = Head::read(b"PUT / HTTP/1.0\nice-name: Caf\xe9\n\n").unwrap().unwrap();
        assert_eq!(read.field("ice-name"), Some("Caf\u{e9}"));
    }

    #[test]
    fn what_is_no_request_is_told_from_one_that_is_too_long() {
        for bytes in [
            &b"\x16\x03\x01\x02\0"[..],
            b"put / HTTP/1.1",
            b"PUT /\0",
            b"PUT / HTTP/2\r\n\r\n",
            b"PUT\r\n\r\n",
        ] {
            assert_eq!(Head::read(bytes), Err(Wrong::Garbage), "{bytes:?}");
        }
        let long = format!("PUT / HTTP/1.1\r\nauthorization: {}", "x".repeat(1 << 20));
        assert_eq!(Head::read(long.as_bytes()), Err(Wrong::TooLong));
        assert_eq!(Head::read(&[b'A'; MAX]), Err(Wrong::TooLong));
        assert_eq!(Head::read(&[b'A'; MAX - 1]), Ok(None));
        let many = format!("PUT / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(Head::read(many.as_bytes()), Err(Wrong::TooLong));
    }

    proptest! {
        #[test]
        fn a_beginning_is_never_read_as_something_else(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "(PUT|SOURCE|GET) /[a-z.]{0,9} (HTTP/1.[01]|ICE/1.0)\r?\n([a-z-]{1,9}: [ -~]{0,20}\r?\n){0,9}\r?\n.{0,20}".prop_map(String::into_bytes),
            ],
            cut in any::<prop::sample::Index>(),
        ) {
            let beginning = Head::read(&bytes[..cut.index(bytes.len() + 1)]);
            if beginning != Ok(None) {
                prop_assert_eq!(beginning, Head::read(&bytes));
            }
        }
    }
}
