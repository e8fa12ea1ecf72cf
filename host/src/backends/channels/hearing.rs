//! How the threads that serve listeners learn of frames: told once, and not again until they look.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Release},
    },
};

use super::{
    channel::Channel,
    frame::Frame,
    ring::{Portion, Read},
};

/// A thread that serves listeners of channels.
pub trait Hearer: Send + Sync {
    /// The channel that the hearer knows by this key has frames that it has not read. Called by
    /// whoever pushes: it must be quick, must not panic, and may come once more after the hearing
    /// has ended.
    fn news(&self, key: usize);

    /// Whether it looks at once, whatever its listeners do, so that publishers may wait for it.
    fn is_prompt(&self) -> bool {
        true
    }
}

/// A hearer, and what it knows of the channel.
pub struct Ear {
    hearer: Arc<dyn Hearer>,
    key: usize,
    /// Whether it has been told since it last looked.
    told: AtomicBool,
    /// The first frame that it has not read.
    seen: AtomicU64,
}

impl Ear {
    /// One that has read all frames before `seen`.
    pub fn new(hearer: Arc<dyn Hearer>, key: usize, seen: u64) -> Self {
        Self { hearer, key, told: AtomicBool::new(false), seen: AtomicU64::new(seen) }
    }

    /// The first frame that it has not read; `None` for one that nobody may wait for.
    pub fn seen(&self) -> Option<u64> {
        self.hearer.is_prompt().then(|| self.seen.load(Acquire))
    }

    /// There are frames; nothing to a hearer that has been told and has not looked.
    pub fn tell(&self) {
        if !self.told.swap(true, AcqRel) {
            self.hearer.news(self.key);
        }
    }
}

/// A hearer's tie to a channel. Dropping it ends the news.
pub struct Hearing {
    channel: Arc<Channel>,
    ear: Arc<Ear>,
}

impl Hearing {
    pub(super) fn new(channel: Arc<Channel>, ear: Arc<Ear>) -> Self {
        Self { channel, ear }
    }

    /// The channel that is heard.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Append the frames from a cursor on to `into`. What is pushed from now on is news again;
    /// it is for the hearer to remember when the ring has more.
    pub fn look(&self, cursor: u64, portion: Portion, into: &mut Vec<Arc<Frame>>) -> Read {
        // Before the read: a frame that the read does not find is told.
        self.ear.told.store(false, Release);
        let read = self.channel.read(cursor, portion, into);
        self.ear.seen.store(read.next, Release);
        read
    }

    /// The place that the next frame of the channel gets.
    pub fn next(&self) -> u64 {
        self.channel.next()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.channel.forget(&self.ear);
    }
}
