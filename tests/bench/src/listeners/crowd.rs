//! All listeners of a server, and the run that they are in.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token, Waker};

use super::{
    Arguments, Form, Order, Outcome,
    publisher::Publisher,
    socket::{Heard, Socket},
    tally::{Tally, percentile},
};

/// Events that are looked at together.
const EVENTS: usize = 1024;
/// What one read takes at most.
const READ: usize = 128 << 10;
/// How long the last frames of a run may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether that is over.
const LOOK: Duration = Duration::from_secs(1);
/// Behind the tokens of the sockets, which are their indices.
const WAKER: Token = Token(usize::MAX - 1);
const PUBLISHER: Token = Token(usize::MAX - 2);

/// Sockets that listen, on one thread.
pub struct Crowd {
    poll: Poll,
    events: Events,
    sockets: Vec<Socket>,
    tally: Tally,
    buffer: Vec<u8>,
    to: SocketAddr,
    publish: String,
    /// Stamps are nanoseconds from here.
    begun: Instant,
    orders: Receiver<Result<Order>>,
}

/// Gives orders to a crowd; its end is the end of the crowd.
pub struct Orders(Option<Sender<Result<Order>>>, Waker);

impl Orders {
    /// Have the crowd do this next, or fail with this.
    pub fn give(&self, order: Result<Order>) -> Result<()> {
        if let Some(sender) = &self.0 {
            sender.send(order)?;
        }
        Ok(self.1.wake()?)
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        // In this order: whoever is woken finds that nobody is there any more.
        self.0 = None;
        let _ = self.1.wake();
    }
}

impl Crowd {
    /// Connect them all, one after the other.
    pub fn connect(arguments: &Arguments) -> Result<(Self, Orders)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let form = if arguments.streams { Form::Stream } else { Form::Websocket };
        let mut sockets = Vec::new();
        for index in 0..arguments.count {
            let mut socket = Socket::connect(arguments.to, &arguments.listen, form)
                .with_context(|| format!("listener {index}"))?;
            let token = Token(sockets.len());
            poll.registry().register(socket.stream(), token, Interest::READABLE)?;
            sockets.push(socket);
        }
        let (sender, orders) = mpsc::channel();
        let crowd = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            sockets,
            tally: Tally::new(arguments.count),
            buffer: vec![0; READ],
            to: arguments.to,
            publish: arguments.publish.clone(),
            begun: Instant::now(),
            orders,
        };
        Ok((crowd, Orders(Some(sender), waker)))
    }

    /// Wait for an order and carry it out; `None` when nobody gives any more. Meanwhile the
    /// listeners answer when they are asked whether they are there.
    pub fn next(&mut self) -> Result<Option<Outcome>> {
        loop {
            match self.orders.try_recv() {
                Ok(order) => return self.carry_out(order?).map(Some),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => self.turn(None, None)?,
            }
        }
    }

    fn carry_out(&mut self, order: Order) -> Result<Outcome> {
        // A server closes a connection that was idle for long, so each run has one of its own.
        let mut publisher = Publisher::connect(self.to, &self.publish)?;
        self.poll.registry().register(publisher.stream(), PUBLISHER, Interest::READABLE)?;
        let (begun, end) = (Instant::now(), Duration::from_secs(order.seconds));
        let every = (order.every_us > 0).then(|| Duration::from_micros(order.every_us));
        let mut due = Duration::ZERO;
        loop {
            let elapsed = begun.elapsed();
            let nothing_waits = self.tally.waiting() == 0 && publisher.unanswered() == 0;
            if elapsed >= end && nothing_waits {
                break;
            }
            ensure!(elapsed < end + PATIENCE, "{} frames do not come", self.tally.waiting());
            let is_time = match every {
                Some(_) => elapsed >= due,
                None => publisher.unanswered() == 0 && self.tally.waiting() <= order.waiting,
            };
            if elapsed < end && is_time {
                // That a request left late is no excuse for a frame that comes late.
                let asked = begun + if every.is_some() { due } else { elapsed };
                let stamp = asked.duration_since(self.begun).as_nanos() as u64;
                let first = self.tally.publish(order.burst);
                publisher.ask(first, order.burst, order.size, stamp)?;
                due += every.unwrap_or_default();
            }
            // In whole milliseconds, rounded down: the system would round up.
            let pause = every.map(|_| due.saturating_sub(begun.elapsed()).as_millis() as u64);
            let pause = pause.filter(|_| elapsed < end).map(Duration::from_millis);
            self.turn(Some(&mut publisher), Some(pause.unwrap_or(LOOK)))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let took = self.tally.take();
        let p99_ms = percentile(&took, 99).as_secs_f64() * 1000.0;
        Ok(Outcome { frames: took.len() as u64, seconds, p99_ms })
    }

    /// Wait until something comes, at most so long, and take it.
    fn turn(
        &mut self,
        mut publisher: Option<&mut Publisher>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let Self { poll, events, sockets, tally, buffer, begun, .. } = self;
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            match (event.token(), &mut publisher) {
                (PUBLISHER, Some(publisher)) => publisher.read()?,
                (Token(index), _) => {
                    let Some(socket) = sockets.get_mut(index) else { continue };
                    socket.read(buffer, |Heard { number, stamp }| {
                        let age = || begun.elapsed().saturating_sub(Duration::from_nanos(stamp));
                        ensure!(tally.hear(number, age), "frame {number} comes unasked");
                        Ok(())
                    })?;
                    ensure!(!event.is_read_closed(), "the server closed a listener's connection");
                }
            }
        }
        Ok(())
    }
}
