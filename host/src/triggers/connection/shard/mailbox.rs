//! What other threads want of a worker: orders, and news of channels. The worker is woken once,
//! and takes all that has come by the time it looks.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use mio::Waker;

use super::{Newcomer, handle::Link};
use crate::backends::channels::{Channel, Frame, Hearer, Listener};

/// Orders that a worker keeps room for when it has none.
const KEPT: usize = 1024;

/// What a worker is to do.
pub enum Order {
    /// Serve a connection.
    Add(Box<Newcomer>, Arc<Link>),
    /// Do something with one.
    To(Arc<Link>, Request),
    /// Close all connections, and end.
    Shutdown {
        /// The code of the close frames.
        code: u16,
        /// Their reason.
        reason: String,
        /// How long clients have to answer.
        patience: Duration,
    },
}

/// What is to be done with a connection.
pub enum Request {
    /// Write what this listener reads.
    Join(Listener),
    /// Write no more of a channel.
    Leave(Arc<Channel>),
    /// Write a frame.
    Send(Box<Frame>),
    /// Close it, with a code and a reason.
    Close(u16, String),
    /// Close it: more was sent to it than it can have taken.
    Overrun,
    /// Read again.
    Resume,
}

/// Orders and news for one worker.
pub struct Mailbox {
    mail: Mutex<Mail>,
    waker: Waker,
    connections: AtomicUsize,
}

/// What has come.
#[derive(Default)]
pub struct Mail {
    /// Keys of channels that have frames.
    pub news: Vec<usize>,
    /// Oldest first.
    pub orders: Vec<Order>,
    /// Whether the worker has been woken since it looked.
    woken: bool,
    /// Whether nothing is taken any more.
    closed: bool,
}

impl Mailbox {
    /// An empty mailbox, whose worker this wakes.
    pub fn new(waker: Waker) -> Self {
        Self { mail: Mutex::default(), waker, connections: AtomicUsize::new(0) }
    }

    /// Connections that were handed to the worker and are not gone.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Whether nothing is taken any more: the worker ends, or has ended.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// One more.
    pub fn count_in(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn count_out(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Leave an order. If no more are taken, it comes back.
    pub fn post(&self, order: Order) -> Result<(), Order> {
        let mail = self.lock();
        if mail.closed {
            return Err(order);
        }
        self.leave(mail, |mail| mail.orders.push(order));
        Ok(())
    }

    /// Leave a last order. If no more are taken, it is nothing.
    pub fn close_with(&self, order: Order) {
        let mut mail = self.lock();
        if !mail.closed {
            mail.closed = true;
            self.leave(mail, |mail| mail.orders.push(order));
        }
    }

    /// Take no more; the worker is about to end.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Exchange what has come for `mail`, which is empty.
    pub fn take(&self, mail: &mut Mail) {
        mail.orders.shrink_to(KEPT);
        mail.news.shrink_to(KEPT);
        let mut come = self.lock();
        std::mem::swap(&mut come.news, &mut mail.news);
        std::mem::swap(&mut come.orders, &mut mail.orders);
        come.woken = false;
    }

    fn leave(&self, mut mail: MutexGuard<'_, Mail>, leave: impl FnOnce(&mut Mail)) {
        leave(&mut mail);
        let woken = std::mem::replace(&mut mail.woken, true);
        drop(mail);
        if !woken {
            // It fails only where the worker's poll is gone, and then nobody is there to wake.
            let _: io::Result<()> = self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hearer for Mailbox {
    fn news(&self, key: usize) {
        self.leave(self.lock(), |mail| mail.news.push(key));
    }
}
