//! What is known of one plugin's versions: their order, and which of them is meant.

use serde::{Deserialize, Serialize};

use super::Arrival;
use crate::plugins::status::Weights;

/// The shortest beginning of a digest that means a version.
const SHORTEST: usize = 4;

/// One plugin's versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Index {
    /// In the order in which they came, the oldest first.
    pub versions: Vec<Kept>,
    /// The digest of the one that served last.
    pub serving: Option<String>,
    /// How the requests are split between that one and the newest, if the operator wants that.
    pub split: Option<Weights>,
    /// When any of this changed last, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// What tells it from others, in hexadecimal; see [`super::digest`].
    pub digest: String,
    /// The digest of its component.
    pub component: String,
    /// The version in its manifest.
    #[serde(default)]
    pub version: Option<String>,
    /// The text of its sidecar, if it has one.
    #[serde(default)]
    pub sidecar: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub arrived_ms: u64,
    /// Why the host took it back, if it did: it is not loaded again by itself.
    #[serde(default)]
    pub refused: Option<String>,
}

/// Why no version is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfound {
    /// There is none of this name.
    #[error("no version `{0}` of it is kept")]
    Unknown(String),
    /// Several have this name, or digests that begin so.
    #[error("`{text}` may be any of {}", digests.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The beginnings of their digests.
        digests: Vec<String>,
    },
    /// Nothing came before the one that serves.
    #[error("no earlier version of it is kept")]
    NoEarlier,
}

impl Kept {
    /// The beginning of its digest, for people.
    pub fn short(&self) -> &str {
        short(&self.digest)
    }
}

/// The beginning of a digest, for people.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

impl Index {
    /// Take a version in. One that is known keeps what is known of it.
    pub(super) fn arrive(&mut self, new: Kept, arrival: Arrival) {
        if arrival != Arrival::Candidate {
            self.serving = Some(new.digest.clone());
        }
        let known = self.versions.iter().position(|kept| kept.digest == new.digest);
        match known {
            Some(_) if arrival == Arrival::Found => {}
            Some(at) => {
                let kept = self.versions.remove(at);
                self.versions.push(Kept { arrived_ms: new.arrived_ms, ..kept });
            }
            None => self.versions.push(new),
        }
    }

    /// Drop the oldest beyond so many, but not the one that serves, nor the newest.
    pub(super) fn prune(&mut self, keep: usize) -> Vec<Kept> {
        let mut dropped = Vec::new();
        while self.versions.len() > keep {
            let last = self.versions.len() - 1;
            let mut old = self.versions[..last].iter();
            let at = old.position(|kept| Some(&kept.digest) != self.serving.as_ref());
            let Some(at) = at else { break };
            dropped.push(self.versions.remove(at));
        }
        dropped
    }

    /// The version with this digest.
    pub fn get(&self, digest: &str) -> Option<&Kept> {
        self.versions.iter().find(|kept| kept.digest == digest)
    }

    /// The version that served last.
    pub fn served(&self) -> Option<&Kept> {
        self.get(self.serving.as_deref()?)
    }

    /// The version that an operator means: by the version in its manifest, if only one has it, or
    /// by the beginning of its digest.
    pub fn find(&self, text: &str) -> Result<&Kept, Unfound> {
        let of_version: Vec<&Kept> = self.having(|kept| kept.version.as_deref() == Some(text));
        let of_digest = self.having(|kept| text.len() >= SHORTEST && kept.digest.starts_with(text));
        let found = if of_version.is_empty() { of_digest } else { of_version };
        match found[..] {
            [] => Err(Unfound::Unknown(text.to_owned())),
            [kept] => Ok(kept),
            _ => Err(Unfound::Ambiguous {
                text: text.to_owned(),
                digests: found.iter().map(|kept| format!("`{}`", kept.short())).collect(),
            }),
        }
    }

    /// The version that came before this one and was not taken back.
    pub fn before(&self, digest: &str) -> Result<&Kept, Unfound> {
        let at = self.versions.iter().position(|kept| kept.digest == digest);
        let mut earlier = self.versions[..at.unwrap_or(self.versions.len())].iter().rev();
        earlier.find(|kept| kept.refused.is_none()).ok_or(Unfound::NoEarlier)
    }

