//! One connection: what it is made of, and how it ends.
//!
//! ```text
//!  open ── close() ──▶ closing ── all written, the client's close read ──▶ lingering ──▶ over
//!    │                    └─ 5 s; 1 s where the client is at fault ──────────▲   ▲
//!    └─ lost, stalled ───────────────────────────────────────────────────────┘ end of file, 1 s
//! ```
//! Reading is in [`super::reading`], writing in [`super::writing`]. None of it fails: a connection
//! that is over says so, and its thread removes it.

use std::{any::Any, io, net::Shutdown, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use socket2::SockRef;

use super::{
    Ending, Inbox, Protocol,
    handle::Link,
    joined::Joined,
    outbox::Outbox,
    titles::Titles,
    tools::{Rules, Tools},
};
use crate::{
    backends::channels::{Form, Frame},
    triggers::connection::websocket::{self, Decoder},
};

/// What an event stream gets now and then; clients skip it.
const COMMENT: &[u8] = b":\n\n";

/// What the two sides speak.
pub enum Speech {
    /// Websocket messages.
    Websocket(Decoder),
    /// The client has nothing to say.
    Mute,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is in use.
    Open,
    /// What is in the outbox is the last that is written.
    Closing,
    /// All is written; the client may still read.
    Lingering,
    /// It is to be removed.
    Over,
}

/// A connection of one thread.
pub struct Connection {
    pub(super) socket: TcpStream,
    pub(super) link: Arc<Link>,
    pub(super) inbox: Arc<dyn Inbox>,
    guard: Box<dyn Any + Send>,
    pub(super) speech: Speech,
    pub(super) form: Form,
    /// [`super::Newcomer::max_waiting`]
    max_waiting: u32,
    pub(super) phase: Phase,
    /// The channels whose frames it gets.
    pub joined: Joined,
    /// What was read and is no whole frame yet, or was not to be taken yet.
    pub(super) tail: BytesMut,
    /// None at rest, so that a connection without news needs one look.
    pub(super) out: Option<Box<Outbox>>,
    /// Tells what plays among the bytes, where the client wants that.
    pub(super) titles: Option<Box<Titles>>,
    /// Why it ends, from when it is closing.
    ending: Option<Box<Ending>>,
    /// Whether the socket takes no more; it says when it does.
    pub(super) blocked: bool,
    /// Whether the inbox wants no more messages.
    pub(super) paused: bool,
    /// Whether there may be more to read.
    pub(super) unread: bool,
    /// Whether the client has closed its direction, so that the end of file follows what it sent.
    pub(super) half_closed: bool,
    /// Whether the client may still answer a close frame.
    awaits_close: bool,
    /// Whether it was pinged since it was last heard.
    pinged: bool,
    /// Whether the thread has it down for another turn of reading.
    pub queued: bool,
    /// Whether the thread has it down to be written.
    pub dirty: bool,
    /// Since when the socket takes no byte; 0 while it does.
    pub(super) stuck: u32,
    /// When the client was last heard, or pinged.
    heard: u32,
    /// When it is cut, once it is closing.
    deadline: u32,
    /// When the thread looks at it; 0 for never.
    pub timer: u32,
}

impl Connection {
    /// A newcomer, whose socket the thread has registered, without its channels.
    pub fn new(parts: Parts, link: Arc<Link>, now: u32) -> Self {
        let Parts { socket, protocol, max_waiting, inbox, guard } = parts;
        let titles = match protocol {
            Protocol::Raw { titles } => titles.map(|interval| Box::new(Titles::every(interval))),
            _ => None,
        };
        let (speech, form) = match protocol {
            Protocol::Websocket { decoder, compressed: false } => {
                (Speech::Websocket(decoder), Form::Websocket)
            }
            Protocol::Websocket { decoder, compressed: true } => {
                (Speech::Websocket(decoder), Form::CompressedWebsocket)
            }
            Protocol::EventStream => (Speech::Mute, Form::EventStream),
            Protocol::Raw { .. } => (Speech::Mute, Form::Raw),
        };
        Self {
            socket,
            link,
            inbox,
            guard,
            speech,
            form,
            max_waiting: u32::try_from(max_waiting).unwrap_or(u32::MAX),
            phase: Phase::Open,
            joined: Joined::new(),
            tail: BytesMut::new(),
            out: None,
            titles,
            ending: None,
            blocked: false,
            paused: false,
            unread: false,
            half_closed: false,
            awaits_close: false,
            pinged: false,
            queued: false,
            dirty: false,
            stuck: 0,
            heard: now,
            deadline: 0,
            timer: 0,
        }
    }

    /// Whether it is to be removed.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether its thread has to look at it after telling it news.
    pub fn is_troubled(&self) -> bool {
        self.blocked || self.phase != Phase::Open
    }

    /// What its frames look like.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether it is the one of this handle.
    pub fn is(&self, link: &Arc<Link>) -> bool {
        Arc::ptr_eq(&self.link, link)
    }

    /// Whether there may be more to read, and somebody to read it.
    pub fn wants_turn(&self) -> bool {
        self.unread && !self.paused
    }

    /// Put something in the outbox.
    pub(super) fn outbox(&mut self) -> &mut Outbox {
        self.out.get_or_insert_default()
    }

    /// Have a frame written to this connection alone, with the next flush. One that has let too
    /// much wait is closed instead.
    pub fn send(&mut self, frame: &Frame, tools: &mut Tools) {
        if self.phase != Phase::Open {
            return self.link.count_out(frame.payload().len());
        }
        if self.waits_too_much() {
            // Perhaps the thread has only not come to it.
            self.flush(tools);
        }
        if self.waits_too_much() {
            self.link.count_out(frame.payload().len());
            return self.overrun(tools);
        }
        let encoded = tools.encoder.encode(frame, self.form).clone();
        self.link.count_encoded(frame.payload().len(), encoded.len());
        self.outbox().send(encoded);
    }

    fn waits_too_much(&self) -> bool {
        self.out.as_ref().is_some_and(|out| out.own_bytes() > self.max_waiting as usize)
    }

    /// More was sent to the client than it takes.
    pub fn overrun(&mut self, tools: &mut Tools) {
        self.close_now(Ending::slow("more was sent than the client reads"), tools);
    }

    /// Have bytes written before all else.
    pub fn begin(&mut self, first: Bytes) {
        if !first.is_empty() {
            if let Some(titles) = &mut self.titles {
                titles.begin_behind(first.len());
            }
            self.link.count_encoded(0, first.len());
            self.outbox().send(first);
        }
    }

    /// Close it once what was sent before is written, and have a websocket's client answer.
    pub fn close(&mut self, ending: Ending, tools: &mut Tools) {
        if self.phase != Phase::Open {
            return;
        }
        // What channels had by now goes out, too, as far as the socket takes it.
        self.flush(tools);
        if self.phase != Phase::Open {
            return;
        }
        if let Speech::Websocket(_) = self.speech {
            let close = websocket::close(Some(ending.code), &ending.reason);
            self.link.count_encoded(0, close.len());
            self.outbox().send(close);
            self.awaits_close = true;
        }
        self.enter_closing(ending, tools.now + tools.rules.closing);
        self.flush(tools);
    }

    /// Close it as soon as the frame that was begun is written; what was sent before is dropped.
    pub(super) fn close_now(&mut self, ending: Ending, tools: &mut Tools) {
        if self.phase != Phase::Open {
            return;
        }
        let dropped = self.out.as_mut().map_or(0, |out| out.clear());
        self.link.count_out(dropped);
        if let Speech::Websocket(_) = self.speech {
            // 1005 stands for none, and is not sent.
            let code = Some(ending.code).filter(|code| *code != 1005);
            let close = websocket::close(code, &ending.reason);
            let blocked = self.blocked;
            self.outbox().control(close, blocked);
        }
        self.enter_closing(ending, tools.now + tools.rules.linger);
        self.flush(tools);
    }

    fn enter_closing(&mut self, ending: Ending, deadline: u32) {
        self.phase = Phase::Closing;
        self.ending = Some(Box::new(ending));
        self.deadline = deadline;
        // The client's close frame, or its end of file, is read in any case.
        self.paused = false;
        self.unread = true;
    }

    /// Take the next step to the end, if it is time for it. To be called after every write.
    pub(super) fn advance(&mut self, tools: &Tools) {
        if self.phase != Phase::Closing || self.out.is_some() || self.awaits_close {
            return;
        }
        self.phase = Phase::Lingering;
        self.deadline = self.deadline.min(tools.now + tools.rules.linger);
        self.tail = BytesMut::new();
        // To close the socket at once would make the system drop what the client has not read.
        if self.socket.shutdown(Shutdown::Write).is_err() {
            self.phase = Phase::Over;
        }
    }

    /// The client needs not, or cannot, answer a close frame any more.
    pub(super) fn closed_by_client(&mut self, tools: &Tools) {
        self.awaits_close = false;
        self.advance(tools);
    }

    /// It is over, for this reason unless it was closing already.
    pub fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert_with(|| Box::new(ending));
        self.phase = Phase::Over;
    }

    /// The socket failed.
    pub(super) fn fail(&mut self, error: &io::Error) {
        self.end(Ending::lost(format!("the connection was lost: {error}")));
    }

    /// Bytes came from the client.
    pub(super) fn hear(&mut self, now: u32) {
        self.heard = now;
        self.pinged = false;
    }

    /// When to look at it, in ticks.
    pub fn due(&self, rules: &Rules) -> Option<u32> {
        match self.phase {
            Phase::Open => {
                let stalled = (self.stuck > 0).then(|| self.stuck.saturating_add(rules.stalled));
                let silent =
                    (self.form != Form::Raw).then(|| self.heard.saturating_add(rules.ping));
                stalled.into_iter().chain(silent).min()
            }
            Phase::Closing | Phase::Lingering => Some(self.deadline),
            Phase::Over => None,
        }
    }

    /// Look at it: a tick has come that [`Connection::due`] named, or an earlier one.
    pub fn look(&mut self, tools: &mut Tools) {
        if self.due(&tools.rules).is_none_or(|due| tools.now < due) {
            return;
        }
        if self.phase != Phase::Open {
            self.phase = Phase::Over;
        } else if self.stuck > 0 && tools.now >= self.stuck.saturating_add(tools.rules.stalled) {
            self.count_kick();
            self.end(Ending::slow("the client reads nothing"));
        } else {
            self.ping(tools);
        }
    }

    fn count_kick(&self) {
        for member in self.joined.all() {
            let _ = member.listener.kick();
        }
    }

    /// The client was silent for a while.
    fn ping(&mut self, tools: &mut Tools) {
        if self.paused || self.stuck > 0 {
            // Its answer would not be read, or it cannot read the ping.
            self.heard = tools.now;
        } else if let Speech::Mute = self.speech {
            // So that neither proxies nor the client take it for dead, and its end is noticed.
            self.heard = tools.now;
            let blocked = self.blocked;
            self.outbox().control(Bytes::from_static(COMMENT), blocked);
            self.flush(tools);
        } else if self.pinged {
            self.end(Ending::lost("the client does not answer"));
        } else {
            self.heard = tools.now;
            self.pinged = true;
            let blocked = self.blocked;
            self.outbox().control(websocket::ping(b""), blocked);
            self.flush(tools);
        }
    }

    /// Close the socket, and tell the inbox. The channels must have been left.
    pub fn remove(self) {
        let Self { socket, link, inbox, guard, stuck, ending, .. } = self;
        if stuck > 0 {
            // Nobody reads: without this the system would keep what it has, and try for minutes.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
        }
        drop(socket);
        drop(guard);
        link.gone();
        inbox.ended(ending.map_or_else(Ending::shutdown, |ending| *ending));
    }
}

/// What a connection is made of.
pub struct Parts {
    /// The socket, registered.
    pub socket: TcpStream,
    /// What the two sides speak.
    pub protocol: Protocol,
    /// [`super::Newcomer::max_waiting`]
    pub max_waiting: usize,
    /// Who takes what the client sends.
    pub inbox: Arc<dyn Inbox>,
    /// Dropped behind the socket.
    pub guard: Box<dyn Any + Send>,
}
