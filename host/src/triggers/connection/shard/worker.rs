//! One thread: its poll, its connections, and what they share.
//!
//! A round takes what the poll says, the orders, the news of channels, the connections whose turn
//! it is to read on, and those whose time has come. After whatever was done with a connection the
//! worker settles it: removes it if it is over, and notes when to come back to it.

use std::{
    collections::VecDeque,
    io,
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, event::Event};
use slab::Slab;
use socket2::SockRef;

use super::{
    Cause, Ending, Newcomer, Settings,
    connection::{Connection, Parts},
    fanout::{Ears, Told},
    handle::Link,
    joined::Member,
    mailbox::{Mail, Mailbox, Order, Request},
    tools::Tools,
    wheel::{Clock, Entry, Wheel},
};
use crate::backends::channels::{Channel, Listener};

/// The poll's events of a round.
const EVENTS: usize = 1024;
/// The mailbox among the events; connections have their keys.
const MAIL: Token = Token(usize::MAX);

/// What one thread has.
pub struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    settings: Settings,
    /// Boxed, so that the slab moves little when it grows.
    connections: Slab<Box<Connection>>,
    ears: Ears,
    /// Channels that were not told to the end.
    news: Vec<usize>,
    told: Told,
    /// Connections that are to be flushed.
    dirty: Vec<u32>,
    /// Connections that read on.
    turns: VecDeque<u32>,
    wheel: Wheel,
    due: Vec<Entry>,
    clock: Clock,
    tools: Tools,
    /// When what is left is cut, once the worker is to end.
    until: Option<Instant>,
}

