//! A connection that a task reads: channels and what was sent to it, in one place.
//!
//! The body of an answer and a mailbox are read like this. A push wakes each reader; where
//! thousands hear one channel, sockets of the connection trigger do better, which read the same
//! rings without that.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use super::{Channel, Frame, Hearer, Hearing, Listener, Outlet, Portion, Start};

/// Frames and bytes that are taken from one channel at a time.
const PORTION: Portion = Portion { frames: 256, bytes: 256 << 10 };
/// The code of a connection that ends because it is too slow: try again later.
const TOO_SLOW: u16 = 1013;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// As in a websocket's close.
    pub code: u16,
    /// For people.
    pub reason: String,
}

/// The reading side. There is one, or several that take turns.
pub struct Reader(Arc<Inner>);

/// The other side.
struct Inner {
    state: Mutex<State>,
    waker: AtomicWaker,
    /// What may wait in the queue, in bytes.
    most: usize,
}

#[derive(Default)]
struct State {
    /// Nobody reads any longer.
    gone: bool,
    heard: Vec<Heard>,
    queue: VecDeque<Arc<Frame>>,
    queued: usize,
    end: Option<End>,
}

/// A channel that is heard.
struct Heard {
    listener: Listener,
    hearing: Hearing,
}

impl Hearer for Inner {
    fn news(&self, _key: usize) {
        self.waker.wake();
    }

    /// It reads when its client does.
    fn is_prompt(&self) -> bool {
        false
    }
}

impl Reader {
    /// One for which `most` bytes of what is sent to it may wait; more ends it.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), waker: AtomicWaker::new(), most }))
    }

    /// Lets others use it.
    pub fn outlet(&self) -> Box<dyn Outlet> {
        Box::new(self.0.clone())
    }

    /// Take what is there: what was sent first, then each channel's; an empty list has been waited
    /// for in vain. The error comes once all that was sent before it has been taken.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<Result<Vec<Arc<Frame>>, End>> {
        self.poll_some(usize::MAX, cx)
    }

    /// The same with at most so many frames.
    pub fn poll_some(&self, most: usize, cx: &Context<'_>) -> Poll<Result<Vec<Arc<Frame>>, End>> {
        self.0.waker.register(cx.waker());
        match self.take(most) {
            Ok(frames) if frames.is_empty() => Poll::Pending,
            done => Poll::Ready(done),
        }
    }

    /// Take at most so many frames of what is there.
    pub fn take(&self, most: usize) -> Result<Vec<Arc<Frame>>, End> {
        let mut state = self.0.lock();
        let count = most.min(state.queue.len());
        let mut frames: Vec<_> = state.queue.drain(..count).collect();
        state.queued -= frames.iter().map(|frame| taken(frame)).sum::<usize>();
        if state.end.is_none() && state.read(most, &mut frames).is_err() {
            let reason = "the connection is too slow for its channel".to_owned();
            state.end = Some(End { code: TOO_SLOW, reason });
        }
        match state.end.clone() {
            Some(end) if frames.is_empty() => Err(end),
            _ => Ok(frames),
        }
    }

    /// Whether nothing that was sent to it waits.
    pub fn is_drained(&self) -> bool {
        self.0.lock().queue.is_empty()
    }

    /// How it has ended, if it has: nothing more comes to it.
    pub fn end(&self) -> Option<End> {
        self.0.lock().end.clone()
    }

    /// End it, if it has not.
    pub fn close(&self, code: u16, reason: &str) {
        self.0.close(code, reason);
    }

    /// Begin a channel.
    pub fn join(&self, channel: Arc<Channel>, start: Start) {
        self.0.join(channel, start);
    }
}

impl Drop for Reader {
    /// The channels know this reader as it knows them: without this neither would ever go.
    fn drop(&mut self) {
        let heard = {
            let mut state = self.0.lock();
            state.gone = true;
            std::mem::take(&mut state.heard)
        };
        // Without the lock: it takes the channels'.
        drop(heard);
    }
}

