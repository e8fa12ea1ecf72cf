//! One message of a channel: a payload, and what it looks like on each kind of connection.
//!
//! However many connections a frame goes to, it is encoded once for each form: the first
//! connection that needs a form makes it, the others share the bytes. How a form is made is no
//! business of the channels, so the encoder is handed in.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

/// Whether a payload is text or arbitrary bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8, which the maker of the frame has checked.
    Text,
    /// Any bytes.
    Binary,
}

/// What a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A websocket message.
    Websocket,
    /// A websocket message for a client that inflates, and keeps nothing between messages.
    CompressedWebsocket,
    /// An event of an event stream.
    EventStream,
    /// The payload itself.
    Raw,
}

impl Form {
    /// All forms, in the order of [`Form::index`].
    pub const ALL: [Self; 4] =
        [Self::Websocket, Self::CompressedWebsocket, Self::EventStream, Self::Raw];

    /// Where something that is kept for each form has its place.
    pub fn index(self) -> usize {
        match self {
            Self::Websocket => 0,
            Self::CompressedWebsocket => 1,
            Self::EventStream => 2,
            Self::Raw => 3,
        }
    }
}

/// A payload with its encodings.
#[derive(Debug)]
pub struct Frame {
    payload: Bytes,
    kind: Kind,
    /// 0 until a channel takes the frame.
    sequence: u64,
    /// One for each form but the raw one.
    encodings: [OnceLock<Bytes>; 3],
    /// Where the memory is counted, from when a channel takes the frame.
    tally: Option<Arc<Tally>>,
}

impl Frame {
    /// A frame that has not been encoded.
    pub fn new(kind: Kind, payload: Bytes) -> Self {
        Self { payload, kind, sequence: 0, encodings: Default::default(), tally: None }
    }

    /// A frame of text.
    pub fn text(payload: impl Into<String>) -> Self {
        Self::new(Kind::Text, payload.into().into())
    }

    /// A frame of arbitrary bytes.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self::new(Kind::Binary, payload.into())
    }

    /// The bytes of the message.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether the message is text.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its number in the channel it was pushed to; none if it was sent to one connection.
    pub fn sequence(&self) -> Option<u64> {
        (self.sequence > 0).then_some(self.sequence)
    }

    /// The bytes in this form. The first caller for a form encodes, while others wait; nobody
    /// encodes [`Form::Raw`].
    pub fn encoded(&self, form: Form, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        let Some(encoding) = self.encodings.get(form.index()) else { return &self.payload };
        encoding.get_or_init(|| {
            let bytes = encode(self);
            if let Some(tally) = &self.tally {
                tally.add(bytes.len());
            }
            bytes
        })
    }

    /// Become the frame of a channel.
    pub(super) fn take(&mut self, sequence: u64, tally: &Arc<Tally>) {
        self.sequence = sequence;
        tally.add(self.memory());
        self.tally = Some(tally.clone());
    }

    /// What the frame takes, in bytes.
    fn memory(&self) -> usize {
        let encodings = self.encodings.iter().filter_map(OnceLock::get).map(Bytes::len);
        size_of::<Self>() + self.payload.len() + encodings.sum::<usize>()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(tally) = &self.tally {
            tally.subtract(self.memory());
        }
    }
}

/// What is counted over several channels: the memory of all frames that they took and that still
/// exist, in a ring or at a connection that is in the middle of one; and what was lost.
#[derive(Debug, Default)]
pub struct Tally {
    bytes: AtomicUsize,
    lost: AtomicU64,
    kicked: AtomicU64,
}

impl Tally {
    /// In bytes, with all encodings.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Frames that listeners were passed by, summed over the listeners.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Listeners that were too slow to stay.
    pub fn kicked(&self) -> u64 {
        self.kicked.load(Relaxed)
    }

    /// A listener was passed by so many frames.
    pub(super) fn lose(&self, frames: u64) {
        self.lost.fetch_add(frames, Relaxed);
    }

    /// A listener was too slow to stay.
    pub(super) fn kick(&self) {
        self.kicked.fetch_add(1, Relaxed);
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_form_is_encoded_once_and_the_raw_one_never() {
        let frame = Frame::text("hello");
        let calls = Cell::new(0);
        for _ in 0..3 {
            for form in Form::ALL {
                let bytes = frame.encoded(form, |frame| {
                    calls.set(calls.get() + 1);
                    [frame.payload(), &b"!"[..]].concat().into()
                });
                assert_eq!(bytes, if form == Form::Raw { "hello" } else { "hello!" });
            }
        }
        assert_eq!(calls.get(), 3);
    }

    #[test]
    fn memory_is_counted_with_encodings_until_the_last_owner_is_gone() {
        let tally = Arc::new(Tally::default());
        let mut frame = Frame::binary(vec![0; 100]);
        frame.take(7, &tally);
        assert_eq!(frame.sequence(), Some(7));
        let plain = tally.bytes();
        assert!(plain >= 100);
        let frame = Arc::new(frame);
        frame.encoded(Form::Websocket, |_| Bytes::from(vec![0; 102]));
        assert_eq!(tally.bytes(), plain + 102);
        let held = frame.clone();
        drop(frame);
        assert_eq!(tally.bytes(), plain + 102);
        drop(held);
        assert_eq!(tally.bytes(), 0);
    }
}
