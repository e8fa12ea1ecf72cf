//! What the server knows of a connection while it serves it: whether it waits, reads or is
//! stuck, and whether it shall end.
//!
//! A connection counts its own activity in a few atomics against a coarse clock, and the server
//! looks at all connections once a tick: no timer is set for any request.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU8, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{bare, door::Place};

/// The time in ticks; starts at 1, so that 0 stands for never.
pub struct Clock(AtomicU32);

impl Default for Clock {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Clock {
    /// The present tick.
    pub fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Move on by a tick.
    pub fn tick(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// How long a connection may be in a state, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the first byte of a head to its last.
    pub head: u32,
    /// Without a request.
    pub idle: u32,
    /// With an answer that the client does not read.
    pub stalled: u32,
}

/// The state of a connection.
pub struct Pulse {
    clock: Arc<Clock>,
    /// Requests whose answer is not complete.
    busy: AtomicU32,
    /// When the first byte behind the last request came; 0 while there is none.
    head_began: AtomicU32,
    /// When bytes last went either way.
    moved: AtomicU32,
    /// Since when the socket takes no more bytes; 0 while it does.
    stalled: AtomicU32,
    /// Whether a body was answered before all of it had come, so that the rest still comes.
    unread: AtomicBool,
    /// Whether requests share the connection, as in HTTP/2: control frames are no heads then.
    multiplexed: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
    /// Who goes on with the socket, once an answer says so.
    heir: Mutex<Option<Heir>>,
    bequeathed: AtomicBool,
}

/// Goes on with a socket that was taken away from hyper.
pub type Heir = Box<dyn FnOnce(TcpStream, Place) + Send>;

/// What the server wants of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Order {
    /// Go on.
    Serve,
    /// End after the requests in flight.
    Finish,
    /// End now.
    Abort,
}

impl Pulse {
    /// A connection that was just accepted.
    pub fn new(clock: Arc<Clock>) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self {
            clock,
            busy: AtomicU32::new(0),
            head_began: AtomicU32::new(0),
            moved: AtomicU32::new(now),
            stalled: AtomicU32::new(0),
            unread: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            order: AtomicU8::new(Order::Serve as u8),
            waker: AtomicWaker::new(),
            heir: Mutex::default(),
            bequeathed: AtomicBool::new(false),
        })
    }

    /// Hand the socket on: the answer to the request in progress is the heir's to write, and hyper
    /// is asked no more.
    pub fn bequeath(&self, heir: Heir) {
        *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = Some(heir);
        self.bequeathed.store(true, Release);
        self.waker.wake();
    }

    /// Whether the socket was handed on.
    pub fn is_bequeathed(&self) -> bool {
        self.bequeathed.load(Acquire)
    }

    /// Who goes on with the socket, if it was handed on.
    pub fn heir(&self) -> Option<Heir> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A request's head is complete.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.head_began.store(0, Relaxed);
        if multiplexed {
            self.multiplexed.store(true, Relaxed);
        }
        Busy(self.clone())
    }

    /// A request is answered before all of its body has come. What is left of it is read, and thrown
    /// away, once the answer is written: to close the socket before that would make the system drop
    /// the answer that the client has not read yet. The patience with a head bounds it.
    pub fn leave_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Ask for something; an order is never taken back.
    pub fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Relaxed);
        self.waker.wake();
    }

    /// What was asked for; the task is woken when that changes.
    pub fn poll_order(&self, cx: &Context<'_>) -> Order {
        self.waker.register(cx.waker());
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Abort,
        }
    }

    /// What to ask of a connection that has been like this for so long.
    pub fn judge(&self, patience: Patience) -> Order {
        let now = self.clock.now();
        let since = |mark: &AtomicU32| match mark.load(Relaxed) {
            0 => 0,
            mark => now.saturating_sub(mark),
        };
        if since(&self.stalled) > patience.stalled {
            return Order::Abort;
        }
        if self.busy.load(Relaxed) > 0 {
            return Order::Serve;
        }
        if since(&self.head_began) > patience.head && !self.multiplexed.load(Relaxed) {
            return Order::Abort;
        }
        match since(&self.moved) {
            idle if idle > patience.idle.saturating_add(patience.head) => Order::Abort,
            idle if idle > patience.idle => Order::Finish,
            _ => Order::Serve,
        }
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    fn read(&self) {
        let now = self.clock.now();
        self.moved.store(now, Relaxed);
        if self.head_began.load(Relaxed) == 0 && self.busy.load(Relaxed) == 0 {
            self.head_began.store(now, Relaxed);
        }
    }

    fn wrote<T>(&self, outcome: Poll<T>) -> Poll<T> {
        if outcome.is_ready() {
            self.moved.store(self.clock.now(), Relaxed);
            self.stalled.store(0, Relaxed);
        } else if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.clock.now(), Relaxed);
        }
        outcome
    }
}

