//! How often an address may try keys: a few times a minute.

use std::net::IpAddr;
use std::time::Duration;

use trellis_sdk::{cache, metrics};

/// Wrong keys in [`WINDOW`]. An encoder that tries again by itself does so every few seconds.
const MOST: u32 = 10;
/// How long a wrong key counts.
const WINDOW: Duration = Duration::from_secs(60);

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

/// Take one try of an address, then look whether the key is right. Taken first, many at once are
/// still no more; given back if it was right, who knows the key is not kept out by trying often.
pub fn attempt(ip: &str, is_right: &dyn Fn() -> bool) -> Entry {
    let entry = take(ip, is_right);
    metrics::count("video_keys", &[("result", entry.word())], 1);
    entry
}

fn take(ip: &str, is_right: &dyn Fn() -> bool) -> Entry {
    let network = network(ip);
    for number in 0..MOST {
        let place = format!("tries/{network}/{number}");
        match cache::add(&place, b"", WINDOW) {
            Ok(true) if is_right() => {
                // At worst it counts as wrong for a minute.
                let _ = cache::delete(&place);
                return Entry::Open;
            }
            Ok(true) => return Entry::Closed,
            Ok(false) => {}
            Err(_) => return Entry::Unknown,
        }
    }
    Entry::TooMany
}

/// An address, or the /64 that a customer gets of IPv6.
fn network(ip: &str) -> String {
    match ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => format!("{:x}", ip.to_bits() >> 64),
        Ok(ip) => ip.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_customer_count_together() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network(&"x".repeat(10_000)), "unknown");
    }
}
