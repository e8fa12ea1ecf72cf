//! HTTP: a hyper service that routes requests to plugins.
//!
//! ```text
//!  server ── accept ──▶ connection ── hyper ──▶ service ── routes ──▶ Binding ── lease ──▶ plugin
//!     │ sweep: idle, slow, stuck       │ client, id, limits             └─ Generation
//!     └ drain                          └─ answer (response, or the host's own error)
//! ```
//! A request for a connection goes on behind the `door`, to the trigger of that name.
//! Where a plugin's requests are split between two versions, `split` says whose a request is.
//!
//! The path of a request holds no lock of its own, spawns no task and sets no timer. Settings
//! come from the operator's `[http]` table, routes from the manifests of the live generations.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    manifest::RateLimit,
    quantity::{Bytes, Millis},
};

mod answer;
mod bare;
mod blob;
mod body;
mod channel;
mod client;
mod connection;
mod door;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod hostile;
mod meter;
mod path;
mod rate;
mod refusal;
mod request;
mod router;
mod routes;
mod server;
mod service;
mod split;
mod stream;
#[cfg(test)]
mod tests;
mod traced;

pub use answer::response;
pub use body::{Body, Frames};
pub use connection::{Busy, Socket};
pub use door::{Door, Handover, Knock, Opening, Place, Tune};
pub use refusal::Refusal;
pub use routes::RouteCheck;
pub use server::{Error, Inside, Server};

/// `[http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Connections at a time; further ones wait in the system's queue.
    pub max_connections: usize,
    /// The largest head of a request, in bytes of its path and fields; above it is 431. At most
    /// 100 fields are taken.
    pub max_header_bytes: Bytes,
    /// The largest request body of any plugin; a manifest may ask for less.
    pub max_body: Bytes,
    /// The request bodies that are held at a time for plugins that get them whole, all together;
    /// further ones are answered with 503. A small one that comes in one piece is never refused.
    pub body_memory: Bytes,
    /// The longest from the first byte of a request's head to its last.
    pub header_timeout: Millis,
    /// The longest a connection may wait for a request.
    pub idle_timeout: Millis,
    /// The longest a body may take to arrive where a plugin gets it whole; else the longest
    /// pause between two pieces of a body, in either direction.
    pub body_timeout: Millis,
    /// How long requests in flight may go on after the order to stop.
    pub drain_timeout: Millis,
    /// Whose `x-forwarded-for`, `x-forwarded-proto` and `x-request-id` are believed. What others
    /// say of proxies, no plugin sees.
    pub trusted_proxies: Vec<IpNet>,
    /// How much one client may ask of all plugins together; `None`: as much as it likes.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            max_connections: 10_000,
            max_header_bytes: Bytes(32 << 10),
            max_body: Bytes(64 << 20),
            body_memory: Bytes(1 << 30),
            header_timeout: Millis(10_000),
            idle_timeout: Millis(75_000),
            body_timeout: Millis(30_000),
            drain_timeout: Millis(30_000),
            trusted_proxies: loopback(),
            rate_limit: None,
        }
    }
}

fn loopback() -> Vec<IpNet> {
    let v4 = ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8);
    let v6 = ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128);
    vec![v4.into(), v6.into()]
}

impl Settings {
    fn body_timeout(&self) -> Duration {
        self.body_timeout.into()
    }
}
