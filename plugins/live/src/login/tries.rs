//! How often an address may guess: a few times a minute.

use std::net::IpAddr;
use std::time::Duration;

use trellis_sdk::cache;

/// Guesses in [`WINDOW`]; that is 7,200 a day from one address.
const MOST: u32 = 5;
/// How long a wrong guess counts.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Why there is no further guess for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There were too many.
    TooMany,
    /// Nobody can tell how many there were.
    Unknown,
}

/// Take one guess of an address, then look whether it is right. Taken first, many at once are
/// still no more; given back if it was right, who knows the password is never kept out.
pub fn attempt<T>(ip: &str, guess: impl FnOnce() -> Option<T>) -> Result<Option<T>, Denied> {
    let network = network(ip);
    for number in 0..MOST {
        let place = format!("tries/{network}/{number}");
        match cache::add(&place, b"", WINDOW) {
            Ok(true) => {
                let right = guess();
                if right.is_some() {
                    // At worst it counts as wrong for a minute.
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
