//! What a connection has to write that is its own, and what goes out in one write.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    sync::Arc,
};

use bytes::Bytes;
use mio::net::TcpStream;

use crate::backends::channels::{Frame, Portion};

/// The most frames in one write.
pub const MAX_FRAMES: usize = 64;
/// After so many bytes a write takes no further frame.
pub const MAX_BYTES: usize = 256 << 10;
/// Pings that are answered in one write. While the socket is full only the newest is, as RFC 6455
/// has it in section 5.5.3: a client that pings and does not read costs nothing.
const MAX_CONTROL: usize = 16;

/// What a connection has to write beside the frames of its channels. There is none at rest.
#[derive(Default)]
pub struct Outbox {
    /// The rest of a frame that the socket has the beginning of.
    rest: Bytes,
    /// Whether that frame was one of `own`.
    rest_is_own: bool,
    /// Pings, pongs and, as the last, a close frame that does not wait for what was sent before.
    control: VecDeque<Bytes>,
    /// What was sent to this connection alone.
    own: VecDeque<Bytes>,
    /// Bytes of `own`, and of `rest` if it is.
    own_bytes: usize,
}

/// Where a piece of a write came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The rest of a frame.
    Rest,
    /// A control frame.
    Control,
    /// A frame sent to this connection alone.
    Own,
    /// The next frame of the connection's channel at this index.
    Member(usize),
}

impl Outbox {
    /// Bytes that were sent to this connection alone.
    pub fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    /// Write this behind what was sent before.
    pub fn send(&mut self, bytes: Bytes) {
        self.own_bytes += bytes.len();
        self.own.push_back(bytes);
    }

    /// What was sent to this connection alone takes so many bytes more than it did.
    pub fn grow(&mut self, bytes: usize) {
        self.own_bytes += bytes;
    }

    /// Write a control frame as soon as the frame that was begun is complete. Whether there are as
    /// many as should wait.
    pub fn control(&mut self, bytes: Bytes, blocked: bool) -> bool {
        if blocked {
            self.control.clear();
        }
        self.control.push_back(bytes);
        self.control.len() >= MAX_CONTROL
    }

    /// Drop all but the rest of the frame that was begun; the bytes of those that were sent to
    /// this connection alone.
    pub fn clear(&mut self) -> usize {
        self.control.clear();
        let dropped = self.own.drain(..).map(|bytes| bytes.len()).sum();
        self.own_bytes -= dropped;
        dropped
    }

    /// Add what there is to a write, in the order in which it goes out.
    pub fn gather(&self, batch: &mut Batch) {
        if !self.rest.is_empty() {
            batch.push(self.rest.clone(), Origin::Rest);
        }
        let control = self.control.iter().map(|bytes| (bytes, Origin::Control));
        let own = self.own.iter().map(|bytes| (bytes, Origin::Own));
        for (bytes, origin) in control.chain(own) {
            if batch.is_full() {
                return;
            }
            batch.push(bytes.clone(), origin);
        }
    }

    /// The socket took the first `taken` bytes of a piece that came from here. The answer is how
    /// many of them were sent to this connection alone.
    pub fn took(&mut self, origin: Origin, piece: &Bytes, taken: usize) -> usize {
        let is_own = match origin {
            Origin::Rest => self.rest_is_own,
            Origin::Own => self.own.pop_front().is_some(),
            Origin::Control => self.control.pop_front().is_none(),
            Origin::Member(_) => false,
        };
        self.keep_rest(piece.slice(taken..), is_own);
        let own = if is_own { taken } else { 0 };
        self.own_bytes -= own;
        own
    }

    fn keep_rest(&mut self, rest: Bytes, is_own: bool) {
        // An empty slice would keep the whole frame.
        self.rest = if rest.is_empty() { Bytes::new() } else { rest };
        self.rest_is_own = is_own && !self.rest.is_empty();
    }
}

/// What goes out in one write. One is used for all connections of a thread.
#[derive(Default)]
pub struct Batch {
    pieces: Vec<Bytes>,
    origins: Vec<Origin>,
    bytes: usize,
    /// Frames that are about to be pieces.
    pub frames: Vec<Arc<Frame>>,
}

impl Batch {
    /// Have nothing.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.origins.clear();
        self.bytes = 0;
    }

    /// One piece more.
    pub fn push(&mut self, piece: Bytes, origin: Origin) {
        self.bytes += piece.len();
        self.pieces.push(piece);
        self.origins.push(origin);
    }

    /// Whether no further piece should be added.
    pub fn is_full(&self) -> bool {
        self.pieces.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }

    /// What there is room for.
    pub fn room(&self) -> Portion {
        Portion {
            frames: MAX_FRAMES.saturating_sub(self.pieces.len()),
            bytes: MAX_BYTES.saturating_sub(self.bytes),
        }
    }

    /// What to write.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Where each piece came from.
    pub fn origins(&self) -> impl Iterator<Item = Origin> {
        self.origins.iter().copied()
    }
}

/// Write the first [`MAX_FRAMES`] pieces, or what the socket takes of them.
pub fn write(mut socket: &TcpStream, pieces: &[Bytes]) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_FRAMES];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    let slices = slices.get(..pieces.len()).unwrap_or(&slices);
    loop {
        let written = match pieces {
            // Cheaper than a vector of one.
            [piece] => socket.write(piece),
            _ => socket.write_vectored(slices),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(outbox: &Outbox) -> Vec<Bytes> {
        let mut batch = Batch::default();
        outbox.gather(&mut batch);
        batch.pieces().to_vec()
    }

    #[test]
    fn a_frame_that_was_begun_is_completed_before_control_frames_and_those_before_the_rest() {
        let mut outbox = Outbox::default();
        outbox.send("first".into());
        outbox.send("second".into());
        assert_eq!(outbox.took(Origin::Own, &"first".into(), 2), 2);
        outbox.control("pong".into(), true);
        assert_eq!(pieces(&outbox), ["rst", "pong", "second"]);
        assert_eq!(outbox.own_bytes(), 9);
        assert_eq!(outbox.took(Origin::Rest, &"rst".into(), 3), 3);
        assert_eq!(pieces(&outbox), ["pong", "second"]);
        assert_eq!(outbox.took(Origin::Control, &"pong".into(), 1), 0);
        assert_eq!(pieces(&outbox), ["ong", "second"]);
        assert_eq!((outbox.clear(), outbox.own_bytes()), (6, 0));
        assert_eq!(pieces(&outbox), ["ong"]);
    }

    #[test]
    fn of_the_pings_that_come_while_the_socket_is_full_the_newest_is_answered() {
        let mut outbox = Outbox::default();
        assert!(!outbox.control("one".into(), false));
        assert!(!outbox.control("two".into(), false));
        assert_eq!(pieces(&outbox), ["one", "two"]);
        outbox.control("three".into(), true);
        assert_eq!(pieces(&outbox), ["three"]);
    }

    #[test]
    fn a_write_is_bounded_in_frames_and_bytes() {
        let mut outbox = Outbox::default();
        (0..100).for_each(|_| outbox.send("x".into()));
        assert_eq!(pieces(&outbox).len(), MAX_FRAMES);
        let mut outbox = Outbox::default();
        (0..9).for_each(|_| outbox.send(vec![0; 100 << 10].into()));
        assert_eq!(pieces(&outbox).len(), 3);
    }
}