impl Worker {
    /// A worker without connections.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), MAIL)?;
        let clock = Clock::new();
        let now = clock.now();
        Ok(Self {
            poll,
            mailbox: Arc::new(Mailbox::new(waker)),
            settings,
            connections: Slab::new(),
            ears: Ears::default(),
            news: vec![],
            told: Told::default(),
            dirty: vec![],
            turns: VecDeque::new(),
            wheel: Wheel::new(now),
            due: vec![],
            clock,
            tools: Tools::new(&settings, now),
            until: None,
        })
    }

    /// Where to leave orders.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Serve until an order says to end, and all connections are gone or their time is up.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut mail = Mail::default();
        while !self.is_done() {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the poll of a shard failed; its connections end");
                    break;
                }
                Ok(()) => self.round(&events, &mut mail),
            }
        }
    }

    fn round(&mut self, events: &Events, mail: &mut Mail) {
        self.tools.now = self.clock.now();
        events.iter().for_each(|event| self.event(event));
        self.mailbox.take(mail);
        mail.orders.drain(..).for_each(|order| self.obey(order));
        self.flush();
        mail.news.append(&mut self.news);
        self.tell(&mail.news);
        mail.news.clear();
        self.flush();
        self.read_on();
        self.look();
    }

    fn is_done(&self) -> bool {
        let is_over = |until| self.connections.is_empty() || until <= Instant::now();
        self.until.is_some_and(is_over)
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.turns.is_empty() || !self.news.is_empty() {
            return Some(Duration::ZERO);
        }
        let tick = (!self.wheel.is_empty()).then(|| self.clock.until(self.tools.now + 1));
        let end = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        tick.into_iter().chain(end).min()
    }

    fn event(&mut self, event: &Event) {
        if event.token() == MAIL {
            return;
        }
        let key = event.token().0 as u32;
        self.with(key, |connection, tools| {
            // Read first: a client that says goodbye and is gone is not lost.
            let failed = event.is_error() || event.is_write_closed();
            if event.is_readable() || failed {
                connection.readable(event.is_read_closed(), failed, tools);
            }
            if event.is_writable() {
                connection.writable(tools);
            }
        });
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Add(newcomer, link) => self.adopt(*newcomer, link),
            Order::To(link, request) => self.fulfil(&link, request),
            Order::Shutdown { code, reason, patience } => {
                self.until = Some(Instant::now() + patience);
                for key in self.keys() {
                    let ending = Ending::new(Cause::Shutdown, code, reason.clone());
                    self.with(key, |connection, tools| connection.close(ending, tools));
                }
            }
        }
    }

    fn adopt(&mut self, newcomer: Newcomer, link: Arc<Link>) {
        let Newcomer { socket, leftover, protocol, joined, first, max_waiting, inbox, guard } =
            newcomer;
        let prepared = prepare(&socket, &self.settings);
        let mut socket = mio::net::TcpStream::from_std(socket);
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = prepared
            .and_then(|()| self.poll.registry().register(&mut socket, Token(key), interest));
        let parts = Parts { socket, protocol, max_waiting, inbox, guard };
        entry.insert(Box::new(Connection::new(parts, link.clone(), self.tools.now)));
        let key = key as u32;
        link.arrive(key);
        joined.into_iter().for_each(|listener| self.join(key, listener));
        self.with(key, |connection, tools| match registered {
            Ok(()) => {
                connection.begin(first);
                connection.flush(tools);
                connection.take(&leftover, tools);
            }
            Err(error) => connection.fail(&error),
        });
    }

    fn fulfil(&mut self, link: &Arc<Link>, request: Request) {
        let Some(key) = link.place() else { return };
        if !self.connections.get(key as usize).is_some_and(|connection| connection.is(link)) {
            return;
        }
        match request {
            Request::Join(listener) => {
                self.join(key, listener);
                self.soil(key);
            }
            Request::Leave(channel) => {
                // What the channel had by now goes out, as far as the socket takes it.
                self.with(key, Connection::flush);
                self.leave(key, &channel);
            }
            Request::Send(frame) => {
                self.with(key, |connection, tools| connection.send(&frame, tools));
                self.soil(key);
            }
            Request::Close(code, reason) => {
                let ending = Ending::new(Cause::Host, code, reason);
                self.with(key, |connection, tools| connection.close(ending, tools));
            }
            Request::Overrun => self.with(key, Connection::overrun),
            Request::Resume => self.with(key, Connection::resume),
        }
    }

    /// Have a connection flushed once all orders are done, in one write if that can be.
    fn soil(&mut self, key: u32) {
        if let Some(connection) = self.connections.get_mut(key as usize)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(key);
        }
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            self.with(key, |connection, tools| {
                connection.dirty = false;
                connection.flush(tools);
            });
        }
        self.dirty = dirty;
    }

    fn join(&mut self, key: u32, listener: Listener) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        let heard = self.ears.hear(listener.channel(), &self.mailbox);
        if connection.joined.find(heard).is_none() {
            let position = self.ears.add(heard, key);
            connection.joined.add(Member { listener, heard, position });
        }
    }

    fn leave(&mut self, key: u32, channel: &Arc<Channel>) {
        let Some(heard) = self.ears.find(channel) else { return };
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if let Some(member) = connection.joined.remove(heard) {
            self.forget(&member);
        }
    }

    /// A connection left a channel: another one takes its position there.
    fn forget(&mut self, member: &Member) {
        let Some(other) = self.ears.remove(member.heard, member.position) else { return };
        let Some(other) = self.connections.get_mut(other as usize) else { return };
        let Some(index) = other.joined.find(member.heard) else { return };
        if let Some(moved) = other.joined.all_mut().get_mut(index) {
            moved.position = member.position;
        }
    }

    fn tell(&mut self, news: &[usize]) {
        let mut told = std::mem::take(&mut self.told);
        for key in news {
            let (connections, tools) = (&mut self.connections, &mut self.tools);
            self.ears.tell(*key as u32, news.len() > 1, connections, tools, &mut told);
            if told.more {
                self.news.push(*key);
            }
            self.dirty.append(&mut told.dirty);
            told.troubled.drain(..).for_each(|key| self.settle(key));
        }
        self.told = told;
    }

    fn read_on(&mut self) {
        // Those that come back to the end have their next turn in the next round.
        for _ in 0..self.turns.len() {
            let Some(key) = self.turns.pop_front() else { return };
            self.with(key, |connection, tools| {
                connection.queued = false;
                connection.turn(tools);
            });
        }
    }

    fn look(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.turn(self.tools.now, &mut due);
        for Entry { key, due } in due.drain(..) {
            let connection = self.connections.get_mut(key as usize);
            let Some(connection) = connection.filter(|connection| connection.timer == due) else {
                continue;
            };
            connection.timer = 0;
            connection.look(&mut self.tools);
            self.settle(key);
        }
        self.due = due;
    }

    /// Do something with a connection, and settle it.
    fn with(&mut self, key: u32, act: impl FnOnce(&mut Connection, &mut Tools)) {
        if let Some(connection) = self.connections.get_mut(key as usize) {
            act(connection, &mut self.tools);
            self.settle(key);
        }
    }

    fn settle(&mut self, key: u32) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if connection.is_over() {
            return self.remove(key);
        }
        if connection.wants_turn() && !connection.queued {
            connection.queued = true;
            self.turns.push_back(key);
        }
        if let Some(due) = connection.due(&self.tools.rules)
            && (connection.timer == 0 || due < connection.timer)
        {
            connection.timer = self.wheel.set(key, due);
        }
    }

    fn remove(&mut self, key: u32) {
        let Some(mut connection) = self.connections.try_remove(key as usize) else { return };
        while let Some(member) = connection.joined.pop() {
            self.forget(&member);
        }
        connection.remove();
    }

    fn keys(&self) -> Vec<u32> {
        self.connections.iter().map(|(key, _)| key as u32).collect()
    }
}

/// However the thread ends, every inbox is told.
impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.close();
        let mut mail = Mail::default();
        self.mailbox.take(&mut mail);
        for order in mail.orders {
            if let Order::Add(newcomer, link) = order {
                link.gone();
                newcomer.refuse(Ending::shutdown());
            }
        }
        for key in self.keys() {
            self.with(key, |connection, _| connection.end(Ending::shutdown()));
        }
    }
}

/// Have the system send at once, and buffer little: what waits in a ring is shared and can be
/// passed over, what waits in a socket is neither.
fn prepare(socket: &TcpStream, settings: &Settings) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(settings.send_buffer)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(settings.unsent)?;
    Ok(())
}