impl State {
    /// Append what channels have, up to `most` frames in all.
    fn read(&mut self, most: usize, frames: &mut Vec<Arc<Frame>>) -> Result<(), super::TooSlow> {
        for Heard { listener, hearing } in &mut self.heard {
            // Before the read, so that what the read does not find is news.
            hearing.look(listener.cursor(), Portion { frames: 0, bytes: 0 }, frames);
            loop {
                let (before, left) = (frames.len(), most.saturating_sub(frames.len()));
                let portion = Portion { frames: PORTION.frames.min(left), ..PORTION };
                let more = listener.read(portion, frames)?;
                listener.take((frames.len() - before) as u64);
                if !more || frames.len() >= most {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What a frame takes that waits, in bytes: an empty one is not for nothing.
fn taken(frame: &Frame) -> usize {
    size_of::<Frame>() + frame.payload().len()
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet for Arc<Inner> {
    fn join(&self, channel: Arc<Channel>, start: Start) {
        let hearing = channel.hear(self.clone(), 0);
        let (listener, _) = channel.listen(start);
        let new = Heard { listener, hearing };
        let mut state = self.lock();
        let knows = |heard: &Heard| Arc::ptr_eq(heard.listener.channel(), &channel);
        if state.gone || state.heard.iter().any(knows) {
            drop(state);
            // Without the lock: it takes the channel's.
            return drop(new);
        }
        state.heard.push(new);
        drop(state);
        self.waker.wake();
    }

    fn leave(&self, channel: &Arc<Channel>) {
        let mut state = self.lock();
        let is_left = |heard: &Heard| Arc::ptr_eq(heard.listener.channel(), channel);
        let left = state.heard.iter().position(is_left);
        let left = left.map(|at| state.heard.remove(at));
        drop(state);
        // Without the lock: it takes the channel's.
        drop(left);
    }

    fn send(&self, frame: Frame) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        if state.queued > self.most {
            let reason = format!("more than {} bytes wait for the connection", self.most);
            state.end = Some(End { code: TOO_SLOW, reason });
        } else {
            state.queued += taken(&frame);
            state.queue.push_back(Arc::new(frame));
        }
        drop(state);
        self.waker.wake();
    }

    fn close(&self, code: u16, reason: &str) {
        let mut state = self.lock();
        state.end.get_or_insert_with(|| End { code, reason: reason.to_owned() });
        drop(state);
        self.waker.wake();
    }

    fn waiting(&self) -> usize {
        self.lock().queued
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Wake, Waker},
    };

    use super::{
        super::{Channels, Limits, Options, Slow},
        *,
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn channel(name: &str, frames: usize, slow: Slow) -> Arc<Channel> {
        let limits = Limits { frames, bytes: 1 << 20 };
        Channels::new(9).open(name, Options { limits, slow, ..Options::default() }).unwrap()
    }

    fn texts(frames: &[Arc<Frame>]) -> Vec<String> {
        frames.iter().map(|frame| String::from_utf8_lossy(frame.payload()).into()).collect()
    }

    #[test]
    fn a_reader_that_waits_is_woken_by_a_push_and_by_a_send() {
        let (count, reader) = (Arc::new(Count::default()), Reader::new(1000));
        let waker = Waker::from(count.clone());
        let cx = Context::from_waker(&waker);
        let room = channel("room", 9, Slow::Disconnect);
        reader.join(room.clone(), Start::Next);
        assert!(reader.poll(&cx).is_pending());
        room.push(Frame::text("a"));
        reader.outlet().send(Frame::text("b"));
        assert!(count.0.load(Ordering::SeqCst) >= 1);
        let Poll::Ready(Ok(frames)) = reader.poll(&cx) else { panic!("nothing came") };
        assert_eq!(texts(&frames), ["b", "a"]);
        assert!(reader.poll(&cx).is_pending());
        reader.outlet().leave(&room);
        room.push(Frame::text("c"));
        assert!(reader.poll(&cx).is_pending());
    }

    #[test]
    fn what_was_sent_before_the_end_comes_before_it() {
        let reader = Reader::new(1000);
        let outlet = reader.outlet();
        outlet.send(Frame::text("last words"));
        outlet.close(1000, "done");
        outlet.send(Frame::text("too late"));
        outlet.close(1001, "again");
        assert_eq!(texts(&reader.take(9).unwrap()), ["last words"]);
        assert_eq!(reader.take(9).unwrap_err(), End { code: 1000, reason: "done".into() });
    }

    #[test]
    fn a_reader_takes_no_more_than_it_asks_for_and_the_rest_later() {
        let reader = Reader::new(1000);
        let room = channel("room", 1000, Slow::Disconnect);
        reader.join(room.clone(), Start::Next);
        (0..600).for_each(|number| _ = room.push(Frame::text(number.to_string())));
        let mut seen = texts(&reader.take(10).unwrap());
        assert_eq!(seen.len(), 10);
        seen.extend(texts(&reader.take(usize::MAX).unwrap()));
        assert!(seen.iter().map(|text| text.parse::<u32>().unwrap()).eq(0..600));
    }

    #[test]
    fn a_reader_that_was_passed_ends_or_goes_on_as_its_channel_wants() {
        for (slow, expected) in
            [(Slow::Disconnect, 0), (Slow::DropOldest, 3), (Slow::SkipToLive, 1)]
        {
            let reader = Reader::new(1000);
            let room = channel("room", 3, slow);
            reader.join(room.clone(), Start::Next);
            (0..9).for_each(|_| _ = room.push(Frame::text("x")));
            let taken = reader.take(99);
            assert_eq!(taken.map_or(0, |frames| frames.len()), expected, "{slow:?}");
            assert_eq!(reader.end().is_some(), expected == 0);
        }
    }

    #[test]
    fn nothing_is_left_of_a_reader_in_its_channels() {
        let reader = Reader::new(1000);
        let (outlet, room) = (reader.outlet(), channel("room", 3, Slow::Disconnect));
        reader.join(room.clone(), Start::Next);
        assert_eq!(room.listeners(), 1);
        drop(reader);
        assert_eq!((room.listeners(), Arc::strong_count(&room)), (0, 1));
        // Who comes too late leaves nothing behind either.
        outlet.join(room.clone(), Start::Next);
        drop(outlet);
        assert_eq!((room.listeners(), Arc::strong_count(&room)), (0, 1));
    }

    #[test]
    fn too_much_that_waits_ends_the_connection_but_one_large_frame_does_not() {
        let reader = Reader::new(10);
        reader.outlet().send(Frame::text("x".repeat(1000)));
        assert_eq!(reader.take(9).unwrap().len(), 1);
        reader.outlet().send(Frame::text(""));
        reader.outlet().send(Frame::text(""));
        assert_eq!(reader.take(9).unwrap().len(), 1);
        assert_eq!(reader.take(9).unwrap_err().code, TOO_SLOW);
    }
}
