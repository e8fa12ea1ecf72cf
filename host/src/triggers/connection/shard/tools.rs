//! What a thread has once for all its connections: buffers, codecs, and the rules.

use std::time::Duration;

use bytes::BytesMut;

use super::{Settings, form::Encoder, outbox::Batch, wheel::ticks};
use crate::triggers::connection::websocket::Inflater;

/// The most bytes that are read at once.
const MAX_READ: usize = 64 << 10;
/// [`Rules::closing`].
const CLOSING: Duration = Duration::from_secs(5);
/// [`Rules::linger`].
const LINGER: Duration = Duration::from_secs(1);

/// What a thread has for all its connections.
pub struct Tools {
    /// The present tick.
    pub now: u32,
    /// How connections are treated.
    pub rules: Rules,
    /// Makes frames into bytes.
    pub encoder: Encoder,
    /// Inflates messages.
    pub inflater: Inflater,
    /// Where sockets are read into.
    pub buffer: Box<[u8]>,
    /// What was read, for connections of which nothing is left over.
    pub input: BytesMut,
    /// What is written.
    pub batch: Batch,
}

impl Tools {
    /// What a thread begins with.
    pub fn new(settings: &Settings, now: u32) -> Self {
        Self {
            now,
            rules: Rules::new(settings),
            encoder: Encoder::default(),
            inflater: Inflater::new(),
            buffer: vec![0; MAX_READ].into(),
            input: BytesMut::new(),
            batch: Batch::default(),
        }
    }
}

/// The settings, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// [`Settings::stalled`].
    pub stalled: u32,
    /// [`Settings::ping`].
    pub ping: u32,
    /// How long a client has to answer a close frame.
    pub closing: u32,
    /// How long a client has to read a close frame that it need not answer, and to end its side.
    pub linger: u32,
}

impl Rules {
    fn new(settings: &Settings) -> Self {
        Self {
            stalled: ticks(settings.stalled),
            ping: ticks(settings.ping),
            closing: ticks(CLOSING),
            linger: ticks(LINGER),
        }
    }
}
