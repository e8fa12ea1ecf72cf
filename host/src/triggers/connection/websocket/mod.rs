//! The websocket protocol (RFC 6455) as a server speaks it, with compressed messages (RFC 7692).
//!
//! ```text
//!  request ── handshake ──▶ 101 or a Refusal
//!  bytes read ── Decoder ──▶ Incoming, or a Violation: the close frame to send
//!                   └─ Inflater, one a thread
//!  bytes to write ◀── encode ── a message; one frame serves all listeners
//!                       └─ Deflater, one a thread
//! ```
//!
//! Nothing here reads, writes or waits: who owns the socket feeds what arrived and sends what it is
//! given. Neither side keeps a compression window from message to message, so a connection at rest
//! costs a [`Decoder`] and no heap, and a frame is compressed once for everybody who gets it.

mod decoder;
mod deflate;
mod encode;
mod handshake;
mod header;
mod message;

use std::borrow::Cow;

use bytes::Bytes;

pub use decoder::Decoder;
pub use deflate::{Deflater, Inflater};
pub use encode::{close, deflated, frame, ping, pong};
pub use handshake::{Handshake, Refusal, accept, wanted};
pub use header::Opcode;

/// What a client sent: a message with all its fragments, or a control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text; its bytes are valid UTF-8.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// To be answered with a [`pong`] of the same bytes, at most 125.
    Ping(Bytes),
    /// The answer to a ping, or one that nobody asked for, which is to be ignored; at most 125
    /// bytes.
    Pong(Bytes),
    /// The client ends the connection, and sends nothing any more. To be answered with a [`close`]
    /// of the same code, unless one was sent before.
    Close {
        /// Why; one of those that may be sent.
        code: Option<u16>,
        /// Why, in words; at most 123 bytes.
        reason: String,
    },
}

/// A client broke the protocol or a limit: the connection ends with a [`close`] that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (close code {code})")]
pub struct Violation {
    /// The code of the close frame (RFC 6455, section 7.4.1).
    pub code: u16,
    /// Its reason, for people; at most 123 bytes.
    pub reason: Cow<'static, str>,
}

impl Violation {
    /// 1002: frames that are not those of a client.
    fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason: reason.into() }
    }

    /// 1007: a payload that is not what its frame says.
    fn data(reason: &'static str) -> Self {
        Self { code: 1007, reason: reason.into() }
    }

    /// 1009: a message of more than so many bytes.
    fn too_big(max_message: usize) -> Self {
        let reason = format!("the message is larger than {max_message} bytes; send less at a time");
        Self { code: 1009, reason: reason.into() }
    }
}
