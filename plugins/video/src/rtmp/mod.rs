//! RTMP as a server hears it that is published to: bytes in, events and bytes out, nothing else.
//!
//! ```text
//! bytes ─ handshake ─ chunk (bytes become messages) ─ session ─▶ Publish, Video, Audio, Ended
//!                                   amf, command (what a message asks for) ┘
//! ```
//!
//! All of it can be serialized between two calls, so that a connection outlives the version of the
//! plugin that took it.

mod amf;
mod chunk;
mod command;
mod handshake;
mod session;

pub use session::{Event, Session, Tag};

/// Why a connection cannot go on: a sentence for the publisher's people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl Broken {
    fn because<T>(reason: impl Into<String>) -> Result<T, Self> {
        Err(Self(reason.into()))
    }
}

#[cfg(test)]
pub use session::tests::{commands, deliver, greeting};
