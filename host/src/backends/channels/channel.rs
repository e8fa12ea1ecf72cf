//! One channel: a ring that many read, and who is told when it has something new.
//!
//! ```text
//!  push ──▶ Ring ──▶ read by each Listener, a cursor
//!    └────▶ Hearing: one for each thread that serves listeners, told once until it has looked
//! ```
//! What a push costs depends on the number of threads that hear the channel, never on the number
//! of listeners.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    frame::{Frame, Tally},
    hearing::{Ear, Hearer, Hearing},
    ring::{History, Limits, Portion, Read, Ring, Start},
    title::Title,
};

/// What happens to a listener that the ring has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slow {
    /// It is disconnected: a connection that lasts has missed nothing.
    #[default]
    Disconnect,
    /// It goes on with the oldest frame that is left.
    DropOldest,
    /// It goes on with the newest frame.
    SkipToLive,
}

/// How a channel is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What its ring keeps.
    pub limits: Limits,
    /// What happens to its slow listeners.
    pub slow: Slow,
    /// How long its frames are kept while nobody uses it, for listeners that come back.
    pub keep: Duration,
    /// Whether it is one channel on all nodes that share a topic.
    pub shared: bool,
}

impl Default for Options {
    fn default() -> Self {
        let (limits, slow) = (Limits::default(), Slow::default());
        Self { limits, slow, keep: Duration::from_secs(60), shared: true }
    }
}

/// The listener was passed, in a channel that disconnects such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the listener is too slow for the channel")]
pub struct TooSlow;

/// A named stream of frames.
pub struct Channel {
    name: Arc<str>,
    options: Options,
    state: Mutex<State>,
    tally: Arc<Tally>,
    listeners: AtomicUsize,
    title: Mutex<Option<Arc<Title>>>,
}

struct State {
    ring: Ring,
    /// Replaced when one comes or goes, so that a push tells them without the lock.
    ears: Arc<[Arc<Ear>]>,
    /// When a frame came, or the last listener went.
    used: Instant,
}

/// How long a publisher waits at a time for the threads that serve listeners, and how often.
const PAUSE: Duration = Duration::from_millis(1);
const MOST_PAUSES: usize = 250;

impl State {
    fn behind(&self) -> u64 {
        let next = self.ring.next();
        let seen = self.ears.iter().filter_map(|ear| ear.seen()).min();
        next.saturating_sub(seen.unwrap_or(next))
    }
}

impl Channel {
    /// A channel whose first frame gets the place `first`, which is its number, too, unless others
    /// number its frames; its memory is counted in `tally`.
    pub(super) fn new(name: Arc<str>, options: Options, first: u64, tally: Arc<Tally>) -> Self {
        let state = State {
            ring: Ring::new(options.limits, first),
            ears: Arc::default(),
            used: Instant::now(),
        };
        Self {
            name,
            options,
            state: Mutex::new(state),
            tally,
            listeners: AtomicUsize::new(0),
            title: Mutex::default(),
        }
    }

