//! Where what happens on a plugin's connections waits for the plugin.
//!
//! ```text
//!  connection ── message, end ──▶ Desk ── by its number ──▶ lane ── batches ──▶ live generation
//!       ◀── resume, once the plugin has had what waits ───────┘
//! ```
//! All of one connection goes through one lane, and a lane has one call at a time: so events come
//! in order, and those of other lanes meanwhile. What waits of a connection is bounded, and its
//! socket is not read beyond that.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::meters;
use crate::{
    backends::channels::{Effect, End, Kind, Rules, Space},
    runtime::exports::connection::{Closing, Event, Frame, What},
};

/// The most events of one batch.
const MAX_EVENTS: usize = 256;
/// Bytes after which a batch takes no further event.
const MAX_BYTES: usize = 1 << 20;
/// What may wait of one connection: messages, and bytes of them.
const MOST_MESSAGES: usize = 64;
const MOST_BYTES: usize = 64 << 10;
/// What may wait of all connections of a plugin, in bytes, before each may have one message only.
const MOST_IN_ALL: usize = 32 << 20;

/// What may wait of all connections of a plugin, those that have ended included, before no further
/// one is let in.
const MOST_OCCURRENCES: usize = 65_536;
/// The code of a connection whose plugin failed.
const FAILED: u16 = 1011;

/// A connection on this side: whose it is, and what of it waits.
pub struct Origin {
    /// Its number.
    pub id: u64,
    desk: Arc<Desk>,
    space: Arc<Space>,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether its socket is not read for now.
    paused: AtomicBool,
    /// Lets its socket be read again.
    resume: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Set once it has ended.
    last_tag: OnceLock<Arc<str>>,
}

/// Something that happened.
pub struct Occurrence {
    /// Where.
    pub origin: Arc<Origin>,
    what: Occurred,
}

enum Occurred {
    Message(Kind, Bytes),
    Ended(End),
}

/// The lanes of one plugin.
pub struct Desk {
    /// Whose.
    pub plugin: Arc<str>,
    lanes: Box<[Lane]>,
    /// What waits, and the bytes of all messages among it.
    occurrences: AtomicUsize,
    bytes: AtomicUsize,
    closed: AtomicBool,
}

#[derive(Default)]
struct Lane {
    queue: Mutex<VecDeque<Occurrence>>,
    news: Notify,
}

impl Desk {
    /// A desk with so many lanes.
    pub fn new(plugin: Arc<str>, lanes: usize) -> Self {
        let lanes = (0..lanes.max(1)).map(|_| Lane::default()).collect();
        let (occurrences, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { plugin, lanes, occurrences, bytes, closed: AtomicBool::new(false) }
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Whether so much waits that no further connection may be let in: each could add a message and
    /// its end.
    pub fn is_crowded(&self) -> bool {
        let occurrences = self.occurrences.load(Ordering::SeqCst);
        occurrences >= MOST_OCCURRENCES || self.bytes.load(Ordering::SeqCst) >= MOST_IN_ALL
    }

    /// The next batch of a lane, in order; `None` once the desk is closed and all is taken.
    pub async fn next(&self, lane: usize) -> Option<Vec<Occurrence>> {
        let lane = &self.lanes[lane];
        loop {
            let news = lane.news.notified();
            let batch = lane.take();
            if !batch.is_empty() {
                return Some(batch);
            }
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            news.await;
        }
    }

    /// Nothing further happens: lanes end with what waits.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for lane in &self.lanes {
            lane.news.notify_one();
        }
    }

    fn push(&self, occurrence: Occurrence) {
        self.occurrences.fetch_add(1, Ordering::SeqCst);
        let lane = &self.lanes[(occurrence.origin.id % self.lanes.len() as u64) as usize];
        lane.lock().push_back(occurrence);
        lane.news.notify_one();
    }
}

