//! Threads that own the sockets of long-lived connections, and write the frames of channels to
//! them.
//!
//! ```text
//!  Shards ── add ──▶ worker: one thread, one poll ──▶ connections ──▶ Inbox: what clients send
//!  Handle ── orders ──▶ mailbox ──▶ │                     │ outbox: what the socket did not take
//!  Channel ── news ───▶ mailbox ──▶ └─ fanout: one write a listener, frames encoded once
//! ```
//! A connection is a cursor in each channel it has joined: nothing is queued for it, and a frame
//! that the socket does not take stays in the ring. Only the rest of a frame that was begun, and
//! what is sent to this connection alone, are its own. At rest it has no buffers.
//!
//! A thread hands nothing to a task and waits for nobody but its poll. It writes at once, and goes
//! by a socket that is full until that takes bytes again. Time is counted in ticks; a wheel says
//! which connections to look at.

use std::{
    any::Any,
    borrow::Cow,
    io,
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use self::{
    mailbox::{Mailbox, Order},
    worker::Worker,
};
use super::websocket::Decoder;
use crate::backends::channels::Listener;

mod connection;
mod fanout;
mod form;
mod handle;
mod joined;
mod mailbox;
mod outbox;
mod reading;
#[cfg(test)]
mod tests;
mod titles;
mod tools;
mod wheel;
mod worker;
mod writing;

pub use form::event;
pub use handle::Handle;

/// How connections are treated. Times are kept to about half a second.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A connection that takes no byte for so long, though there are some for it, is cut.
    pub stalled: Duration,
    /// A websocket that is silent for so long is pinged, and cut when it is silent once more. An
    /// event stream gets a comment as often.
    pub ping: Duration,
    /// What the system may buffer of what a connection has not acknowledged, in bytes.
    pub send_buffer: usize,
    /// What the system may buffer of what it has not sent, in bytes.
    pub unsent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stalled: Duration::from_secs(30),
            ping: Duration::from_secs(30),
            send_buffer: 64 << 10,
            unsent: 16 << 10,
        }
    }
}

/// A connection whose request was answered, and which stays open from here on.
pub struct Newcomer {
    /// The socket; nobody else reads or writes it.
    pub socket: TcpStream,
    /// What was read behind the request.
    pub leftover: BytesMut,
    /// What the two sides speak.
    pub protocol: Protocol,
    /// The channels it listens to. A listener has its place from when it was made, so the caller
    /// knows by then whether its history is whole, and no later frame is missed.
    pub joined: Vec<Listener>,
    /// What is written before all else, such as the head of the answer.
    pub first: Bytes,
    /// Bytes sent to it alone that may wait when another frame is sent; above it is too slow, and
    /// disconnected.
    pub max_waiting: usize,
    /// Who takes what the client sends.
    pub inbox: Arc<dyn Inbox>,
    /// Dropped once the socket is closed.
    pub guard: Box<dyn Any + Send>,
}

impl Newcomer {
    /// Drop the connection, which nobody serves.
    fn refuse(self, ending: Ending) {
        let Self { socket, guard, inbox, .. } = self;
        drop(socket);
        drop(guard);
        inbox.ended(ending);
    }
}

/// What the two sides of a connection speak.
pub enum Protocol {
    /// Websocket messages, both ways.
    Websocket {
        /// What reads the client's messages.
        decoder: Decoder,
        /// Whether the client takes compressed messages.
        compressed: bool,
    },
    /// An event stream, with the numbers of frames for ids. What the client sends is dropped, and
    /// its end of file ends the connection.
    EventStream,
    /// Payloads as they are, such as audio. What the client sends is treated likewise.
    Raw {
        /// After how many bytes each the title of the channel comes in between.
        titles: Option<u32>,
    },
}

/// Who takes what a client sends. Called by the thread that serves the connection, and others with
/// it: calls must neither wait nor panic.
pub trait Inbox: Send + Sync {
    /// The client sent a message, which is taken in any case. `false`: read no more from this
    /// client until [`Handle::resume`], which must come after this call began.
    fn message(&self, message: Message) -> bool;

    /// The connection is over and its socket closed. Called once, as the last.
    fn ended(&self, ending: Ending);
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The code of the websocket close frame, or the one that would fit best: 1005 where a client
    /// gave none or an end of file, 1006 where the connection was lost.
    pub code: u16,
    /// Why, in words.
    pub reason: Cow<'static, str>,
    /// Whose doing it was.
    pub cause: Cause,
}

impl Ending {
    fn new(cause: Cause, code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into(), cause }
    }

    fn lost(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Lost, 1006, reason)
    }

    fn slow(reason: &'static str) -> Self {
        Self::new(Cause::Slow, 1013, reason)
    }

    fn shutdown() -> Self {
        Self::new(Cause::Shutdown, 1001, "the host ends")
    }
}

/// Whose doing the end of a connection was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client closed it.
    Client,
    /// The network, a client that vanished, or one that does not answer.
    Lost,
    /// The client broke the protocol.
    Violation,
    /// The client reads too slowly. A websocket is told so with 1013: it may try again later.
    Slow,
    /// [`Handle::close`].
    Host,
    /// [`Shards::close`].
    Shutdown,
}

/// The threads. Dropping them cuts all connections.
pub struct Shards {
    mailboxes: Vec<Arc<Mailbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shards {
    /// Start so many threads, at least one. Fails where the system has no thread or poll left.
    pub fn start(threads: usize, settings: Settings) -> io::Result<Self> {
        let mut shards = Self { mailboxes: vec![], threads: Mutex::default() };
        for number in 0..threads.max(1) {
            let worker = Worker::new(settings)?;
            // From here on an early return ends the threads that run.
            shards.mailboxes.push(worker.mailbox().clone());
            let thread = thread::Builder::new().name(format!("shard-{number}"));
            let thread = thread.spawn(move || worker.run())?;
            shards.threads().push(thread);
        }
        Ok(shards)
    }

    /// Hand a connection to the thread that has the fewest, among those that still run. After [`Shards::close`] it is dropped,
    /// and its inbox told so before this returns.
    pub fn add(&self, newcomer: Newcomer) -> Handle {
        let load = |shard: &usize| {
            let mailbox = &self.mailboxes[*shard];
            (mailbox.is_closed(), mailbox.connections())
        };
        // There is always a first.
        let fewest = (0..self.mailboxes.len()).min_by_key(load).unwrap_or(0);
        Handle::to_newcomer(self.mailboxes[fewest].clone(), newcomer)
    }

    /// Connections on all threads.
    #[cfg(test)]
    pub fn connections(&self) -> usize {
        self.mailboxes.iter().map(|mailbox| mailbox.connections()).sum()
    }

    /// Close all connections, cut those that are still there after `patience`, and end the
    /// threads. Waits for them. What is ordered later is nothing.
    pub fn close(&self, code: u16, reason: &str, patience: Duration) {
        for mailbox in &self.mailboxes {
            mailbox.close_with(Order::Shutdown { code, reason: reason.to_owned(), patience });
        }
        for thread in std::mem::take(&mut *self.threads()) {
            // A thread that panicked is over, too.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        let Ending { code, reason, .. } = Ending::shutdown();
        self.close(code, &reason, Duration::ZERO);
    }
}
