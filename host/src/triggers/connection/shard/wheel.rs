//! When to look at which connection: a wheel with a slot for each tick to come.
//!
//! A connection keeps the tick at which it is looked at next. Nothing is taken out of the wheel:
//! an entry that its connection does not know any more is passed over when its turn comes.

use std::time::{Duration, Instant};

/// How long a tick is.
pub const TICK: Duration = Duration::from_millis(200);
/// How far the wheel reaches, in ticks: 51 s. What is due later is looked at then, and put off.
const SLOTS: usize = 256;

/// The number of whole ticks that last so long at least; 1 at least.
pub fn ticks(time: Duration) -> u32 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    // One more, as the present tick has partly gone by.
    u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(1)
}

/// The time in ticks from 1 on, so that 0 stands for never.
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock at 1.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The present tick.
    pub fn now(&self) -> u32 {
        let ticks = self.start.elapsed().as_millis() / TICK.as_millis();
        // After 27 years time stands still, and no connection is late any more.
        u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// How long it is until a tick begins.
    pub fn until(&self, tick: u32) -> Duration {
        (TICK * tick.saturating_sub(1)).saturating_sub(self.start.elapsed())
    }
}

/// Keys by the tick at which they are due.
pub struct Wheel {
    slots: Vec<Vec<Entry>>,
    /// All entries up to this tick have been taken.
    turned: u32,
    entries: usize,
}

/// A key that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose turn it is.
    pub key: u32,
    /// What [`Wheel::set`] answered.
    pub due: u32,
}

impl Wheel {
    /// An empty wheel that has turned to `now`.
    pub fn new(now: u32) -> Self {
        Self { slots: vec![vec![]; SLOTS], turned: now, entries: 0 }
    }

    /// Whether nothing will be due.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Have a key taken at a tick, or as close to it as the wheel reaches; the answer is when.
    pub fn set(&mut self, key: u32, due: u32) -> u32 {
        let last = self.turned.saturating_add(SLOTS as u32 - 1);
        let due = due.clamp(self.turned.saturating_add(1), last);
        self.slots[due as usize % SLOTS].push(Entry { key, due });
        self.entries += 1;
        due
    }

    /// Take all entries up to a tick.
    pub fn turn(&mut self, now: u32, taken: &mut Vec<Entry>) {
        while self.turned < now {
            if self.entries == 0 {
                self.turned = now;
                return;
            }
            self.turned += 1;
            let slot = &mut self.slots[self.turned as usize % SLOTS];
            self.entries -= slot.len();
            taken.append(slot);
            // A slot that many shared once does not keep its room.
            slot.shrink_to(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(wheel: &mut Wheel, now: u32) -> Vec<u32> {
        let mut taken = vec![];
        wheel.turn(now, &mut taken);
        taken.iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn keys_come_when_they_are_due_and_once() {
        let mut wheel = Wheel::new(1);
        assert_eq!((wheel.set(7, 5), wheel.set(8, 3), wheel.set(9, 5)), (5, 3, 5));
        assert!(turn(&mut wheel, 2).is_empty());
        assert_eq!(turn(&mut wheel, 4), [8]);
        assert_eq!(turn(&mut wheel, 90), [7, 9]);
        assert!(wheel.is_empty());
        assert!(turn(&mut wheel, 1000).is_empty());
        assert_eq!(wheel.set(1, 1001), 1001);
    }

    #[test]
    fn what_is_late_or_far_off_comes_as_close_as_it_can() {
        let mut wheel = Wheel::new(100);
        assert_eq!((wheel.set(1, 7), wheel.set(2, u32::MAX)), (101, 100 + SLOTS as u32 - 1));
        assert_eq!(turn(&mut wheel, 101), [1]);
        assert_eq!(turn(&mut wheel, u32::MAX), [2]);
    }

    #[test]
    fn a_time_is_never_shorter_in_ticks() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(TICK), 2);
        assert_eq!(ticks(TICK + Duration::from_nanos(1)), 3);
        assert_eq!(ticks(Duration::MAX), u32::MAX);
    }
}