/// A request in progress.
pub struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// A socket that notes what moves, and words the answers that hyper gives on its own.
pub struct Socket {
    /// Shared with whoever serves the connection, which may take it away from hyper.
    stream: Arc<TcpStream>,
    place: Place,
    pulse: Arc<Pulse>,
    /// The rest of an answer that goes out instead of a bare one.
    instead: Bytes,
}

impl Socket {
    /// A socket whose activity goes to `pulse`, and which keeps its place among the server's
    /// connections until it is dropped.
    pub fn new(stream: Arc<TcpStream>, place: Place, pulse: Arc<Pulse>) -> Self {
        Self { stream, place, pulse, instead: Bytes::new() }
    }

    /// The bare socket and its place, for whoever goes on with it after an upgrade; `None` as long
    /// as somebody else has it.
    pub fn into_parts(self) -> Option<(TcpStream, Place)> {
        Some((Arc::into_inner(self.stream)?, self.place))
    }

    /// Write as soon as the system takes it.
    fn poll_out(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Read as soon as there is something.
    fn poll_in(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done.map(drop)),
            }
        }
    }

    /// Read what a client still sends, until it ends.
    fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8 << 10];
        loop {
            // It counts as a head, which has to end in time.
            self.pulse.read();
            let mut buffer = ReadBuf::new(&mut scratch);
            let outcome = ready!(self.poll_in(cx, &mut buffer));
            if outcome.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }

    /// Take a bare answer; the bytes are as good as written then.
    fn take(&mut self, bytes: &[u8]) -> bool {
        // While a request is served hyper says nothing on its own.
        if self.pulse.is_busy() {
            return false;
        }
        match bare::instead_of(bytes) {
            Some(answer) => self.instead = answer.into(),
            None => return false,
        }
        true
    }

    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let outcome = self.poll_out(cx, |stream| stream.try_write(&self.instead));
            match ready!(self.pulse.wrote(outcome))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.instead.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = self.poll_in(cx, buffer);
        if outcome.is_ready() {
            self.pulse.read();
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if self.take(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = self.poll_out(cx, |stream| stream.try_write(bytes));
        self.pulse.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if let [bytes] = slices
            && self.take(bytes)
        {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = self.poll_out(cx, |stream| stream.try_write_vectored(slices));
        self.pulse.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The system has no more to flush.
        self.poll_instead(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
            // What the client has ended already needs no end.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                return Poll::Ready(Ok(()));
            }
            Err(error) => return Poll::Ready(Err(error)),
            Ok(()) => {}
        }
        if self.pulse.unread.load(Relaxed) {
            ready!(self.poll_rest(cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { head: 2, idle: 5, stalled: 3 };

    fn pulse() -> (Arc<Clock>, Arc<Pulse>) {
        let clock = Arc::new(Clock::default());
        (clock.clone(), Pulse::new(clock))
    }

    /// The tick at which each new order is first given.
    fn orders(clock: &Clock, pulse: &Pulse) -> Vec<(u32, Order)> {
        let mut seen = vec![];
        for tick in 0..12 {
            let order = pulse.judge(PATIENCE);
            if seen.last().map_or(Order::Serve, |(_, last)| *last) != order {
                seen.push((tick, order));
            }
            clock.tick();
        }
        seen
    }

    #[test]
    fn a_connection_without_requests_is_asked_to_end_and_then_cut() {
        let (clock, pulse) = pulse();
        assert_eq!(orders(&clock, &pulse), [(6, Order::Finish), (8, Order::Abort)]);
    }

    #[test]
    fn a_head_that_drips_is_cut() {
        let (clock, pulse) = pulse();
        pulse.read();
        for _ in 0..3 {
            clock.tick();
            pulse.read();
        }
        assert_eq!(pulse.judge(PATIENCE), Order::Abort);
        let _busy = pulse.begin(false);
        assert_eq!(pulse.judge(PATIENCE), Order::Serve);
    }

    #[test]
    fn a_request_in_progress_may_take_its_time_but_its_answer_must_be_read() {
        let (clock, pulse) = pulse();
        let _busy = pulse.begin(false);
        assert_eq!(orders(&clock, &pulse), []);
        let _ = pulse.wrote(Poll::<()>::Pending);
        assert_eq!(orders(&clock, &pulse), [(4, Order::Abort)]);
        let _ = pulse.wrote(Poll::Ready(()));
        assert_eq!(pulse.judge(PATIENCE), Order::Serve);
    }

    #[test]
    fn control_frames_of_http_2_are_no_heads() {
        let (clock, pulse) = pulse();
        drop(pulse.begin(true));
        pulse.read();
        for _ in 0..3 {
            clock.tick();
        }
        assert_eq!(pulse.judge(PATIENCE), Order::Serve);
    }
}
