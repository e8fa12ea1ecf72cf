//! Which part of a blob a request asks for, as RFC 9110 has it: conditions first, then one range.
//!
//! What cannot be read is as if it was not there, so that nobody gets less than was asked for.
//! Several ranges at once are answered with all of it, which is allowed and what clients expect of
//! servers that do not know more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The blob.
    All,
    /// A part of it, which is not empty: the first byte, and the first behind it.
    Range {
        /// The first byte.
        from: u64,
        /// The first byte behind it.
        end: u64,
    },
    /// Nothing: the client has it.
    Unchanged,
    /// Nothing: the range lies behind the blob.
    Outside,
}

/// What a request asks for of a blob of this size that is answered with these fields.
pub fn asked(parts: &Parts, answer: &HeaderMap, size: u64) -> Part {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Part::All;
    }
    if is_unchanged(&parts.headers, answer) {
        return Part::Unchanged;
    }
    let range = only(&parts.headers, header::RANGE).filter(|_| parts.method == Method::GET);
    match range {
        Some(range) if is_of_this(&parts.headers, answer) => parse(range, size),
        _ => Part::All,
    }
}

/// A time as HTTP writes it.
pub fn date(ms: u64) -> String {
    // What is beyond the year 9999 cannot be written.
    let ms = ms.min(253_402_300_799_000);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ms))
}

/// Whether the client has what would be sent. A date counts only where there are no tags.
fn is_unchanged(asked: &HeaderMap, answer: &HeaderMap) -> bool {
    if asked.contains_key(header::IF_NONE_MATCH) {
        let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(text);
        let tag = answer.get(header::ETAG).and_then(text).map(bare);
        let mut tags = tags.flat_map(|tags| tags.split(',')).map(str::trim);
        return tags.any(|known| known == "*" || Some(bare(known)) == tag);
    }
    let since = only(asked, header::IF_MODIFIED_SINCE).and_then(time);
    let modified = answer.get(header::LAST_MODIFIED).and_then(text).and_then(time);
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// Whether a range is one of what would be sent: without `if-range` it is.
fn is_of_this(asked: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(known) = asked.get(header::IF_RANGE) else { return true };
    let field =
        if known.as_bytes().starts_with(b"\"") { header::ETAG } else { header::LAST_MODIFIED };
    // To the byte: a weak tag, or another time, does not tell that the bytes are the same.
    answer.get(field) == Some(known)
}

/// `bytes=0-99`, `bytes=100-` or `bytes=-100`, the last ones.
fn parse(range: &str, size: u64) -> Part {
    let Some((first, last)) = split(range) else { return Part::All };
    if first.is_empty() {
        return match number(last) {
            None => Part::All,
            Some(count) if count == 0 || size == 0 => Part::Outside,
            Some(count) => Part::Range { from: size.saturating_sub(count), end: size },
        };
    }
    let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
    match number(first).zip(last) {
        None => Part::All,
        Some((from, last)) if last < from => Part::All,
        Some((from, _)) if from >= size => Part::Outside,
        Some((from, last)) => Part::Range { from, end: last.saturating_add(1).min(size) },
    }
}

/// Digits and nothing else. More than can be counted is behind every blob.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// What stands before and behind the dash of the only range.
fn split(range: &str) -> Option<(&str, &str)> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    Some((first.trim(), last.trim()))
}

/// A tag without the mark that it is a weak one.
fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn time(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// The value of a field that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    text(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn part(method: Method, fields: &[(&str, &str)], size: u64) -> Part {
        let mut request = http::Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut answer = HeaderMap::new();
        answer.insert("etag", HeaderValue::from_static("\"e\""));
        answer.insert("last-modified", HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        asked(&request.body(()).unwrap().into_parts().0, &answer, size)
    }

    #[test]
    fn one_range_is_answered_and_what_is_none_is_not_there() {
        let range = |range: &str, size| part(Method::GET, &[("range", range)], size);
        for (text, from, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-99", 0, 10),
            ("bytes=3-", 3, 10),
            ("Bytes = 3 - 4", 3, 5),
            ("bytes=-4", 6, 10),
            ("bytes=-99", 0, 10),
            ("bytes=9-99999999999999999999999", 9, 10),
        ] {
            assert_eq!(range(text, 10), Part::Range { from, end }, "{text}");
        }
        for text in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(range(text, 10), Part::Outside, "{text}");
        }
        for text in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(range(text, 0), Part::Outside, "{text}");
        }
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=99-x",
            "bytes=x-0",
            "bytes=1--2",
        ] {
            assert_eq!(range(text, 10), Part::All, "{text}");
        }
        for method in [Method::HEAD, Method::POST] {
            assert_eq!(part(method, &[("range", "bytes=0-0")], 10), Part::All);
        }
        let twice = [("range", "bytes=0-0"), ("range", "bytes=1-1")];
        assert_eq!(part(Method::GET, &twice, 10), Part::All);
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let (now, before) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT");
        for (fields, unchanged) in [
            (&[("if-none-match", "\"e\"")][..], true),
            (&[("if-none-match", "\"x\", W/\"e\"")], true),
            (&[("if-none-match", "\"x\""), ("if-none-match", "\"e\"")], true),
            (&[("if-none-match", "*")], true),
            (&[("if-none-match", "\"x\"")], false),
            (&[("if-none-match", "e")], false),
            (&[("if-modified-since", now)], true),
            (&[("if-modified-since", before)], false),
            (&[("if-modified-since", "yesterday")], false),
            (&[("if-none-match", "\"x\""), ("if-modified-since", now)], false),
            (&[("if-none-match", "\"e\""), ("range", "bytes=0-0")], true),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let is_unchanged = part(method, fields, 10) == Part::Unchanged;
                assert_eq!(is_unchanged, unchanged, "{fields:?}");
            }
            assert_eq!(part(Method::POST, fields, 10), Part::All);
        }
    }

    #[test]
    fn a_range_of_another_version_gets_all_of_this_one() {
        for (known, is_this) in [
            ("\"e\"", true),
            ("\"x\"", false),
            ("W/\"e\"", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
        ] {
            let part = part(Method::GET, &[("range", "bytes=0-0"), ("if-range", known)], 10);
            assert_eq!(part == Part::Range { from: 0, end: 1 }, is_this, "{known}");
        }
    }
}
