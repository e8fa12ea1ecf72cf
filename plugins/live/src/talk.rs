//! What viewers say on their websocket, and what follows.
//!
//! ```text
//! {"pause":true}                     hear nothing, but stay
//! {"pause":false}                    go on, with what is kept of the time between
//! {"pause":false,"from":500}         go on with the last 500; also "now" and "beginning"
//! {"filter":["purchase","search"]}   these types from here on; [] is all
//! {}                                 changes nothing
//! ```
//!
//! Each is answered with `{"filter":[…],"paused":…}` or `{"error":"…"}`; events have a `_offset_`.
//!
//! **Nothing lost, nothing twice.** Channels have no memory of who heard what, so going on from a
//! pause begins with all that is kept, and the client leaves out what it has: `topic`, `_partition_`
//! and `_offset_` are in every frame and name an event once and for all. A new filter is heard
//! before the old one is not, so no event falls in between; one that both pass may come twice.

use serde::{Deserialize, Serialize};
use trellis_sdk::channels::{NORMAL, Start};

use crate::filter::{Filter, From};

/// The code of a connection whose tag another version wrote: come again.
const COME_AGAIN: u16 = 1012;

/// What is known of a connection: its tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What it hears.
    pub filter: Filter,
    /// Whether it hears nothing for now.
    pub paused: bool,
    /// When its session ends, in seconds since 1970, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What is to happen on a connection, in this order.
#[derive(Clone, Debug)]
pub enum Act {
    /// Hear a channel.
    Join(String, Start),
    /// Hear it no longer.
    Leave(String),
    /// Tell the client.
    Send(String),
    /// Keep this tag.
    Retag(String),
    /// End it.
    Close(u16, &'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    pause: Option<bool>,
    filter: Option<Types>,
    from: Option<Point>,
}

/// A list of types, or a text with commas.
#[derive(Deserialize)]
#[serde(untagged)]
enum Types {
    List(Vec<String>),
    Text(String),
}

/// A word or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Point {
    Number(u32),
    Text(String),
}

