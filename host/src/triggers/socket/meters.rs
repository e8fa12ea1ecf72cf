//! Numbers of sockets.

use metrics::{Counter, counter};

/// Bytes over the connections of one listener.
#[derive(Clone)]
pub struct Traffic {
    /// From clients.
    pub received: Counter,
    /// To clients.
    pub sent: Counter,
}

impl Traffic {
    /// Those of a plugin's listener.
    pub fn of(plugin: &str, listener: &str) -> Self {
        let of = |direction: &'static str| {
            counter!("trellis_socket_bytes_total",
                "plugin" => plugin.to_owned(),
                "listener" => listener.to_owned(),
                "direction" => direction)
        };
        Self { received: of("in"), sent: of("out") }
    }
}

/// A client was turned away.
pub fn refused(plugin: &str, listener: &str, why: &'static str) {
    counter!("trellis_sockets_refused_total",
        "plugin" => plugin.to_owned(), "listener" => listener.to_owned(), "why" => why)
    .increment(1);
}
