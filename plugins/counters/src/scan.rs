//! Reads the few fields that count out of an event, without reading the rest of it.
//!
//! A full JSON reader spends most of its time on values that nobody asks for. This one hops from
//! key to key, borrows the texts it wants, and skips everything else by its quotes and brackets.
//! It accepts every JSON object; some texts that are no JSON are accepted as well, where the
//! mistake lies in a value that is skipped.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
};

use words::{Name, end_of_plain, quote_or_backslash, same};

mod words;

/// Deeper values than any real event has are refused.
const MAX_DEPTH: u32 = 128;

/// A message that is not a JSON object with a `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEvent;

impl fmt::Display for NoEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not a JSON object with a `type`")
    }
}

impl std::error::Error for NoEvent {}

/// A text as it stands in the JSON, escapes included.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Text<'a>(&'a [u8]);

impl PartialEq for Text<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        same(self.0, other.0)
    }
}

impl Hash for Text<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<'a> Text<'a> {
    /// Whether it is exactly this; the given text needs no escapes.
    pub fn is(self, plain: &str) -> bool {
        same(self.0, plain.as_bytes())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The text itself. Escapes that mean nothing stay as they are, and so does a lack of UTF-8
    /// as far as it can be shown.
    pub fn read(self) -> Cow<'a, str> {
        if !self.0.contains(&b'\\') {
            return String::from_utf8_lossy(self.0);
        }
        let quoted = [b"\"", self.0, b"\""].concat();
        match serde_json::from_slice::<String>(&quoted) {
            Ok(text) => Cow::Owned(text),
            Err(_) => String::from_utf8_lossy(self.0),
        }
    }
}

/// The fields of an event that count. A missing text is empty, a missing number 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `type`
    pub kind: Text<'a>,
    /// `klag`, in milliseconds
    pub lag_ms: u64,
    /// `ip`
    pub ip: Text<'a>,
    /// `node`
    pub node: Text<'a>,
    /// `geo.country`
    pub country: Text<'a>,
    /// `params.action`
    pub action: Text<'a>,
    /// `params.text`
    pub text: Text<'a>,
}

impl<'a> Fields<'a> {
    /// Find the fields of an event.
    pub fn read(event: &'a [u8]) -> Result<Self, NoEvent> {
        let mut fields = Self::default();
        let mut found = 0u32;
        let mut scanner = Scanner { bytes: event, at: 0 };
        scanner.open()?;
        while let Some(key) = scanner.next_key()? {
            found |= match key {
                TYPE => {
                    fields.kind = scanner.text_or_skip()?;
                    1
                }
                KLAG => {
                    fields.lag_ms = scanner.number_or_skip()?;
                    2
                }
                IP => {
                    fields.ip = scanner.text_or_skip()?;
                    4
                }
                NODE => {
                    fields.node = scanner.text_or_skip()?;
                    8
                }
                GEO => {
                    fields.read_place(&mut scanner)?;
                    16
                }
                PARAMS => {
                    fields.read_params(&mut scanner)?;
                    32
                }
                _ => {
                    scanner.skip()?;
                    0
                }
            };
            if found == ALL {
                scanner.skip_rest();
                break;
            }
        }
        match !fields.kind.is_empty() && scanner.is_at_end() {
            true => Ok(fields),
            false => Err(NoEvent),
        }
    }

