//! The lane: one core fewer than there are, for those whose calls take long.
//!
//! ```text
//!  a piece of a call ─▶ enter ─▶ is polled ─▶ leave ─▶ the next one in line is woken
//!                         └─ all places taken: waits in line
//! ```
//!
//! A place is never handed to a call that waits, but taken by whoever is polled while there is one:
//! a body that a slow client does not read may not be polled for minutes. So a wake-up may come to
//! nothing; the ticker wakes the next one then.
//!
//! It is only needed while somebody runs whose calls are short: among themselves, those that take
//! long share the machine.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
    time::Instant,
};

use super::engine::CALM;

/// Identifies a generation, never 0.
pub type Who = usize;

/// Several generations.
const MANY: Who = usize::MAX;

/// See the module.
pub struct Lane {
    width: usize,
    line: Mutex<Line>,
    /// Who has run since the last tick without being long: nobody (0), one, or [`MANY`].
    seen: AtomicUsize,
    /// Who has done so of late.
    others: AtomicUsize,
}

/// What a tick has found.
pub struct Ticked {
    /// Somebody ran since the one before who is not long.
    pub someone_ran: bool,
    /// Somebody stands in line.
    pub someone_waits: bool,
}

#[derive(Default)]
struct Line {
    /// Pieces under way.
    inside: usize,
    /// The generations that wait, the next one to be served at the front.
    generations: VecDeque<Generation>,
    last_ticket: u64,
    /// Who was seen in the window that ended last, and in this one.
    windows: [Who; 2],
    window_began: Option<Instant>,
}

/// The pieces of a generation that wait, in the order of their tickets; at least one.
struct Generation {
    who: Who,
    waiting: VecDeque<(u64, Waker)>,
}

impl Default for Lane {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::new((cores - 1).max(1))
    }
}

impl Lane {
    /// A lane with so many places.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            line: Mutex::default(),
            seen: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
        }
    }

    /// Somebody runs who is not long.
    pub fn see(&self, who: Who) {
        // Looked at first: what many cores only read costs them nothing.
        let seen = self.seen.load(Ordering::Relaxed);
        if both(seen, who) != seen {
            self.seen.store(both(seen, who), Ordering::Relaxed);
        }
    }

    /// Whether there are others than this one, to whom it leaves a core.
    pub fn is_shared(&self, who: Who) -> bool {
        let others = self.others.load(Ordering::Relaxed);
        others != 0 && others != who
    }

    /// Take a place if there is one; else stand in line, be woken later, and try again. `ticket`
    /// is that of the caller's place in line, 0 without one.
    pub fn enter(&self, who: Who, ticket: &mut u64, waker: &Waker) -> Option<Inside<'_>> {
        let mut line = self.line();
        if line.inside < self.width {
            line.inside += 1;
            line.leave(who, mem::take(ticket));
            return Some(Inside(self));
        }
        line.wait(who, ticket, waker);
        None
    }

    /// Stand in line no longer.
    pub fn give_up(&self, who: Who, ticket: &mut u64) {
        if *ticket != 0 {
            self.line().leave(who, mem::take(ticket));
        }
    }

    /// A tick of the clock.
    pub fn tick(&self) -> Ticked {
        let now = Instant::now();
        let mut line = self.line();
        let seen = self.seen.swap(0, Ordering::Relaxed);
        let began = *line.window_began.get_or_insert(now);
        if now - began > CALM {
            line.windows = [line.windows[1], 0];
            line.window_began = Some(now);
        }
        line.windows[1] = both(line.windows[1], seen);
        self.others.store(both(line.windows[0], line.windows[1]), Ordering::Relaxed);
        let next = if line.inside < self.width { line.next() } else { None };
        let someone_waits = next.is_some() || !line.generations.is_empty();
        drop(line);
        if let Some(waker) = next {
            waker.wake();
        }
        Ticked { someone_ran: seen != 0, someone_waits }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Take the next one out of the line, from each generation in turn: many pieces of one plugin
    /// pass no more often than one of another.
    fn next(&mut self) -> Option<Waker> {
        let mut generation = self.generations.pop_front()?;
        let (_, waker) = generation.waiting.pop_front()?;
        if !generation.waiting.is_empty() {
            self.generations.push_back(generation);
        }
        Some(waker)
    }

    fn wait(&mut self, who: Who, ticket: &mut u64, waker: &Waker) {
        if let Some((generation, at)) = self.find(who, *ticket) {
            self.generations[generation].waiting[at].1.clone_from(waker);
            return;
        }
        self.last_ticket += 1;
        *ticket = self.last_ticket;
        let waits = (*ticket, waker.clone());
        match self.generations.iter_mut().find(|generation| generation.who == who) {
            Some(generation) => generation.waiting.push_back(waits),
            None => self.generations.push_back(Generation { who, waiting: [waits].into() }),
        }
    }

    /// Take this one out of the line, if it is still there.
    fn leave(&mut self, who: Who, ticket: u64) {
        let Some((generation, at)) = self.find(who, ticket) else { return };
        self.generations[generation].waiting.remove(at);
        if self.generations[generation].waiting.is_empty() {
            self.generations.remove(generation);
        }
    }

    fn find(&self, who: Who, ticket: u64) -> Option<(usize, usize)> {
        if ticket == 0 {
            return None;
        }
        let generation = self.generations.iter().position(|generation| generation.who == who)?;
        let waiting = &self.generations[generation].waiting;
        let at = waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        Some((generation, at))
    }
}

