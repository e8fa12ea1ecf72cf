//! Handing frames to all connections that joined a channel, or to one.
//!
//! ```no_run
//! use trellis_sdk::channels::{self, Start};
//!
//! // To all who hear the room, in one order for all of them.
//! channels::publish("rooms:lobby", r#"{"body":"hello"}"#)?;
//! // Whoever comes in a minute gets the last ten of those first.
//! # let connection = 1;
//! channels::join(connection, "rooms:lobby", Start::Recent(10))?;
//! # Ok::<(), channels::Error>(())
//! ```
//!
//! Within [`connection`](crate::connection) events nothing of this happens before the function
//! returns.

use crate::bindings::streaming::trellis::streaming::{channels as wit, types};

pub use types::{Connection, Frame, Start};
pub use wit::Error;

/// The code of a connection that ends because all is said.
pub const NORMAL: u16 = 1000;
/// The code of a connection that ends because of what its client did.
pub const POLICY: u16 = 1008;

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// Hand a frame to all who joined, and keep it for those who come.
pub fn publish(channel: &str, frame: impl Into<Frame>) -> Result<(), Error> {
    wit::publish(channel, &frame.into())
}

/// Let a connection hear a channel; one that hears it already goes on as before.
pub fn join(connection: Connection, channel: &str, start: Start) -> Result<(), Error> {
    wit::join(connection, channel, start)
}

/// Let it hear the channel no longer.
pub fn leave(connection: Connection, channel: &str) {
    wit::leave(connection, channel);
}

/// Send a frame to one connection.
pub fn send(connection: Connection, frame: impl Into<Frame>) -> Result<(), Error> {
    wit::send(connection, &frame.into())
}

/// End a connection, behind what was sent to it before, with the code of a websocket's close
/// ([`NORMAL`], [`POLICY`], or one from 3000 to 4999) and a reason for people.
pub fn close(connection: Connection, code: u16, reason: &str) -> Result<(), Error> {
    wit::close(connection, code, reason)
}

/// Replace what comes with each event of the connection.
pub fn retag(connection: Connection, tag: &str) -> Result<(), Error> {
    wit::retag(connection, tag)
}

/// What was last given to a connection as its tag; `None` where it has ended.
pub fn tag(connection: Connection) -> Option<String> {
    wit::tag(connection)
}

/// Bytes that were sent to a connection and that it has not taken yet.
pub fn buffered(connection: Connection) -> u64 {
    wit::buffered(connection)
}

/// What plays in a channel, for players that show it; at most 1,024 bytes.
pub fn title(channel: &str, title: &str) -> Result<(), Error> {
    wit::title(channel, title)
}

/// The connections of this host that hear a channel; those of other hosts do not count.
pub fn listeners(channel: &str) -> u32 {
    wit::listeners(channel)
}

/// The last frames that a channel keeps, the oldest first.
pub fn recent(channel: &str, most: u32) -> Vec<Frame> {
    wit::recent(channel, most)
}
