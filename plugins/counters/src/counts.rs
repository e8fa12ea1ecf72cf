//! Counts a batch in memory, so that each counter is written once for all its messages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::scan::{Fields, NoEvent, Text};

/// How long a window of `stats` is.
pub const WINDOW_MS: i64 = 5_000;
/// The longest key in bytes; what is longer is cut.
const MAX_KEY: usize = 512;

/// What a batch adds to the four statistics. Keys borrow from the messages.
#[derive(Debug, Default)]
pub struct Counts<'a> {
    /// By type and action.
    events: HashMap<(Text<'a>, Text<'a>), i64>,
    nodes: Tally<'a>,
    ips: Tally<'a>,
    countries: Tally<'a>,
    searches: Tally<'a>,
    /// By the number of the window since 1970. A batch spans few.
    windows: BTreeMap<i64, Window>,
    total: i64,
    updated_ms: i64,
}

/// What happened in 5 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The number of events.
    pub events: i64,
    /// The sum of their delays, in milliseconds.
    pub lag_ms: i64,
}

impl<'a> Counts<'a> {
    /// Count one message with the time of its record. What is no event changes nothing.
    pub fn add(&mut self, message: &'a [u8], timestamp_ms: i64) -> Result<(), NoEvent> {
        let fields = Fields::read(message)?;
        *self.events.entry((fields.kind, fields.action)).or_default() += 1;
        self.nodes.count(fields.node);
        self.ips.count(fields.ip);
        self.countries.count(fields.country);
        if fields.kind.is("offr") && fields.action.is("preview") {
            self.searches.count(fields.text);
        }
        let window = self.windows.entry(timestamp_ms.div_euclid(WINDOW_MS)).or_default();
        window.events += 1;
        window.lag_ms = window.lag_ms.saturating_add_unsigned(fields.lag_ms);
        self.total += 1;
        self.updated_ms = self.updated_ms.max(timestamp_ms);
        Ok(())
    }

    /// The number of events.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// The time of the newest record, in milliseconds since 1970-01-01 UTC.
    pub fn updated_ms(&self) -> i64 {
        self.updated_ms
    }

    /// About how many keys there are for `event_counter`, `metadata` and `search_counter`.
    pub fn keys(&self) -> [usize; 3] {
        let metadata = [&self.nodes, &self.ips, &self.countries].map(Tally::len);
        [self.events.len(), metadata.iter().sum(), self.searches.len()]
    }

    /// What to add to `event_counter`: by `type`, or `type[action]` where there is an action.
    pub fn events(&self) -> Vec<(Cow<'a, str>, i64)> {
        merged(self.events.iter().map(|((kind, action), count)| match action.is_empty() {
            true => (kind.read(), *count),
            false => (labelled(&kind.read(), *action), *count),
        }))
    }

    /// What to add to `metadata`: by node, address and country.
    pub fn metadata(&self) -> Vec<(Cow<'a, str>, i64)> {
        let tallies = [("node", &self.nodes), ("ip", &self.ips), ("country", &self.countries)];
        merged(tallies.iter().flat_map(|(label, tally)| {
            tally.iter().map(|(text, count)| (labelled(label, text), count))
        }))
    }

    /// What to add to `search_counter`.
    pub fn searches(&self) -> Vec<(Cow<'a, str>, i64)> {
        merged(self.searches.iter().map(|(text, count)| (text.read(), count)))
    }

    /// The windows by their numbers since 1970, in order.
    pub fn windows(&self) -> Vec<(i64, Window)> {
        self.windows.iter().map(|(number, window)| (*number, *window)).collect()
    }
}

/// How often each text came. The same one often comes many times in a row, which is cheaper to
/// notice than to look up.
#[derive(Debug, Default)]
struct Tally<'a> {
    counts: HashMap<Text<'a>, i64>,
    last: Text<'a>,
    /// How often the last one came that is not in the counts yet.
    run: i64,
}

impl<'a> Tally<'a> {
    /// Count a text; a missing one is not counted.
    #[inline]
    fn count(&mut self, text: Text<'a>) {
        if text != self.last {
            self.end_run();
            self.last = text;
        }
        self.run += 1;
    }

    fn end_run(&mut self) {
        if !self.last.is_empty() {
            *self.counts.entry(self.last).or_default() += self.run;
        }
        self.run = 0;
    }

    /// How many texts, or one more where the last one came before.
    fn len(&self) -> usize {
        self.counts.len() + usize::from(!self.last.is_empty())
    }