/// A place in the lane, until it is dropped.
pub struct Inside<'a>(&'a Lane);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line();
        line.inside -= 1;
        let next = line.next();
        drop(line);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Who is meant by the two together.
fn both(one: Who, other: Who) -> Who {
    match (one, other) {
        (0, who) | (who, 0) => who,
        (one, other) if one == other => one,
        _ => MANY,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        task::Wake,
        time::Duration,
    };

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A piece that wants to enter.
    struct Piece<'a> {
        lane: &'a Lane,
        who: Who,
        ticket: u64,
        woken: Arc<Count>,
    }

    impl<'a> Piece<'a> {
        fn new(lane: &'a Lane, who: Who) -> Self {
            Self { lane, who, ticket: 0, woken: Arc::default() }
        }

        fn enter(&mut self) -> Option<Inside<'a>> {
            self.lane.enter(self.who, &mut self.ticket, &self.woken.clone().into())
        }

        fn woken(&self) -> u32 {
            self.woken.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn the_next_one_is_woken_when_a_place_is_free() {
        let lane = Lane::new(1);
        let (mut one, mut other) = (Piece::new(&lane, 1), Piece::new(&lane, 2));
        let inside = one.enter().unwrap();
        assert!(other.enter().is_none());
        assert!(other.enter().is_none(), "asked again, it stands in line once");
        drop(inside);
        assert_eq!(other.woken(), 1);
        drop(other.enter().unwrap());
        assert!(lane.line().generations.is_empty());
    }

    #[test]
    fn many_pieces_of_one_generation_pass_no_more_often_than_one_of_another() {
        let lane = Lane::new(1);
        let inside = Piece::new(&lane, 1).enter().unwrap();
        let mut pieces = [1, 1, 1, 2, 2, 3].map(|who| Piece::new(&lane, who));
        for piece in &mut pieces {
            assert!(piece.enter().is_none());
        }
        drop(inside);
        let mut passed = Vec::new();
        while let Some(next) = pieces.iter_mut().position(|piece| piece.woken() > 0) {
            pieces[next].woken = Arc::default();
            passed.push(pieces[next].who);
            drop(pieces[next].enter().unwrap());
        }
        assert_eq!(passed, [1, 2, 3, 1, 2, 1]);
    }

    #[test]
    fn one_that_is_woken_and_does_not_come_holds_up_nobody() {
        let lane = Lane::new(1);
        let inside = Piece::new(&lane, 1).enter().unwrap();
        let (mut asleep, mut awake) = (Piece::new(&lane, 1), Piece::new(&lane, 2));
        assert!(asleep.enter().is_none() && awake.enter().is_none());
        drop(inside);
        assert_eq!((asleep.woken(), awake.woken()), (1, 0));
        assert!(lane.tick().someone_waits);
        assert_eq!(awake.woken(), 1);
        assert!(awake.enter().is_some());
        assert!(!lane.tick().someone_waits);
        assert!(asleep.enter().is_some(), "it comes late");
    }

    #[test]
    fn who_gives_up_is_not_woken() {
        let lane = Lane::new(1);
        let inside = Piece::new(&lane, 1).enter().unwrap();
        let (mut gone, mut next) = (Piece::new(&lane, 1), Piece::new(&lane, 1));
        assert!(gone.enter().is_none() && next.enter().is_none());
        lane.give_up(gone.who, &mut gone.ticket);
        drop(inside);
        assert_eq!((gone.woken(), next.woken()), (0, 1));
    }

    #[test]
    fn it_is_shared_for_as_long_as_others_run() {
        let lane = Lane::new(1);
        lane.see(1);
        lane.tick();
        assert!(!lane.is_shared(1), "it is alone");
        assert!(lane.is_shared(2));
        lane.see(2);
        lane.tick();
        assert!(lane.is_shared(1) && lane.is_shared(2));
        let began = Instant::now();
        while lane.is_shared(1) {
            lane.see(1);
            lane.tick();
            thread::sleep(Duration::from_millis(5));
        }
        assert!(began.elapsed() >= CALM, "{:?}", began.elapsed());
    }
}
