//! Where an address is, from the database that the operator named. Needs `[needs] geoip = true`.

use crate::bindings::imports::trellis::plugin::geoip as wit;

pub use wit::Location;

/// `None` for an address that is unknown or private, or without a database.
pub fn lookup(ip: &str) -> Option<Location> {
    wit::lookup(ip)
}

/// The same for many addresses in one call; one answer for each, in order.
pub fn lookup_many(ips: &[&str]) -> Vec<Option<Location>> {
    wit::lookup_many(ips)
}
