//! Who is here: connections that are shown in a channel.
//!
//! ```no_run
//! use trellis_sdk::presence;
//!
//! # let connection = 1;
//! presence::show(connection, "rooms:lobby", "ada", r#"{"role":"dj"}"#)?;
//! let names: Vec<_> = presence::who("rooms:lobby").into_iter().map(|who| who.key).collect();
//! # Ok::<(), trellis_sdk::channels::Error>(())
//! ```
//!
//! Nobody is told by this: publish what your clients understand. The end of a connection hides it.

use crate::bindings::streaming::trellis::streaming::presence as wit;
use crate::channels::{Connection, Error};

pub use wit::Shown;

/// Show a connection in a channel, or replace what is shown of it.
pub fn show(connection: Connection, channel: &str, key: &str, meta: &str) -> Result<(), Error> {
    wit::show(connection, channel, key, meta)
}

/// Show it no longer.
pub fn hide(connection: Connection, channel: &str) {
    wit::hide(connection, channel);
}

/// Who is shown in a channel, in the order of their first [`show`].
pub fn who(channel: &str) -> Vec<Shown> {
    wit::who(channel)
}
