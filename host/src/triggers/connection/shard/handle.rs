//! What the rest of the host holds of a connection.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU32, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{
    Ending, Newcomer,
    mailbox::{Mailbox, Order, Request},
};
use crate::backends::channels::{Channel, Frame, Listener};

/// The most bytes that may wait for a connection when another frame is sent to it, with those that
/// its thread has not come to, unless it may have more. It bounds what a sender that never pauses
/// can pile up.
const MAX_PILED: usize = 1 << 20;

/// The place of a connection that its thread has yet to take.
const COMING: u32 = u32::MAX - 1;
/// The place of one that is gone.
const GONE: u32 = u32::MAX;

/// A connection, for those who do not own its socket. A clone is the same one.
///
/// Calls return at once, and the connection's thread does what they ask for, in the order in which
/// one caller made them. Once the connection is gone they are nothing.
#[derive(Clone)]
pub struct Handle(Arc<Link>);

/// What a connection and its handles share.
pub struct Link {
    mailbox: Arc<Mailbox>,
    /// Its key on its thread.
    place: AtomicU32,
    /// Bytes of frames sent to it that the socket has not taken.
    waiting: AtomicUsize,
    /// What may be counted there when another frame is sent.
    most: usize,
    /// Whether more piled up than may.
    overrun: AtomicBool,
}

impl Handle {
    /// Hand a newcomer to a worker.
    pub(super) fn to_newcomer(mailbox: Arc<Mailbox>, newcomer: Newcomer) -> Self {
        mailbox.count_in();
        let link = Arc::new(Link {
            mailbox,
            place: AtomicU32::new(COMING),
            waiting: AtomicUsize::new(0),
            most: newcomer.max_waiting.max(MAX_PILED),
            overrun: AtomicBool::new(false),
        });
        let order = Order::Add(Box::new(newcomer), link.clone());
        if let Err(Order::Add(newcomer, link)) = link.mailbox.post(order) {
            link.gone();
            newcomer.refuse(Ending::shutdown());
        }
        Self(link)
    }

    /// Write the frames of a channel, from the listener's place on. A channel that was joined
    /// stays as it is.
    pub fn join(&self, listener: Listener) {
        self.order(Request::Join(listener));
    }

    /// Write no more frames of a channel. Those that it had before are written as far as the socket
    /// takes them at once, and one that was begun is completed.
    pub fn leave(&self, channel: &Arc<Channel>) {
        self.order(Request::Leave(channel.clone()));
    }

    /// Write a frame, after those that were sent before. If too much waits already, the connection
    /// is too slow and is disconnected; whoever sends a lot looks at [`Handle::waiting`].
    pub fn send(&self, frame: Frame) {
        let size = frame.payload().len();
        if self.0.waiting.fetch_add(size, Relaxed) <= self.0.most {
            self.order(Request::Send(Box::new(frame)));
        } else if !self.0.overrun.swap(true, Relaxed) {
            self.order(Request::Overrun);
        }
    }

    /// Close the connection, after what was sent before, and what its channels had before as far as
    /// the socket takes it at once. A websocket's client gets the code, which must be one that may
    /// be sent, and the reason, of which at most 123 bytes go out.
    pub fn close(&self, code: u16, reason: &str) {
        self.order(Request::Close(code, reason.to_owned()));
    }

    /// Read on, after [`super::Inbox::message`] answered `false`.
    pub fn resume(&self) {
        self.order(Request::Resume);
    }

    /// Bytes sent to this connection that its socket has not taken; 0 once it is gone. Frames of
    /// channels do not count: they wait in their rings.
    pub fn waiting(&self) -> usize {
        if self.0.is_gone() { 0 } else { self.0.waiting.load(Relaxed) }
    }

    fn order(&self, request: Request) {
        if !self.0.is_gone() {
            // A worker that ends drops its connections anyhow.
            let _ = self.0.mailbox.post(Order::To(self.0.clone(), request));
        }
    }
}

impl Link {
    /// Its key on its thread; `None` before and after.
    pub fn place(&self) -> Option<u32> {
        let place = self.place.load(Acquire);
        (place < COMING).then_some(place)
    }

    /// The thread has taken it.
    pub fn arrive(&self, place: u32) {
        self.place.store(place, Release);
    }

    /// The connection is gone.
    pub fn gone(&self) {
        self.place.store(GONE, Release);
        self.mailbox.count_out();
    }

    /// Count a frame of `payload` bytes as the `encoded` bytes that go out for it.
    pub fn count_encoded(&self, payload: usize, encoded: usize) {
        self.waiting.fetch_add(encoded, Relaxed);
        self.waiting.fetch_sub(payload, Relaxed);
    }

    /// Bytes went out, or will not.
    pub fn count_out(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Relaxed);
    }

    fn is_gone(&self) -> bool {
        self.place.load(Acquire) == GONE
    }
}