impl State {
    /// As a tag.
    pub fn tag(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From a tag; `None` if another version wrote it, and otherwise.
    pub fn of(tag: &str) -> Option<Self> {
        serde_json::from_str(tag).ok()
    }

    /// Take a message of the client. A mistake changes nothing.
    pub fn hear(&mut self, message: &str, now_s: u64) -> Vec<Act> {
        if self.until.is_some_and(|until| until <= now_s) {
            return vec![Act::Close(NORMAL, "the session has ended: log in again")];
        }
        match self.change(message) {
            Ok(acts) => acts,
            Err(error) => vec![complain(&error)],
        }
    }

    fn change(&mut self, message: &str) -> Result<Vec<Act>, String> {
        let message: Message =
            serde_json::from_str(message).map_err(|error| format!("not understood: {error}"))?;
        let from = match message.from {
            Some(Point::Number(last)) => Some(From::Last(last)),
            Some(Point::Text(text)) => Some(From::written(&text)?),
            None => None,
        };
        let mut next = self.clone();
        match message.filter {
            Some(Types::List(types)) => next.filter = Filter::of(types)?,
            Some(Types::Text(text)) => next.filter = Filter::of(Filter::written(&text))?,
            None => {}
        }
        next.paused = message.pause.unwrap_or(self.paused);

        let usual = if self.paused { From::Beginning } else { From::Now };
        let start = from.unwrap_or(usual).start();
        let (before, after) = (self.hears(), next.hears());
        let mut acts: Vec<_> =
            after.difference(&before).map(|channel| Act::Join(channel.clone(), start)).collect();
        acts.extend(before.difference(&after).cloned().map(Act::Leave));
        if next != *self {
            *self = next;
            acts.push(Act::Retag(self.tag()));
        }
        let (filter, paused) = (&self.filter, self.paused);
        acts.push(Act::Send(serde_json::json!({"filter": filter, "paused": paused}).to_string()));
        Ok(acts)
    }

    fn hears(&self) -> std::collections::BTreeSet<String> {
        if self.paused { Default::default() } else { self.filter.channels() }
    }
}

/// Tell a client what it did wrong.
pub fn complain(error: &str) -> Act {
    Act::Send(serde_json::json!({"error": error}).to_string())
}

/// What becomes of a connection whose tag cannot be read.
pub fn start_over() -> Act {
    Act::Close(COME_AGAIN, "connect again")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn hear(state: &mut State, message: &str) -> Vec<String> {
        state
            .hear(message, 100)
            .iter()
            .map(|act| match act {
                Act::Join(channel, start) => format!("+{channel} {start:?}"),
                Act::Leave(channel) => format!("-{channel}"),
                Act::Send(text) => text.clone(),
                Act::Retag(tag) => {
                    assert!(State::of(tag).is_some() && tag.len() <= 4096);
                    "tag".to_owned()
                }
                Act::Close(code, _) => format!("close {code}"),
            })
            .collect()
    }

    #[test]
    fn a_pause_leaves_the_channels_and_goes_on_with_what_is_kept() {
        let mut state = State::default();
        let paused = [r#"-all"#, "tag", r#"{"filter":[],"paused":true}"#];
        assert_eq!(hear(&mut state, r#"{"pause":true}"#), paused);
        assert_eq!(hear(&mut state, r#"{"pause":true}"#), paused[2..]);
        let on = ["+all Start::Recent(10000)", "tag", r#"{"filter":[],"paused":false}"#];
        assert_eq!(hear(&mut state, r#"{"pause":false}"#), on);
        hear(&mut state, r#"{"pause":true}"#);
        assert_eq!(hear(&mut state, r#"{"pause":false,"from":500}"#)[0], "+all Start::Recent(500)");
        hear(&mut state, r#"{"pause":true}"#);
        assert_eq!(hear(&mut state, r#"{"pause":false,"from":"now"}"#)[0], "+all Start::Next");
    }

    #[test]
    fn a_new_filter_is_heard_before_the_old_one_is_left() {
        let mut state = State::default();
        let acts = hear(&mut state, r#"{"filter":["b","a"]}"#);
        let wanted = [
            "+type/a Start::Next",
            "+type/b Start::Next",
            "-all",
            "tag",
            r#"{"filter":["a","b"],"paused":false}"#,
        ];
        assert_eq!(acts, wanted);
        assert_eq!(
            hear(&mut state, r#"{"filter":"b,c"}"#)[..2],
            ["+type/c Start::Next", "-type/a"]
        );
        assert_eq!(
            hear(&mut state, r#"{"filter":[],"from":"beginning"}"#)[0],
            "+all Start::Recent(10000)"
        );
    }

    #[test]
    fn a_filter_during_a_pause_holds_when_it_ends() {
        let mut state = State { paused: true, ..State::default() };
        assert_eq!(
            hear(&mut state, r#"{"filter":["a"]}"#),
            ["tag", r#"{"filter":["a"],"paused":true}"#]
        );
        assert_eq!(hear(&mut state, r#"{"pause":false}"#)[0], "+type/a Start::Recent(10000)");
    }

    #[test]
    fn a_mistake_is_answered_and_changes_nothing() {
        let before = State { until: Some(101), ..State::default() };
        for message in [
            "",
            "pause",
            "[]",
            "7",
            r#"{"pause":1}"#,
            r#"{"stop":true}"#,
            r#"{"from":"x","pause":true}"#,
            r#"{"filter":[7]}"#,
        ] {
            let mut state = before.clone();
            let acts = hear(&mut state, message);
            assert!(acts.len() == 1 && acts[0].starts_with(r#"{"error":""#), "{message}: {acts:?}");
            assert_eq!(state, before);
        }
    }

    #[test]
    fn a_session_that_has_ended_says_nothing_any_more() {
        let mut state = State { until: Some(100), ..State::default() };
        assert_eq!(hear(&mut state, r#"{"pause":true}"#), ["close 1000"]);
    }

    #[test]
    fn a_tag_is_read_as_it_was_written() {
        let filter = Filter::of(["a\"\n".to_owned()]).unwrap();
        let state = State { filter, paused: true, until: Some(7) };
        assert_eq!(State::of(&state.tag()), Some(state));
        assert!(State::of("").is_none() && State::of("{}").is_none());
    }

    proptest! {
        #[test]
        fn no_message_panics_or_makes_a_tag_that_is_too_long(
            messages in prop::collection::vec(
                prop_oneof![
                    any::<String>(),
                    prop::collection::vec(any::<String>(), 0..40)
                        .prop_map(|types| serde_json::json!({"filter": types}).to_string()),
                    any::<bool>().prop_map(|pause| serde_json::json!({"pause": pause}).to_string()),
                ],
                0..8,
            ),
        ) {
            let mut state = State::default();
            for message in messages {
                hear(&mut state, &message);
            }
        }

        #[test]
        fn no_query_or_tag_panics(text in any::<String>()) {
            let _ = crate::filter::read(&text);
            let _ = State::of(&text);
        }
    }
}
