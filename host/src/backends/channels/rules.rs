//! What channels keep and what becomes of those who are slow, by the channels' names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Limits, Options, Slow};
use crate::quantity::{Bytes, Millis};

/// `[needs.channels."rooms:*"]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// The frames that are kept.
    pub frames: u32,
    /// The bytes of them; one frame is kept, however large.
    pub bytes: Bytes,
    /// What becomes of a connection that lags behind that.
    pub slow: Slow,
    /// How long they are kept while nobody publishes or listens.
    pub keep: Millis,
    /// Whether it is one channel on all hosts that share a topic, or each host has its own.
    pub shared: bool,
}

impl Default for Rule {
    fn default() -> Self {
        let (bytes, keep) = (Bytes(1 << 20), Millis(60_000));
        Self { frames: 256, bytes, slow: Slow::Disconnect, keep, shared: true }
    }
}

impl Rule {
    fn options(&self) -> Options {
        let limits = Limits { frames: self.frames as usize, bytes: self.bytes.as_usize() };
        Options { limits, slow: self.slow, keep: self.keep.into(), shared: self.shared }
    }
}

/// The rules of one generation.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    named: BTreeMap<String, Rule>,
    /// The beginnings of names, the longest first.
    beginnings: Vec<(String, Rule)>,
}

impl Rules {
    /// Those of a table whose keys are names, or beginnings of names and `*`.
    pub fn new(table: &BTreeMap<String, Rule>) -> Self {
        let mut rules = Self::default();
        for (name, rule) in table {
            match name.strip_suffix('*') {
                Some(beginning) => rules.beginnings.push((beginning.to_owned(), *rule)),
                None => drop(rules.named.insert(name.clone(), *rule)),
            }
        }
        rules.beginnings.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        rules
    }

    /// What holds for a channel: the rule of its name, else that of the longest beginning.
    pub fn of(&self, name: &str) -> Options {
        let beginning = || {
            let fits = |(beginning, _): &&(String, Rule)| name.starts_with(beginning.as_str());
            self.beginnings.iter().find(fits).map(|(_, rule)| rule)
        };
        let rule = self.named.get(name).or_else(beginning);
        rule.copied().unwrap_or_default().options()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wins_over_the_longest_beginning_and_that_over_shorter_ones() {
        let rule = |frames| Rule { frames, ..Rule::default() };
        let table = [("rooms:*", 2), ("*", 1), ("rooms:lobby", 4), ("rooms:vip*", 3)];
        let table = table.map(|(name, frames)| (name.to_owned(), rule(frames)));
        let rules = Rules::new(&table.into());
        let frames = |name| rules.of(name).limits.frames;
        assert_eq!(
            ["other", "rooms:x", "rooms:vip", "rooms:vip2", "rooms:lobby"].map(frames),
            [1, 2, 3, 3, 4]
        );
        assert_eq!(Rules::default().of("x").limits.frames, 256);
    }
}
