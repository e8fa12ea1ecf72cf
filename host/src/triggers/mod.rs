//! What starts a plugin: one folder a trigger.
//!
//! A trigger watches [`crate::plugins::Live`], binds what the manifests ask of it, and calls
//! plugins through leases. It runs until the shutdown token is cancelled, and then lets its calls
//! end.

pub mod connection;
pub mod consumer;
pub mod http;
pub mod schedule;
pub mod socket;

use std::net::{IpAddr, Ipv6Addr};

/// Whom a client's address stands for where clients are counted: one customer holds a whole /64.
pub fn customer(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}
