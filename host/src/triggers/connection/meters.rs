//! Numbers of connections.

use metrics::{Gauge, counter, gauge};

use crate::backends::channels::End;

/// Counts a connection for as long as it lives.
pub struct Open(Gauge);

impl Open {
    /// One more of a plugin, over this transport.
    pub fn new(plugin: &str, transport: &'static str) -> Self {
        let gauge =
            gauge!("trellis_connections", "plugin" => plugin.to_owned(), "transport" => transport);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// So many events were handed over.
pub fn events(plugin: &str, count: usize) {
    counter!("trellis_connection_events_total", "plugin" => plugin.to_owned())
        .increment(count as u64);
}

/// One has ended.
pub fn ended(plugin: &str, end: &End) {
    let why = match end.code {
        1000 | 1001 => "closed",
        1002 | 1003 | 1007..=1010 => "refused",
        1011 => "failed",
        1013 => "slow",
        1006 => "lost",
        _ => "other",
    };
    counter!("trellis_connections_ended_total", "plugin" => plugin.to_owned(), "why" => why)
        .increment(1);
}
