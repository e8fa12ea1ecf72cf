//! What the calls of a generation have taken of the processor, and what the next ones wait for
//! because of that.
//!
//! ```text
//!  a piece of a call ─ short ─▶ nothing: it costs two looks at the clock
//!        │
//!        └─ long ─▶ suspected: the next pieces are measured exactly
//!                        └─ long ─▶ restrained: its pieces pass through the lane for a while
//!                                   owed: the next calls wait for as many turns
//! ```
//!
//! A *piece* is what a call does between two waits, its work in the host included. An epoch ends
//! the guest's part of it, and the call then waits for its turn; nothing ends the host's.

use std::{
    future::poll_fn,
    pin::Pin,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Mutex as Queue,
    task::block_in_place,
};

use super::stopwatch::{Stopwatch, Took};
use crate::runtime::{
    engine::{HURRY, Turns},
    lane::Who,
};

/// The most that a generation owes, in microseconds: a call that waits for its turns because of the
/// calls before it still has nearly all of its time.
const MOST_OWED: u64 = 64 * TURN;
/// A turn, in microseconds.
const TURN: u64 = HURRY.as_micros() as u64;
/// After one that took long, so many pieces of calls are measured exactly.
const CLOSELY: i32 = 64;
/// For so long after its last long piece a generation passes through the lane: what comes back every
/// few seconds must not find all cores open each time.
const WHILE: Duration = Duration::from_secs(10);
/// The longest that a call waits for what is owed: on a machine with more to do than it can, turns
/// are late.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// How the calls of one generation have behaved.
pub struct Conduct {
    turns: Arc<Turns>,
    /// Where long calls wait for their turns.
    queue: Queue<()>,
    /// Microseconds that calls had of a processor beyond a turn where no epoch interrupts them, in
    /// the host's own work. The next calls wait for as many turns.
    owed: AtomicU64,
    /// For so many pieces to come it is measured how much of the processor they have.
    suspected: AtomicI32,
    /// Until then its pieces pass through the lane, in microseconds since it began; 0: not at all.
    restrained: AtomicU64,
    began: Instant,
}