    #[inline(always)]
    fn read_place(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NoEvent> {
        if scanner.peek() != Some(b'{') {
            return scanner.skip();
        }
        scanner.open()?;
        while let Some(key) = scanner.next_key()? {
            match key {
                COUNTRY => self.country = scanner.text_or_skip()?,
                _ => scanner.skip()?,
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn read_params(&mut self, scanner: &mut Scanner<'a>) -> Result<(), NoEvent> {
        if scanner.peek() != Some(b'{') {
            return scanner.skip();
        }
        scanner.open()?;
        while let Some(key) = scanner.next_key()? {
            match key {
                ACTION => self.action = scanner.text_or_skip()?,
                TEXT => self.text = scanner.text_or_skip()?,
                _ => scanner.skip()?,
            }
        }
        Ok(())
    }
}

/// The names of the members that are looked at.
const TYPE: Name = Name::of(b"type");
const KLAG: Name = Name::of(b"klag");
const IP: Name = Name::of(b"ip");
const NODE: Name = Name::of(b"node");
const GEO: Name = Name::of(b"geo");
const PARAMS: Name = Name::of(b"params");
const COUNTRY: Name = Name::of(b"country");
const ACTION: Name = Name::of(b"action");
const TEXT: Name = Name::of(b"text");

/// One bit for each member that is looked at. The enricher writes them first; once they have all
/// been seen, the rest is passed unread.
const ALL: u32 = 63;

/// A place in a JSON text.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Pass white space, of which there usually is none.
    #[inline(always)]
    fn space(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.at = behind_space(self.bytes, self.at);
        }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), NoEvent> {
        if self.peek() != Some(byte) {
            return Err(NoEvent);
        }
        self.at += 1;
        Ok(())
    }

    /// Enter an object.
    #[inline(always)]
    fn open(&mut self) -> Result<(), NoEvent> {
        self.space();
        self.expect(b'{')
    }

    /// The next key of an object, with its value to be passed before the next call; `None` at the
    /// end of the object, which is passed.
    #[inline(always)]
    fn next_key(&mut self) -> Result<Option<Name>, NoEvent> {
        let is_first = self.bytes.get(self.at.wrapping_sub(1)) == Some(&b'{');
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        if !is_first {
            self.expect(b',')?;
            self.space();
        }
        let from = self.at + 1;
        self.string()?;
        let key = Name::at(self.bytes, from, self.at - 1);
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(Some(key))
    }

    /// Pass everything, if it ends as an object does.
    #[inline]
    fn skip_rest(&mut self) {
        if self.bytes.trim_ascii_end().ends_with(b"}") {
            self.at = self.bytes.len();
        }
    }

    #[inline]
    fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.bytes.len()
    }

    #[inline(always)]
    fn text_or_skip(&mut self) -> Result<Text<'a>, NoEvent> {
        match self.peek() {
            Some(b'"') => self.string().map(Text),
            _ => self.skip().map(|()| Text::default()),
        }
    }

    #[inline]
    fn number_or_skip(&mut self) -> Result<u64, NoEvent> {
        let start = self.at;
        self.skip()?;
        let digits = self.bytes[start..self.at].iter();
        let number = digits.take_while(|byte| byte.is_ascii_digit());
        Ok(number.fold(0u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }))
    }

    /// Pass a string; what stands between its quotes.
    #[inline(always)]
    fn string(&mut self) -> Result<&'a [u8], NoEvent> {
        self.expect(b'"')?;
        let start = self.at;
        self.at = quote_or_backslash(self.bytes, start).ok_or(NoEvent)?;
        if self.peek() == Some(b'\\') {
            self.at = behind_escapes(self.bytes, self.at).ok_or(NoEvent)?;
        }
        self.at += 1;
        Ok(&self.bytes[start..self.at - 1])
    }

    /// Pass any value.
    #[inline(always)]
    fn skip(&mut self) -> Result<(), NoEvent> {
        match self.peek().ok_or(NoEvent)? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => {
                self.at = behind_nested(self.bytes, self.at)?;
                Ok(())
            }
            _ => self.skip_plain(),
        }
    }

    /// Pass a number or a word: up to what may follow a value.
    #[inline(always)]
    fn skip_plain(&mut self) -> Result<(), NoEvent> {
        let start = self.at;
        self.at = end_of_plain(self.bytes, start);
        if self.at == start { Err(NoEvent) } else { Ok(()) }
    }
}

// What is rare is told the place and answers another: a scanner that is lent to a call stays in
// memory, and each step of it waits for the one before to arrive there.

/// Where white space ends.
#[cold]
fn behind_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The quote that ends a string, from its first backslash on.
#[cold]
fn behind_escapes(bytes: &[u8], mut at: usize) -> Option<usize> {
    while bytes.get(at) == Some(&b'\\') {
        // The escaped byte is passed with its backslash, whatever it is.
        at = quote_or_backslash(bytes, at + 2)?;
    }
    Some(at)
}

/// Where an object or a list ends, found by counting brackets.
#[inline(never)]
fn behind_nested(bytes: &[u8], at: usize) -> Result<usize, NoEvent> {
    let mut scanner = Scanner { bytes, at };
    let mut depth = 0;
    loop {
        match scanner.peek().ok_or(NoEvent)? {
            b'"' => {
                scanner.string()?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        scanner.at += 1;
        if depth == 0 {
            return Ok(scanner.at);
        }
        if depth > MAX_DEPTH {
            return Err(NoEvent);
        }
    }
}

#[cfg(test)]
mod tests;