    /// The name it was opened with.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What plays.
    pub fn title(&self) -> Option<Arc<Title>> {
        self.title.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something else plays.
    pub fn entitle(&self, title: &str) {
        let title = Arc::new(Title::new(title));
        *self.title.lock().unwrap_or_else(PoisonError::into_inner) = Some(title);
        self.touch();
    }

    /// How it was made.
    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// Keep a frame for the listeners, and tell those who serve them. The answer is its number.
    ///
    /// This never waits for anybody: a caller that pushes faster than the listeners are served
    /// overruns them, and can avoid it with [`Channel::settled`].
    pub fn push(&self, frame: Frame) -> u64 {
        self.take(frame, None)
    }

    /// The same with a number that others have given it, above those before it.
    pub(super) fn push_as(&self, frame: Frame, number: u64) {
        self.take(frame, Some(number));
    }

    fn take(&self, mut frame: Frame, number: Option<u64>) -> u64 {
        let mut gone = vec![];
        let (sequence, ears) = {
            let mut state = self.lock();
            let sequence = number.unwrap_or(state.ring.next());
            frame.take(sequence, &self.tally);
            state.ring.push(Arc::new(frame), &mut gone);
            state.used = Instant::now();
            (sequence, state.ears.clone())
        };
        // Without the lock: who is told comes for it at once.
        ears.iter().for_each(|ear| ear.tell());
        sequence
    }

    /// Frames that some prompt hearer has yet to read; 0 without any. A listener that was just made
    /// counts from when its thread has it.
    pub fn behind(&self) -> u64 {
        self.lock().behind()
    }

    /// Whether so much has yet to be read that a few further pushes could overrun even listeners
    /// that are fast. Whoever can wait does so with [`Channel::settled`].
    pub fn is_crowded(&self) -> bool {
        let state = self.lock();
        let behind = state.behind();
        behind > 0 && state.ring.is_half(behind)
    }

    /// Wait until the threads that serve listeners have caught up, but not for long: one of them
    /// may be stuck.
    pub async fn settled(&self) {
        for _ in 0..MOST_PAUSES {
            if !self.is_crowded() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Read from here on; what is pushed after this call is not missed.
    pub fn listen(self: &Arc<Self>, start: Start) -> (Listener, History) {
        // Counted first, so that no channel with a listener looks unused.
        self.listeners.fetch_add(1, Relaxed);
        let (cursor, history) = self.lock().ring.start(start);
        (Listener { channel: self.clone(), cursor }, history)
    }

    /// The last frames, the oldest first, at most so many.
    pub fn recent(&self, most: usize) -> Vec<Arc<Frame>> {
        let mut frames = vec![];
        let state = self.lock();
        let (cursor, _) = state.ring.start(Start::Recent(most));
        state.ring.read(cursor, Portion { frames: most, bytes: usize::MAX }, &mut frames);
        frames
    }

    /// Be told of frames, under the hearer's own key for this channel.
    pub fn hear(self: &Arc<Self>, hearer: Arc<dyn Hearer>, key: usize) -> Hearing {
        let mut state = self.lock();
        let ear = Arc::new(Ear::new(hearer, key, state.ring.next()));
        state.ears = state.ears.iter().chain([&ear]).cloned().collect();
        drop(state);
        Hearing::new(self.clone(), ear)
    }

    /// How many listen, on all threads.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Relaxed)
    }

    /// What is counted of this channel and those it shares that with.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether nothing came, and nobody listened, for as long as it is kept.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let used = self.lock().used;
        self.listeners() == 0 && now.saturating_duration_since(used) >= self.options.keep
    }

    /// Somebody wants the channel, and may use it soon.
    pub(super) fn touch(&self) {
        self.lock().used = Instant::now();
    }

    /// The place that the next frame gets.
    pub(super) fn next(&self) -> u64 {
        self.lock().ring.next()
    }

    /// Append the frames from a cursor on to `into`.
    pub(super) fn read(&self, cursor: u64, portion: Portion, into: &mut Vec<Arc<Frame>>) -> Read {
        self.lock().ring.read(cursor, portion, into)
    }

    /// Tell this one no more.
    pub(super) fn forget(&self, ear: &Arc<Ear>) {
        let mut state = self.lock();
        let others = state.ears.iter().filter(|other| !Arc::ptr_eq(other, ear));
        state.ears = others.cloned().collect();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener: its place in the channel, which counts it until it is dropped.
pub struct Listener {
    channel: Arc<Channel>,
    cursor: u64,
}

impl Listener {
    /// The channel that is listened to.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The place of the frame that comes next.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Append the frames that come next to `into`, without taking them; whether there are more.
    /// If the ring has passed the listener, its place changes as the channel wants it, and what
    /// it missed is counted.
    pub fn read(&mut self, portion: Portion, into: &mut Vec<Arc<Frame>>) -> Result<bool, TooSlow> {
        let state = self.channel.lock();
        let oldest = state.ring.oldest();
        if self.cursor < oldest {
            let place = match self.channel.options.slow {
                Slow::Disconnect => {
                    drop(state);
                    return Err(self.kick());
                }
                Slow::DropOldest => oldest,
                // A ring that has passed somebody has a newest frame.
                Slow::SkipToLive => state.ring.next() - 1,
            };
            self.channel.tally.lose(place - self.cursor);
            self.cursor = place;
        }
        Ok(state.ring.read(self.cursor, portion, into).more)
    }

    /// Go on behind so many of the frames that were read.
    pub fn take(&mut self, frames: u64) {
        self.cursor += frames;
    }

    /// Whether a ring whose oldest frame is this has lost the listener for good.
    pub fn is_too_slow(&self, oldest: u64) -> bool {
        self.channel.options.slow == Slow::Disconnect && self.cursor < oldest
    }

    /// Count a listener that is disconnected because it is too slow.
    pub fn kick(&self) -> TooSlow {
        self.channel.tally.kick();
        TooSlow
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.channel.listeners.fetch_sub(1, Relaxed) == 1 {
            self.channel.touch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Portion = Portion { frames: usize::MAX, bytes: usize::MAX };

    fn channel(frames: usize, slow: Slow) -> Arc<Channel> {
        let options =
            Options { limits: Limits { frames, bytes: 1 << 20 }, slow, ..Options::default() };
        Arc::new(Channel::new("c".into(), options, 100, Arc::default()))
    }

    fn push(channel: &Channel, frames: usize) {
        for _ in 0..frames {
            channel.push(Frame::text("x"));
        }
    }

    /// Takes all that comes next; the numbers of the frames.
    fn read(listener: &mut Listener) -> Result<Vec<u64>, TooSlow> {
        let mut frames = vec![];
        listener.read(ALL, &mut frames)?;
        listener.take(frames.len() as u64);
        Ok(frames.iter().filter_map(|frame| frame.sequence()).collect())
    }

    #[derive(Default)]
    struct Bell(Mutex<Vec<usize>>);

    impl Hearer for Bell {
        fn news(&self, key: usize) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        }
    }

    impl Bell {
        fn rung(&self) -> Vec<usize> {
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    #[test]
    fn a_hearer_is_told_once_until_it_has_looked_and_no_more_when_it_is_gone() {
        let (channel, bell) = (channel(9, Slow::DropOldest), Arc::new(Bell::default()));
        let hearing = channel.hear(bell.clone(), 7);
        push(&channel, 3);
        assert_eq!((bell.rung(), channel.behind()), (vec![7], 3));
        let mut frames = vec![];
        let read = hearing.look(100, Portion { frames: 2, bytes: 1 << 20 }, &mut frames);
        assert_eq!((read.next, read.more, channel.behind()), (102, true, 1));
        push(&channel, 2);
        assert_eq!(bell.rung(), [7]);
        drop(hearing);
        push(&channel, 1);
        assert_eq!((bell.rung(), channel.behind()), (vec![], 0));
    }

    #[tokio::test]
    async fn a_publisher_waits_for_threads_that_are_behind_but_not_for_ever() {
        let (channel, bell) = (channel(9, Slow::Disconnect), Arc::new(Bell::default()));
        let hearing = channel.hear(bell, 7);
        push(&channel, 4);
        assert!(!channel.is_crowded());
        push(&channel, 1);
        assert!(channel.is_crowded());
        let begun = Instant::now();
        channel.settled().await;
        assert!(begun.elapsed() >= Duration::from_millis(250));
        hearing.look(100, ALL, &mut vec![]);
        assert!(!channel.is_crowded());
    }

    #[test]
    fn a_listener_reads_what_is_pushed_after_it_came() {
        let channel = channel(9, Slow::Disconnect);
        push(&channel, 1);
        let (mut listener, history) = channel.listen(Start::Next);
        assert_eq!((history, channel.listeners()), (History::Whole, 1));
        push(&channel, 2);
        assert_eq!(read(&mut listener), Ok(vec![101, 102]));
        assert_eq!(read(&mut listener), Ok(vec![]));
        drop(listener);
        assert_eq!(
            (channel.listeners(), channel.tally().lost(), channel.tally().kicked()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_listener_that_was_passed_goes_on_as_the_channel_wants_it() {
        let after_six = |slow| {
            let channel = channel(3, slow);
            let (mut listener, _) = channel.listen(Start::Next);
            push(&channel, 6);
            let numbers = read(&mut listener);
            (numbers, channel.tally().lost(), channel.tally().kicked())
        };
        assert_eq!(after_six(Slow::DropOldest), (Ok(vec![103, 104, 105]), 3, 0));
        assert_eq!(after_six(Slow::SkipToLive), (Ok(vec![105]), 5, 0));
        assert_eq!(after_six(Slow::Disconnect), (Err(TooSlow), 0, 1));
    }
}
