//! Connections over real sockets. No test depends on how fast it runs: what is waited for has a
//! generous deadline.

#![allow(clippy::unwrap_used)]

mod client;
mod closing;
mod fanout;
mod handles;
mod memory;
mod messages;
mod random;
mod slow;

use std::{
    sync::{Arc, Condvar, Mutex, Weak},
    thread,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use self::client::{Client, Door};
use super::{Decoder, Ending, Handle, Inbox, Message, Newcomer, Protocol, Settings, Shards};
use crate::backends::channels::{Channel, Channels, Limits, Listener, Options, Slow, Start};

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(30);

/// Wait until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Shards, channels, and a door for clients.
struct Rig {
    shards: Shards,
    channels: Channels,
    door: Door,
}

impl Rig {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self {
            shards: Shards::start(2, settings).unwrap(),
            channels: Channels::new(1000),
            door: Door::new(),
        }
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        self.channels.open(name, Options::default()).unwrap()
    }

    fn limited(&self, frames: usize, bytes: usize, slow: Slow) -> Arc<Channel> {
        let options = Options { limits: Limits { frames, bytes }, slow, ..Options::default() };
        self.channels.open("limited", options).unwrap()
    }

    fn websocket(&self, joined: &[&Arc<Channel>]) -> (Client, Served) {
        self.serve(self.door.enter(), websocket(), listen(joined))
    }

    fn serve(
        &self,
        sides: client::Sides,
        protocol: Protocol,
        joined: Vec<Listener>,
    ) -> (Client, Served) {
        self.serve_with(sides, protocol, joined, "", b"")
    }

    fn serve_with(
        &self,
        (client, socket): client::Sides,
        protocol: Protocol,
        joined: Vec<Listener>,
        first: &str,
        leftover: &[u8],
    ) -> (Client, Served) {
        let inbox = Arc::new(Recorder::default());
        let guard = Arc::new(());
        let held = Arc::downgrade(&guard);
        let handle = self.shards.add(Newcomer {
            socket,
            leftover: BytesMut::from(leftover),
            protocol,
            max_waiting: 64 << 10,
            joined,
            first: Bytes::copy_from_slice(first.as_bytes()),
            inbox: inbox.clone(),
            guard: Box::new(guard),
        });
        (client, Served { handle, inbox, guard: held })
    }
}

fn websocket() -> Protocol {
    Protocol::Websocket { decoder: Decoder::new(1 << 20, false), compressed: false }
}

fn raw() -> Protocol {
    Protocol::Raw { titles: None }
}

fn listen(channels: &[&Arc<Channel>]) -> Vec<Listener> {
    channels.iter().map(|channel| channel.listen(Start::Next).0).collect()
}

/// What the host has of a connection.
struct Served {
    handle: Handle,
    inbox: Arc<Recorder>,
    guard: Weak<()>,
}

impl Served {
    /// How it ended, which must be told once, after the guard was dropped.
    fn ending(&self) -> Ending {
        let ending = self.inbox.wait("an ending", |seen| seen.endings.first().cloned());
        assert_eq!(self.guard.strong_count(), 0);
        assert_eq!(self.inbox.seen.lock().unwrap().endings.len(), 1);
        ending
    }
}

/// Keeps all that a client sent.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    messages: Vec<Message>,
    endings: Vec<Ending>,
    /// Messages that are answered with `false` are those from this one on.
    full_from: Option<usize>,
}

impl Recorder {
    fn wait<T>(&self, what: &str, mut find: impl FnMut(&mut Seen) -> Option<T>) -> T {
        let start = Instant::now();
        let mut seen = self.seen.lock().unwrap();
        loop {
            if let Some(found) = find(&mut seen) {
                return found;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
            seen = self.changed.wait_timeout(seen, Duration::from_millis(100)).unwrap().0;
        }
    }

    /// The first so many messages.
    fn messages(&self, count: usize) -> Vec<Message> {
        self.wait("messages", |seen| (seen.messages.len() >= count).then(|| seen.messages.clone()))
    }

    fn full_from(&self, message: usize) {
        self.seen.lock().unwrap().full_from = Some(message);
    }
}

impl Inbox for Recorder {
    fn message(&self, message: Message) -> bool {
        let mut seen = self.seen.lock().unwrap();
        seen.messages.push(message);
        self.changed.notify_all();
        seen.full_from.is_none_or(|full| seen.messages.len() <= full)
    }

    fn ended(&self, ending: Ending) {
        self.seen.lock().unwrap().endings.push(ending);
        self.changed.notify_all();
    }
}
