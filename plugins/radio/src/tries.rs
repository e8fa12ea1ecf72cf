//! How often an address may be wrong about a password: a few times a minute.

use std::net::IpAddr;
use std::time::Duration;

use trellis_sdk::{cache, log};

/// Wrong passwords in [`WINDOW`]; programs that reconnect with one have some.
const MOST: u32 = 10;
/// How long a wrong one counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Whether an address may try once more. Where nobody can tell it may: a cache that is away takes
/// no DJ off the air.
pub fn are_left(ip: &str) -> bool {
    let network = network(ip);
    let is_free = |number| match cache::get(&place(&network, number)) {
        Ok(taken) => taken.is_none(),
        Err(error) => {
            log::warn(format_args!("wrong passwords are not counted: {error}"));
            true
        }
    };
    (0..MOST).any(is_free)
}

/// Remember that a password of this address was wrong.
pub fn wrong(ip: &str) {
    let network = network(ip);
    let is_counted = |number| cache::add(&place(&network, number), b"", WINDOW).unwrap_or(true);
    (0..MOST).any(is_counted);
}

fn place(network: &str, number: u32) -> String {
    format!("tries/{network}/{number}")
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
