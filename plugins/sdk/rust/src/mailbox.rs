//! Connections without a socket, for clients that poll: frames wait until a request fetches them.
//!
//! ```no_run
//! use std::time::Duration;
//! use trellis_sdk::{channels::{self, Start}, mailbox};
//!
//! let connection = mailbox::open("secret", Duration::from_secs(60))?;
//! channels::join(connection, "room", Start::Next)?;
//! // Later, in another request that has shown the secret:
//! let frames = mailbox::read(connection, 100, Duration::from_secs(20));
//! # Ok::<(), channels::Error>(())
//! ```

use std::time::Duration;

use crate::bindings::streaming::trellis::streaming::mailboxes as wit;
use crate::channels::{Connection, Error, Frame};

/// Open one, which ends when nobody has read it for `idle`.
pub fn open(tag: &str, idle: Duration) -> Result<Connection, Error> {
    wit::open(tag, millis(idle))
}

/// Take at most `most` frames that wait, or wait for the first. `None`: the mailbox has ended.
pub fn read(connection: Connection, most: u32, wait: Duration) -> Option<Vec<Frame>> {
    wit::read(connection, most, millis(wait))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
