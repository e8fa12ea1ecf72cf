//! What a connection reads, in turns: one read each, so that a client that sends without end takes
//! no more of its thread than any other.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};

use super::{
    Cause, Ending, Message,
    connection::{Connection, Phase, Speech},
    tools::Tools,
};
use crate::triggers::connection::websocket::{self, Incoming, Violation};

/// Messages and tails up to this size are copied out of the buffer that they were read into, so
/// that whoever keeps a small one does not keep all that was read with it.
const COPIED: usize = 16 << 10;

impl Connection {
    /// The socket has something to read, or has failed.
    pub fn readable(&mut self, half_closed: bool, failed: bool, tools: &mut Tools) {
        self.unread = true;
        self.half_closed |= half_closed;
        if failed && self.paused {
            // Nobody would notice before the inbox wants more.
            let error = self.socket.take_error().ok().flatten();
            return self.fail(&error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
        }
        self.turn(tools);
    }

    /// Read once, if there is something to read and somebody to take it.
    pub fn turn(&mut self, tools: &mut Tools) {
        if !self.wants_turn() || self.is_over() {
            return;
        }
        let mut buffer = std::mem::take(&mut tools.buffer);
        match (&self.socket).read(&mut buffer) {
            Ok(0) => self.end_of_file(),
            Ok(read) => {
                // Less than there is room for was all; but behind it may be the end of file.
                self.unread = read == buffer.len() || self.half_closed;
                self.hear(tools.now);
                self.take(buffer.get(..read).unwrap_or_default(), tools);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.unread = false,
                io::ErrorKind::Interrupted => {}
                _ => self.fail(&error),
            },
        }
        tools.buffer = buffer;
    }

    /// Read on: the inbox wants more.
    pub fn resume(&mut self, tools: &mut Tools) {
        if std::mem::take(&mut self.paused) {
            self.unread = true;
            self.take(&[], tools);
        }
    }

    fn end_of_file(&mut self) {
        self.end(match self.speech {
            Speech::Websocket(_) => Ending::lost("the connection ended without a close frame"),
            Speech::Mute => Ending::new(Cause::Client, 1005, "the client closed the connection"),
        });
    }

    /// Take what was read, behind what was left over.
    pub fn take(&mut self, read: &[u8], tools: &mut Tools) {
        if matches!(self.speech, Speech::Mute) || !self.is_listening() {
            return;
        }
        let shared = self.tail.is_empty();
        let place = if shared { &mut tools.input } else { &mut self.tail };
        let mut input = std::mem::take(place);
        input.extend_from_slice(read);
        self.decode(&mut input, tools);
        if !input.is_empty() && self.is_listening() {
            let copies = shared || input.len() <= COPIED;
            self.tail =
                if copies { BytesMut::from(&input[..]) } else { std::mem::take(&mut input) };
        }
        if shared {
            input.clear();
            tools.input = input;
        }
        self.flush_control(tools);
    }

    /// Whether what the client sends still matters.
    fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Closing)
    }

    /// Hand out messages until there are no more, or the inbox wants none.
    fn decode(&mut self, input: &mut BytesMut, tools: &mut Tools) {
        while !self.paused && self.is_listening() {
            let Speech::Websocket(decoder) = &mut self.speech else { return };
            match decoder.next(input, &mut tools.inflater) {
                Ok(Some(incoming)) => self.handle(incoming, tools),
                Ok(None) => return,
                Err(violation) => return self.violation(violation, tools),
            }
        }
    }

    fn handle(&mut self, incoming: Incoming, tools: &mut Tools) {
        match incoming {
            Incoming::Close { code, reason } => self.client_closes(code, reason, tools),
            // The rest does not matter to a connection that is closing.
            _ if self.phase != Phase::Open => {}
            Incoming::Text(bytes) => self.hand(Message::Text(own(bytes))),
            Incoming::Binary(bytes) => self.hand(Message::Binary(own(bytes))),
            Incoming::Ping(payload) => {
                let blocked = self.blocked;
                if self.outbox().control(websocket::pong(&payload), blocked) {
                    self.flush(tools);
                }
            }
            // That it was heard is noted.
            Incoming::Pong(_) => {}
        }
    }

    fn hand(&mut self, message: Message) {
        self.paused = !self.inbox.message(message);
    }

    fn client_closes(&mut self, code: Option<u16>, reason: String, tools: &mut Tools) {
        // The same code goes back; the reason does not: it is the client's.
        if self.phase == Phase::Open {
            let ending = Ending::new(Cause::Client, code.unwrap_or(1005), reason);
            self.close_now(ending, tools);
        } else {
            self.closed_by_client(tools);
        }
    }

    fn violation(&mut self, violation: Violation, tools: &mut Tools) {
        if self.phase == Phase::Open {
            let ending = Ending::new(Cause::Violation, violation.code, violation.reason);
            self.close_now(ending, tools);
        } else {
            // No close frame will come.
            self.closed_by_client(tools);
        }
    }

    /// Write pongs.
    fn flush_control(&mut self, tools: &mut Tools) {
        if self.out.is_some() {
            self.flush(tools);
        }
    }
}

/// The bytes of a message, without those that were read with it.
fn own(bytes: Bytes) -> Bytes {
    if bytes.len() <= COPIED { Bytes::copy_from_slice(&bytes) } else { bytes }
}
