//! How often an address may try keys: a few times a minute.

use std::time::Duration;

use trellis_sdk::metrics;
use trellis_sdk::tries::{Denied, Tries};

/// An encoder that tries again by itself does so every few seconds.
const TRIES: Tries = Tries::new(10, Duration::from_secs(60));

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The key is right.
    Open,
    /// It is not.
    Closed,
    /// There were too many wrong ones; nobody looked at this one.
    TooMany,
    /// Nobody can tell how many there were.
    Unknown,
}

impl Entry {
    /// Its name among the metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Open => "right",
            Self::Closed => "wrong",
            Self::TooMany => "too-many",
            Self::Unknown => "unknown",
        }
    }
}

/// Lets an address try a key.
pub type Door<'a> = &'a dyn Fn(&str, &dyn Fn() -> bool) -> Entry;

/// Take one try of an address, and look whether the key is right.
pub fn attempt(ip: &str, is_right: &dyn Fn() -> bool) -> Entry {
    let entry = take(ip, is_right);
    metrics::count("video_keys", &[("result", entry.word())], 1);
    entry
}

fn take(ip: &str, is_right: &dyn Fn() -> bool) -> Entry {
    match TRIES.attempt(ip, || is_right().then_some(())) {
        Ok(Some(())) => Entry::Open,
        Ok(None) => Entry::Closed,
        Err(Denied::TooMany) => Entry::TooMany,
        Err(Denied::Unknown) => Entry::Unknown,
    }
}
