//! Reads the few fields that count out of an event, without reading the rest of it.
//!
//! A full JSON reader spends most of its time on values that nobody asks for. This one hops from
//! key to key, borrows the texts it wants, and skips everything else by its quotes and brackets.
//! It accepts every JSON object; some texts that are no JSON are accepted as well, where the
//! mistake lies in a value that is skipped.
//!
//! The quotes are found ahead of the reading, many bytes at a time, so that a string need not be
//! passed before the search for the next one begins. One loop reads the event and the objects in
//! it that are looked into: what lies in one place is compiled into little code with few values
//! at hand, which a plugin runs much faster.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
};

use quotes::Quotes;
use words::{Name, end_of_plain, same};

mod quotes;
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
    /// The bytes without their number, which would cost as much again; what tells two texts in a
    /// row apart is left to the comparison.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0);
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
        let start = behind_space(event, 0);
        if event.get(start) != Some(&b'{') {
            return Err(NoEvent);
        }
        let mut found = Found::default();
        let end = found.read(event, start + 1)?;
        let kind = found.texts[TYPE];
        if kind.is_empty() || behind_space(event, end) != event.len() {
            return Err(NoEvent);
        }
        Ok(Self {
            kind,
            lag_ms: found.lag_ms,
            ip: found.texts[IP],
            node: found.texts[NODE],
            country: found.texts[COUNTRY],
            action: found.texts[ACTION],
            text: found.texts[TEXT],
        })
    }
}

// The members that are looked at, by number. Those of the event itself come first.
const TYPE: usize = 0;
const KLAG: usize = 1;
const IP: usize = 2;
const NODE: usize = 3;
const GEO: usize = 4;
const PARAMS: usize = 5;
const COUNTRY: usize = 6;
const ACTION: usize = 7;
const TEXT: usize = 8;
/// Any other member; as a place, the event itself.
const OTHER: usize = 9;

/// One bit for each member of the event that is looked at. The enricher writes them first; once
/// they have all been seen, the rest is passed unread.
const ALL: u32 = 63;

const NAME_TYPE: Name = Name::of(b"type");
const NAME_KLAG: Name = Name::of(b"klag");
const NAME_IP: Name = Name::of(b"ip");
const NAME_NODE: Name = Name::of(b"node");
const NAME_GEO: Name = Name::of(b"geo");
const NAME_PARAMS: Name = Name::of(b"params");
const NAME_COUNTRY: Name = Name::of(b"country");
const NAME_ACTION: Name = Name::of(b"action");
const NAME_TEXT: Name = Name::of(b"text");

/// The number of a member of the event, or of one of its objects.
#[inline(always)]
fn member(within: usize, key: Name) -> usize {
    match (within, key) {
        (OTHER, NAME_TYPE) => TYPE,
        (OTHER, NAME_KLAG) => KLAG,
        (OTHER, NAME_IP) => IP,
        (OTHER, NAME_NODE) => NODE,
        (OTHER, NAME_GEO) => GEO,
        (OTHER, NAME_PARAMS) => PARAMS,
        (GEO, NAME_COUNTRY) => COUNTRY,
        (PARAMS, NAME_ACTION) => ACTION,
        (PARAMS, NAME_TEXT) => TEXT,
        _ => OTHER,
    }
}

/// What has been found in an event.
#[derive(Default)]
struct Found<'a> {
    /// By the number of the member; what is no text is empty.
    texts: [Text<'a>; OTHER + 1],
    lag_ms: u64,
}

impl<'a> Found<'a> {
    /// Read from behind the opening bracket of an event; the place behind its end.
    #[inline(always)]
    fn read(&mut self, event: &'a [u8], mut at: usize) -> Result<usize, NoEvent> {
        let mut quotes = Quotes::of(event);
        let (mut within, mut is_first, mut seen) = (OTHER, true, 0);
        loop {
            at = behind_space(event, at);
            match *event.get(at).ok_or(NoEvent)? {
                b'}' => {
                    at += 1;
                    if within == OTHER {
                        return Ok(at);
                    }
                    seen |= 1 << within;
                    if seen == ALL && event.trim_ascii_end().ends_with(b"}") {
                        return Ok(event.len());
                    }
                    (within, is_first) = (OTHER, false);
                    continue;
                }
                b',' if !is_first => at = behind_space(event, at + 1),
                _ if is_first => {}
                _ => return Err(NoEvent),
            }
            let key = quotes.string(at)?;
            at = behind_space(event, key.end + 1);
            if event.get(at) != Some(&b':') {
                return Err(NoEvent);
            }
            at = behind_space(event, at + 1);
            let member = member(within, Name::at(event, key.start, key.end));
            let mut text = Text::default();
            match *event.get(at).ok_or(NoEvent)? {
                b'"' => {
                    let string = quotes.string(at)?;
                    at = string.end + 1;
                    text = Text(&event[string]);
                }
                b'{' if member == GEO || member == PARAMS => {
                    at += 1;
                    (within, is_first) = (member, true);
                    continue;
                }
                b'{' | b'[' => (quotes, at) = behind_nested(event, quotes, at)?,
                _ => {
                    let end = end_of_plain(event, at);
                    if end == at {
                        return Err(NoEvent);
                    }
                    if member == KLAG {
                        self.lag_ms = number(&event[at..end]);
                    }
                    at = end;
                }
            }
            self.texts[member] = text;
            seen |= 1 << member & ALL;
            is_first = false;
        }
    }
}

/// The number that these bytes begin with; the highest there is for any that comes near it. A
/// product that is watched for overflow is a call with 128 bits in a plugin.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| match number {
        0..NEAR_OVERFLOW => number * 10 + u64::from(digit - b'0'),
        NEAR_OVERFLOW.. => u64::MAX,
    })
}

/// Below this, a number has room for one more digit.
const NEAR_OVERFLOW: u64 = u64::MAX / 10;

/// Where white space ends, of which there usually is none.
#[inline(always)]
fn behind_space(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(..=b' ') => far_behind_space(bytes, at),
        _ => at,
    }
}

#[cold]
#[inline(never)]
fn far_behind_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where an object or a list ends, found by counting brackets, and the quotes behind it.
#[inline(always)]
fn behind_nested<'a>(
    bytes: &[u8],
    mut quotes: Quotes<'a>,
    mut at: usize,
) -> Result<(Quotes<'a>, usize), NoEvent> {
    let mut depth = 0;
    loop {
        match *bytes.get(at).ok_or(NoEvent)? {
            b'"' => {
                at = quotes.string(at)?.end + 1;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Ok((quotes, at));
        }
        if depth > MAX_DEPTH {
            return Err(NoEvent);
        }
    }
}

#[cfg(test)]
mod tests;
