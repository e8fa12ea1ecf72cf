//! What a viewer wants: which types, and from when on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use trellis_sdk::channels::Start;

/// The channel of all events.
pub const ALL: &str = "all";
/// What `from=beginning` asks for: all that a channel may keep.
const EVERYTHING: u32 = 10_000;
/// The most types of a filter: a connection hears at most 64 channels, and those of the filter
/// before and the filter after at once.
const MOST_TYPES: usize = 32;
/// The most bytes of a type that has a channel: a channel's name has at most 255.
const MOST_NAME: usize = 250;
/// The most bytes of a filter as JSON: it is kept in the connection's tag.
const MOST_BYTES: usize = 3_500;

/// The channel of a type; none where the name is too long for one.
pub fn channel(kind: &str) -> Option<String> {
    (kind.len() <= MOST_NAME).then(|| format!("type/{kind}"))
}

/// Types of events; none means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(BTreeSet<String>);

impl Filter {
    /// A filter of these types, unless they are too many or too long.
    pub fn of(types: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut filter = Self::default();
        for kind in types {
            if kind.len() > MOST_NAME {
                return Err(format!("a type to filter by has at most {MOST_NAME} bytes"));
            }
            filter.0.insert(kind);
            if filter.0.len() > MOST_TYPES {
                return Err(format!("a filter has at most {MOST_TYPES} types"));
            }
        }
        match serde_json::to_string(&filter) {
            Ok(json) if json.len() <= MOST_BYTES => Ok(filter),
            _ => Err(format!("a filter has at most {MOST_BYTES} bytes")),
        }
    }

    /// The types of a text that has commas between them.
    pub fn written(text: &str) -> impl Iterator<Item = String> {
        text.split(',').map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned)
    }

    /// The channels that have what passes.
    pub fn channels(&self) -> BTreeSet<String> {
        match self.0.is_empty() {
            true => BTreeSet::from([ALL.to_owned()]),
            false => self.0.iter().filter_map(|kind| channel(kind)).collect(),
        }
    }
}

/// Where a viewer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the next event.
    Now,
    /// With the oldest that is kept.
    Beginning,
    /// With the last so many, of each type where there is a filter.
    Last(u32),
}

impl From {
    /// As a query has it: `now`, `beginning` or a number.
    pub fn written(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("now", _) => Ok(Self::Now),
            ("beginning", _) => Ok(Self::Beginning),
            (_, Ok(last)) => Ok(Self::Last(last)),
            _ => Err("`from` is `now`, `beginning`, or a number of events".into()),
        }
    }

    /// The same for a channel.
    pub fn start(self) -> Start {
        match self {
            Self::Now | Self::Last(0) => Start::Next,
            Self::Beginning => Start::Recent(EVERYTHING),
            Self::Last(last) => Start::Recent(last.min(EVERYTHING)),
        }
    }
}

/// What a query asks for: `filter=a,b` (also several times) and `from=`. Everything else is
/// ignored, such as the `gid` of earlier clients, which named a group of consumers.
pub fn read(query: &str) -> Result<(Filter, Option<From>), String> {
    let mut types = Vec::new();
    let mut from = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "filter" => types.extend(Filter::written(&value)),
            "from" => from = Some(From::written(&value)?),
            _ => {}
        }
    }
    Ok((Filter::of(types)?, from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_query_without_a_filter_asks_for_all() {
        for query in ["", "gid=7", "filter=", "filter=%2C,", "Filter=a"] {
            let (filter, from) = read(query).unwrap();
            assert_eq!(
                (filter.channels(), from),
                (BTreeSet::from(["all".into()]), None),
                "{query}"
            );
        }
    }

    #[test]
    fn several_types_are_several_channels_each_once() {
        let (filter, _) = read("filter=b,a&x=1&filter=b,%20c%20d&gid=1").unwrap();
        let channels: Vec<_> = filter.channels().into_iter().collect();
        assert_eq!(channels, ["type/a", "type/b", "type/c d"]);
    }

    #[test]
    fn a_type_called_all_is_not_all() {
        let (filter, _) = read("filter=all").unwrap();
        assert_eq!(filter.channels(), BTreeSet::from(["type/all".into()]));
    }

    #[test]
    fn where_to_begin_is_now_the_beginning_or_a_number() {
        for (from, start) in [
            ("now", Start::Next),
            ("0", Start::Next),
            ("beginning", Start::Recent(EVERYTHING)),
            ("25", Start::Recent(25)),
            ("4000000000", Start::Recent(EVERYTHING)),
        ] {
            let read = From::written(from).unwrap().start();
            assert_eq!(format!("{read:?}"), format!("{start:?}"), "{from}");
        }
        for from in ["", "yesterday", "-1", "1.5", "99999999999"] {
            assert!(read(&format!("from={from}")).is_err(), "{from}");
        }
    }

    #[test]
    fn a_filter_that_would_not_fit_a_connection_is_refused() {
        let many: Vec<_> = (0..=MOST_TYPES).map(|n| n.to_string()).collect();
        assert!(Filter::of(many[1..].iter().cloned()).is_ok());
        assert!(Filter::of(many).is_err());
        assert!(Filter::of(["x".repeat(MOST_NAME)]).is_ok());
        assert!(Filter::of(["x".repeat(MOST_NAME + 1)]).is_err());
        let escaped = (0..20).map(|n| format!("{n}{}", "\u{1}".repeat(200)));
        assert!(Filter::of(escaped).is_err());
    }
}