    /// Why the host took this version back, if it did.
    pub fn refusal(&self, digest: &str) -> Option<&str> {
        self.get(digest)?.refused.as_deref()
    }

    /// Note why a version must not be loaded again, or that it may.
    pub fn refuse(&mut self, digest: &str, reason: Option<String>) {
        let found = self.versions.iter_mut().find(|kept| kept.digest == digest);
        if let Some(kept) = found {
            kept.refused = reason;
        }
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(|kept| kept.component.as_str())
    }

    fn having(&self, has: impl Fn(&&Kept) -> bool) -> Vec<&Kept> {
        self.versions.iter().filter(has).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kept(digest: &str, version: &str) -> Kept {
        Kept {
            digest: digest.into(),
            component: digest.into(),
            version: Some(version.into()),
            sidecar: None,
            arrived_ms: 0,
            refused: None,
        }
    }

    fn index(digests: &[&str]) -> Index {
        let mut index = Index::default();
        for digest in digests {
            index.arrive(kept(digest, "1.0"), Arrival::Dropped);
        }
        index
    }

    fn order(index: &Index) -> Vec<&str> {
        index.versions.iter().map(|kept| kept.digest.as_str()).collect()
    }

    #[test]
    fn what_is_dropped_again_is_the_newest_and_what_is_put_back_stays_where_it_was() {
        let mut index = index(&["aaaa", "bbbb", "cccc"]);
        index.arrive(kept("bbbb", "1.0"), Arrival::Found);
        assert_eq!(
            (order(&index), index.serving.as_deref()),
            (vec!["aaaa", "bbbb", "cccc"], Some("bbbb"))
        );
        assert_eq!(index.before("bbbb").unwrap().digest, "aaaa");
        assert_eq!(index.before("aaaa"), Err(Unfound::NoEarlier));
        index.arrive(kept("aaaa", "1.0"), Arrival::Dropped);
        assert_eq!(order(&index), ["bbbb", "cccc", "aaaa"]);
        index.arrive(kept("dddd", "1.0"), Arrival::Candidate);
        assert_eq!(index.serving.as_deref(), Some("aaaa"));
    }

    #[test]
    fn the_oldest_go_but_never_the_one_that_serves_nor_the_newest() {
        let mut index = index(&["aaaa", "bbbb", "cccc", "dddd"]);
        index.arrive(kept("aaaa", "1.0"), Arrival::Found);
        let dropped: Vec<_> = index.prune(2).into_iter().map(|kept| kept.digest).collect();
        assert_eq!(dropped, ["bbbb", "cccc"]);
        assert_eq!(order(&index), ["aaaa", "dddd"]);
        assert!(index.prune(1).is_empty());
    }

    #[test]
    fn a_version_is_meant_by_its_name_or_the_beginning_of_its_digest() {
        let mut index = index(&["abcd1111", "abcd2222"]);
        index.versions[1].version = Some("2.0".into());
        assert_eq!(index.find("2.0").unwrap().digest, "abcd2222");
        assert_eq!(index.find("abcd1").unwrap().digest, "abcd1111");
        assert_eq!(index.find("abc"), Err(Unfound::Unknown("abc".into())), "too short");
        assert_eq!(index.find("3.0"), Err(Unfound::Unknown("3.0".into())));
        let both = index.find("abcd").unwrap_err().to_string();
        assert_eq!(both, "`abcd` may be any of `abcd1111`, `abcd2222`");
        index.versions[1].version = Some("1.0".into());
        assert!(matches!(index.find("1.0"), Err(Unfound::Ambiguous { .. })));
    }

    #[test]
    fn a_version_that_was_taken_back_is_no_earlier_version() {
        let mut index = index(&["aaaa", "bbbb", "cccc"]);
        index.refuse("bbbb", Some("it failed".into()));
        assert_eq!(index.before("cccc").unwrap().digest, "aaaa");
        assert_eq!(index.refusal("bbbb"), Some("it failed"));
        index.arrive(kept("bbbb", "1.0"), Arrival::Dropped);
        assert_eq!(index.refusal("bbbb"), Some("it failed"), "dropped again it is the same");
        index.refuse("bbbb", None);
        assert_eq!(index.refusal("bbbb"), None);
    }
}
