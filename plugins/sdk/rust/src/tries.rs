//! Letting an address guess a secret, but only a few times a minute.
//!
//! ```no_run
//! use std::time::Duration;
//! use trellis_sdk::tries::{Denied, Tries};
//!
//! const TRIES: Tries = Tries::new(5, Duration::from_secs(60));
//!
//! # let (ip, is_right) = ("192.0.2.1", true);
//! match TRIES.attempt(ip, || is_right.then_some("ada")) {
//!     Ok(Some(name)) => println!("welcome, {name}"),
//!     Ok(None) => println!("wrong"),
//!     Err(Denied::TooMany) => println!("wait a minute"),
//!     Err(Denied::Unknown) => println!("try again in a while"),
//! }
//! ```
//!
//! Wrong guesses are counted in the [`cache`], so over all instances, and over all hosts that share
//! one. Needs `[needs.cache]`.

use std::net::IpAddr;
use std::time::Duration;

use crate::cache;

/// How many wrong guesses an address has, and how long each counts.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    most: u32,
    window: Duration,
}

/// Why there is no further guess for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There were too many.
    TooMany,
    /// Nobody can tell how many there were.
    Unknown,
}

impl Tries {
    /// So many wrong guesses, of which each counts for so long.
    pub const fn new(most: u32, window: Duration) -> Self {
        Self { most, window }
    }

    /// Take one guess of an address, then look whether it is right. Taken first, many at once are
    /// still no more; given back if it was right, who knows the secret may come as often as they
    /// like. While an address has none left, nobody comes in from there.
    pub fn attempt<T>(
        &self,
        ip: &str,
        guess: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Denied> {
        let network = network(ip);
        for number in 0..self.most {
            let place = format!("tries/{network}/{number}");
            match cache::add(&place, b"", self.window) {
                Ok(true) => {
                    let right = guess();
                    if right.is_some() {
                        // At worst it counts as wrong for a while.
                        let _ = cache::delete(&place);
                    }
                    return Ok(right);
                }
                Ok(false) => {}
                Err(_) => return Err(Denied::Unknown),
            }
        }
        Err(Denied::TooMany)
    }
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