impl Lane {
    fn take(&self) -> Vec<Occurrence> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut queue = self.lock();
        while batch.len() < MAX_EVENTS && bytes < MAX_BYTES {
            let Some(occurrence) = queue.pop_front() else { break };
            bytes += occurrence.length();
            batch.push(occurrence);
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Occurrence>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin {
    /// A connection of the plugin that the desk and the space belong to.
    pub fn new(id: u64, desk: Arc<Desk>, space: Arc<Space>) -> Arc<Self> {
        Arc::new(Self {
            id,
            desk,
            space,
            messages: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            resume: OnceLock::new(),
            last_tag: OnceLock::new(),
        })
    }

    /// How its socket is read again after [`Self::message`] was answered with `false`.
    pub fn on_resume(&self, resume: impl Fn() + Send + Sync + 'static) {
        let _ = self.resume.set(Box::new(resume));
    }

    /// The client sent something. `false`: read no more, until what `on_resume` set is called.
    pub fn message(self: &Arc<Self>, kind: Kind, payload: Bytes) -> bool {
        let length = payload.len();
        let messages = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        let bytes = self.bytes.fetch_add(length, Ordering::SeqCst) + length;
        let in_all = self.desk.bytes.fetch_add(length, Ordering::SeqCst) + length;
        let full = messages >= MOST_MESSAGES || bytes >= MOST_BYTES || in_all >= MOST_IN_ALL;
        // Before it can be handled: whoever has handled it looks here.
        self.paused.store(full, Ordering::SeqCst);
        let occurrence =
            Occurrence { origin: self.clone(), what: Occurred::Message(kind, payload) };
        self.desk.push(occurrence);
        !full
    }

    /// It has ended. What is asked of it from here on does nothing; the plugin is told once.
    pub fn ended(self: &Arc<Self>, end: End) {
        // First, so that an event that is made meanwhile finds the tag in one place or the other.
        if let Some(tag) = self.space.tag(self.id) {
            let _ = self.last_tag.set(tag);
        }
        let handled = self.space.is_handled(self.id);
        if self.space.remove(self.id).is_some() && handled {
            self.push_end(end);
        }
    }

    /// The plugin failed over something that happened on it.
    pub fn fail(&self) {
        let close = Effect::Close(self.id, FAILED, "the plugin failed".to_owned());
        // To close a connection makes no channel, and nothing else can fail.
        let _ = self.space.apply(close, &Rules::default());
    }

    /// As [`Self::ended`], for one that its space has let go already.
    pub fn tell_end(self: &Arc<Self>, tag: Arc<str>, end: End) {
        if self.last_tag.set(tag).is_ok() {
            self.push_end(end);
        }
    }

    fn push_end(self: &Arc<Self>, end: End) {
        meters::ended(&self.desk.plugin, &end);
        self.desk.push(Occurrence { origin: self.clone(), what: Occurred::Ended(end) });
    }

    /// Its last tag.
    fn tag(&self) -> Arc<str> {
        let now = self.space.tag(self.id).or_else(|| self.last_tag.get().cloned());
        now.unwrap_or_default()
    }

    /// Messages have been handled, or given up.
    fn handled(&self, bytes: usize) {
        let messages = self.messages.fetch_sub(1, Ordering::SeqCst) - 1;
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.desk.bytes.fetch_sub(bytes, Ordering::SeqCst);
        // Only with the last one: then it is sure that somebody looks again after each pause.
        if messages == 0
            && self.paused.swap(false, Ordering::SeqCst)
            && let Some(resume) = self.resume.get()
        {
            resume();
        }
    }
}

impl Occurrence {
    /// As the plugin is told of it.
    pub fn event(&self) -> Event {
        let what = match &self.what {
            Occurred::Message(Kind::Text, payload) => {
                What::Message(Frame::Text(String::from_utf8_lossy(payload).into_owned()))
            }
            Occurred::Message(Kind::Binary, payload) => {
                What::Message(Frame::Binary(payload.clone()))
            }
            Occurred::Ended(End { code, reason }) => {
                What::Closed(Closing { code: *code, reason: reason.clone() })
            }
        };
        Event { connection: self.origin.id, tag: self.origin.tag().to_string(), what }
    }

    fn length(&self) -> usize {
        match &self.what {
            Occurred::Message(_, payload) => payload.len(),
            Occurred::Ended(_) => 0,
        }
    }
}

impl Drop for Occurrence {
    fn drop(&mut self) {
        self.origin.desk.occurrences.fetch_sub(1, Ordering::SeqCst);
        if let Occurred::Message(_, payload) = &self.what {
            self.origin.handled(payload.len());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backends::channels::Hub;

    fn origin(desk: &Arc<Desk>, hub: &Hub) -> Arc<Origin> {
        let space = hub.space(&desk.plugin);
        let id = space.number();
        space.admit(id, "tag", crate::backends::channels::Reader::new(9).outlet());
        Origin::new(id, desk.clone(), space)
    }

    fn desk(lanes: usize) -> (Arc<Desk>, Hub) {
        (Arc::new(Desk::new("p".into(), lanes)), Hub::new(Default::default()))
    }

    #[tokio::test]
    async fn what_happens_on_a_connection_comes_in_order_and_its_end_last() {
        let (desk, hub) = desk(1);
        let (one, other) = (origin(&desk, &hub), origin(&desk, &hub));
        for number in 0..300 {
            one.message(Kind::Text, format!("{number}").into());
            other.message(Kind::Binary, "x".into());
        }
        one.ended(End { code: 1000, reason: "bye".into() });
        one.ended(End { code: 1006, reason: "twice".into() });
        desk.close();
        let mut seen = Vec::new();
        while let Some(batch) = desk.next(0).await {
            assert!(batch.len() <= MAX_EVENTS);
            let events = batch.iter().map(Occurrence::event);
            seen.extend(events.filter(|event| event.connection == one.id));
        }
        let text = |number: usize| What::Message(Frame::Text(number.to_string()));
        assert!(seen[..300].iter().map(|event| event.what.clone()).eq((0..300).map(text)));
        let end = What::Closed(Closing { code: 1000, reason: "bye".into() });
        assert_eq!((seen.len(), &seen[300].what), (301, &end));
        assert!(seen.iter().all(|event| event.tag == "tag"));
    }

    #[tokio::test]
    async fn a_connection_whose_messages_wait_is_not_read_until_they_are_handled() {
        let (desk, hub) = desk(1);
        let origin = origin(&desk, &hub);
        let resumed = Arc::new(AtomicUsize::new(0));
        let count = resumed.clone();
        origin.on_resume(move || _ = count.fetch_add(1, Ordering::SeqCst));
        let read = (0..).take_while(|_| origin.message(Kind::Text, "x".into())).count();
        assert_eq!(read, MOST_MESSAGES - 1);
        let batch = desk.next(0).await.unwrap();
        assert_eq!(resumed.load(Ordering::SeqCst), 0);
        drop(batch);
        assert_eq!(resumed.load(Ordering::SeqCst), 1);
        assert!(origin.message(Kind::Text, "x".into()));
        assert!(!origin.message(Kind::Text, vec![b'x'; MOST_BYTES].into()));
    }

    #[tokio::test]
    async fn a_desk_is_crowded_by_those_who_come_and_go_until_they_are_handled() {
        let (desk, hub) = desk(1);
        let mut came = 0;
        while !desk.is_crowded() {
            let origin = origin(&desk, &hub);
            origin.message(Kind::Binary, vec![0; 1 << 20].into());
            origin.ended(End { code: 1006, reason: String::new() });
            came += 1;
        }
        assert_eq!(came, MOST_IN_ALL >> 20);
        drop(desk.next(0).await);
        assert!(!desk.is_crowded());
    }

    #[test]
    fn connections_are_spread_over_the_lanes() {
        let (desk, hub) = desk(4);
        for _ in 0..8 {
            origin(&desk, &hub).message(Kind::Text, "x".into());
        }
        assert!(desk.lanes.iter().all(|lane| lane.lock().len() == 2));
    }
}