impl Conduct {
    /// That of a generation without a call yet.
    pub fn new(turns: Arc<Turns>) -> Arc<Self> {
        Arc::new(Self {
            turns,
            queue: Queue::default(),
            owed: AtomicU64::new(0),
            suspected: AtomicI32::new(0),
            restrained: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// After how much of the processor a call is long.
    pub fn turn(&self) -> Duration {
        self.turns.length
    }

    /// Let others run, and go on with the next turn, as a long call does.
    pub async fn next_turn(self: Arc<Self>) {
        self.turns.take(&self.queue).await;
        tokio::task::yield_now().await;
    }

    /// Whether calls have to [`Self::repay`] before they begin.
    pub fn owes(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// Wait for as many turns as earlier calls took without waiting for one.
    pub async fn repay(&self) {
        let end = tokio::time::Instant::now() + LONGEST_WAIT;
        while self.owes() {
            let turn = self.turns.take(&self.queue);
            if tokio::time::timeout_at(end, turn).await.is_err() {
                return;
            }
            // Another call may have paid the last.
            self.owe(|owed| owed.saturating_sub(TURN));
        }
    }

    /// Wait for `body`, which the generation answers for, piece by piece.
    pub fn oversee<T>(
        &self,
        mut body: Pin<&mut impl Future<Output = T>>,
    ) -> impl Future<Output = T> {
        let mut place = Place { conduct: self, ticket: 0 };
        poll_fn(move |cx| place.poll(cx, |cx| body.as_mut().poll(cx)))
    }

    /// Do a piece of work that is known to take long, and let others run behind it.
    pub fn measure<T>(&self, work: impl FnOnce() -> T) -> T {
        let watch = Stopwatch::start(true);
        let outcome = work();
        if self.note(watch.stop()) {
            let_others_run();
        }
        outcome
    }

    /// Note a piece that has ended; whether others should run now. One that took long may have been kept
    /// waiting by others: from the first one on, for a while, it is measured what each has had
    /// itself.
    fn note(&self, took: Took) -> bool {
        match took {
            Took::Short => return false,
            Took::Time(had) if had <= HURRY => {
                if self.is_suspected() {
                    self.suspected.fetch_sub(1, Ordering::Relaxed);
                }
                return had > HURRY / 2;
            }
            Took::Time(had) => {
                self.restrain();
                self.charge(had);
            }
            Took::Long => {}
        }
        self.suspected.store(CLOSELY, Ordering::Relaxed);
        true
    }

    fn is_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed) > 0
    }

    fn is_restrained(&self) -> bool {
        match self.restrained.load(Ordering::Relaxed) {
            0 => false,
            until if self.now() < until => true,
            until => {
                let over = Ordering::Relaxed;
                let _again = self.restrained.compare_exchange(until, 0, over, over);
                false
            }
        }
    }

    fn restrain(&self) {
        let until = self.now() + u64::try_from(WHILE.as_micros()).unwrap_or(u64::MAX);
        self.restrained.store(until, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// What the lane knows it by.
    fn who(&self) -> Who {
        ptr::from_ref(self).addr()
    }

    /// Note how much of the processor a call had before it let others run.
    pub fn charge(&self, had: Duration) {
        let beyond = had.saturating_sub(HURRY);
        if !beyond.is_zero() {
            let beyond = u64::try_from(beyond.as_micros()).unwrap_or(u64::MAX);
            self.owe(|owed| owed.saturating_add(beyond).min(MOST_OWED));
        }
    }

    fn owe(&self, change: impl Fn(u64) -> u64) {
        // The only error is that there was no change.
        let _ =
            self.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |owed| Some(change(owed)));
    }
}

/// A call and its place in the line for the lane, if it stands there.
struct Place<'a> {
    conduct: &'a Conduct,
    ticket: u64,
}

impl Place<'_> {
    /// Do a piece of the call, or wait for the lane.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        piece: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (conduct, lane) = (self.conduct, &self.conduct.turns.lane);
        if !conduct.is_restrained() {
            lane.give_up(conduct.who(), &mut self.ticket);
            lane.see(conduct.who());
            let watch = Stopwatch::start(conduct.is_suspected());
            let polled = piece(cx);
            conduct.note(watch.stop());
            return polled;
        }
        if !lane.is_shared(conduct.who()) {
            lane.give_up(conduct.who(), &mut self.ticket);
            return conduct.measure(|| piece(cx));
        }
        let Some(inside) = lane.enter(conduct.who(), &mut self.ticket, cx.waker()) else {
            return Poll::Pending;
        };
        aside(|| {
            let watch = Stopwatch::start(true);
            let polled = piece(cx);
            let long = conduct.note(watch.stop());
            drop(inside);
            if long {
                let_others_run();
            }
            polled
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.conduct.turns.lane.give_up(self.conduct.who(), &mut self.ticket);
    }
}

/// Do a piece of a call while another thread goes on with what this worker has to do otherwise: its
/// connections and the calls that others have woken on it.
fn aside<T>(piece: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(piece),
        // There is no other thread.
        _ => piece(),
    }
}

/// Offer this processor to other threads. By itself, the system would take it away at the next tick
/// of its clock, which may be some milliseconds apart.
fn let_others_run() {
    thread::yield_now();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{future::pending, pin::pin, sync::mpsc, task::Waker};

    use futures_util::future::poll_immediate;
    use tokio::sync::oneshot;

    use super::*;
    use crate::runtime::engine::Ticker;

    /// Two generations. The ticker is only there for its turns, and does not tick in a test.
    fn two() -> (Ticker, [Arc<Conduct>; 2]) {
        let ticker = Ticker::start(Duration::from_secs(3600), 1);
        let both = [0, 1].map(|_| Conduct::new(ticker.turns().clone()));
        (ticker, both)
    }

    /// One piece of a call that does this.
    async fn piece(conduct: &Conduct, work: impl FnOnce()) {
        let call = async { work() };
        conduct.oversee(pin!(call)).await;
    }

    fn compute(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {}
    }

    #[tokio::test]
    async fn a_piece_that_took_long_counts_only_where_it_was_looked_at() {
        let (_ticker, [one, _]) = two();
        let mut seen = Vec::new();
        for _ in 0..3 {
            piece(&one, || compute(HURRY * 40)).await;
            seen.push((one.owes(), one.is_restrained()));
        }
        assert_eq!(seen, [(false, false), (true, true), (true, true)]);
    }

    #[tokio::test]
    async fn what_is_a_turn_is_owed_by_nobody() {
        let (_ticker, [one, _]) = two();
        one.charge(HURRY);
        assert!(!one.owes());
    }

    #[tokio::test]
    async fn whoever_takes_long_passes_the_lane_and_is_not_in_it_while_it_waits() {
        let (_ticker, [one, other]) = two();
        let lane = &one.turns.lane;
        piece(&other, || ()).await;
        lane.tick();
        let others: Vec<_> = std::iter::from_fn(|| lane.enter(1, &mut 0, Waker::noop())).collect();
        let begun = std::cell::Cell::new(false);
        let call = pin!(async {
            begun.set(true);
            pending::<()>().await;
        });
        one.restrain();
        let mut call = pin!(one.oversee(call));
        assert_eq!(poll_immediate(&mut call).await, None);
        assert!(!begun.get(), "the lane is full");
        piece(&other, || ()).await;
        let places = others.len();
        drop(others);
        assert_eq!(poll_immediate(&mut call).await, None);
        assert!(begun.get());
        let others = std::iter::from_fn(|| lane.enter(1, &mut 0, Waker::noop()));
        assert_eq!(others.collect::<Vec<_>>().len(), places, "it waits for something else");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn while_a_piece_is_in_the_lane_another_thread_does_what_its_worker_has_to() {
        let (_ticker, [one, other]) = two();
        piece(&other, || ()).await;
        one.turns.lane.tick();
        one.restrain();
        let (began, begins) = oneshot::channel();
        let (say, hear) = mpsc::channel();
        let call = tokio::spawn(async move {
            let listen = move || {
                began.send(()).unwrap();
                hear.recv_timeout(Duration::from_secs(60)).unwrap();
            };
            piece(&one, listen).await;
        });
        begins.await.unwrap();
        tokio::spawn(async move { say.send(()) }).await.unwrap().unwrap();
        call.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_takes_long_alone_needs_no_lane() {
        let (_ticker, [one, _]) = two();
        let lane = &one.turns.lane;
        piece(&one, || ()).await;
        lane.tick();
        let _others: Vec<_> = std::iter::from_fn(|| lane.enter(1, &mut 0, Waker::noop())).collect();
        one.restrain();
        assert_eq!(poll_immediate(piece(&one, || ())).await, Some(()));
    }

    #[test]
    fn whoever_is_quick_again_leaves_the_lane() {
        let (_ticker, [one, _]) = two();
        one.restrain();
        assert!(one.is_restrained());
        one.restrained.store(1, Ordering::Relaxed);
        while one.now() <= 1 {}
        assert!(!one.is_restrained());
    }
}