    fn iter(&self) -> impl Iterator<Item = (Text<'a>, i64)> {
        let run = Some((self.last, self.run)).filter(|(last, _)| !last.is_empty());
        self.counts.iter().map(|(text, count)| (*text, *count)).chain(run)
    }
}

fn labelled<'a>(label: &str, text: Text<'_>) -> Cow<'a, str> {
    Cow::Owned([label, "[", &text.read(), "]"].concat())
}

/// A text as a key: no NUL, which PostgreSQL refuses, and short enough for an index.
fn key(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MAX_KEY && !text.contains('\0') {
        return text;
    }
    let end = text.floor_char_boundary(MAX_KEY);
    Cow::Owned(text[..end].replace('\0', "\u{fffd}"))
}

/// The counts in the order of their keys, each key once: a text may have been written with
/// different escapes. The order keeps writers from waiting for each other in circles.
fn merged<'a>(counts: impl Iterator<Item = (Cow<'a, str>, i64)>) -> Vec<(Cow<'a, str>, i64)> {
    let mut counts: Vec<_> = counts.map(|(text, count)| (key(text), count)).collect();
    counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0 };
        same
    });
    counts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn counted<'a>(messages: &[(&'a str, i64)]) -> Counts<'a> {
        let mut counts = Counts::default();
        for (message, time) in messages {
            counts.add(message.as_bytes(), *time).unwrap();
        }
        counts
    }

    fn pairs(counts: &[(Cow<'_, str>, i64)]) -> Vec<(String, i64)> {
        counts.iter().map(|(key, count)| (key.to_string(), *count)).collect()
    }

    #[test]
    fn every_event_counts_once_by_its_type_and_action() {
        let counts = counted(&[
            (r#"{"type":"w"}"#, 0),
            (r#"{"type":"offr","params":{"action":"create"}}"#, 0),
            (r#"{"type":"w"}"#, 0),
            (r#"{"type":"\u0077"}"#, 0),
        ]);
        assert_eq!(pairs(&counts.events()), [("offr[create]".into(), 1), ("w".into(), 3)]);
        assert_eq!(counts.total(), 4);
    }

    #[test]
    fn metadata_counts_nodes_addresses_and_countries() {
        let counts = counted(&[
            (r#"{"type":"w","node":"one","ip":"::1","geo":{"country":"DE"}}"#, 0),
            (r#"{"type":"w","node":"one","ip":"::2","geo":{"country":"XX"}}"#, 0),
        ]);
        let wanted = [
            ("country[DE]", 1),
            ("country[XX]", 1),
            ("ip[::1]", 1),
            ("ip[::2]", 1),
            ("node[one]", 2),
        ];
        assert_eq!(pairs(&counts.metadata()), wanted.map(|(key, count)| (key.to_owned(), count)));
    }

    #[test]
    fn searches_are_the_texts_of_previewed_offers() {
        let counts = counted(&[
            (r#"{"type":"offr","params":{"action":"preview","text":"ride"}}"#, 0),
            (r#"{"type":"offr","params":{"action":"create","text":"bike"}}"#, 0),
            (r#"{"type":"srch","params":{"action":"preview","text":"boat"}}"#, 0),
        ]);
        assert_eq!(pairs(&counts.searches()), [("ride".into(), 1)]);
    }

    #[test]
    fn windows_hold_the_events_and_delays_of_5_seconds() {
        let event = r#"{"type":"w","klag":20}"#;
        let counts = counted(&[(event, 4_999), (event, 5_000), (event, 9_999)]);
        let wanted = [(0, Window { events: 1, lag_ms: 20 }), (1, Window { events: 2, lag_ms: 40 })];
        assert_eq!(counts.windows(), wanted);
        assert_eq!(counts.updated_ms(), 9_999);
    }

    #[test]
    fn a_key_fits_into_any_database() {
        let event = format!(r#"{{"type":"\u0000{}"}}"#, "ü".repeat(MAX_KEY));
        let counts = counted(&[(&event, 0)]);
        let (key, _) = &counts.events()[0];
        assert!(key.len() <= MAX_KEY + 2 && key.starts_with("\u{fffd}ü"), "{key}");
    }

    #[test]
    fn what_is_no_event_changes_nothing() {
        let mut counts = Counts::default();
        assert_eq!(counts.add(b"no", 1), Err(NoEvent));
        assert_eq!((counts.total(), counts.updated_ms()), (0, 0));
    }
}
