//! Which frames all listeners have, and how long they took to the last of them.

use std::{collections::VecDeque, time::Duration};

/// Counts frames. Each listener hears them in their order, so all have a frame only when all have
/// those before it.
#[derive(Debug)]
pub struct Tally {
    listeners: u32,
    /// The number of the first frame that not all have.
    first: u64,
    /// How many have it and those behind it.
    counts: VecDeque<u32>,
    /// How long each took that all have.
    took: Vec<Duration>,
}

impl Tally {
    /// Nothing was published to so many.
    pub fn new(listeners: u32) -> Self {
        Self { listeners, first: 0, counts: VecDeque::new(), took: Vec::new() }
    }

    /// So many more frames are on their way; the number of the first.
    pub fn publish(&mut self, count: u64) -> u64 {
        let first = self.first + self.waiting();
        self.counts.extend((0..count).map(|_| 0));
        first
    }

    /// The frames that not all have.
    pub fn waiting(&self) -> u64 {
        self.counts.len() as u64
    }

    /// A listener has a frame; `age` is asked how old it is when it was the last one. `false`: no
    /// such frame is on its way.
    pub fn hear(&mut self, number: u64, age: impl FnOnce() -> Duration) -> bool {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let Some(count) = index.and_then(|index| self.counts.get_mut(index)) else { return false };
        *count += 1;
        if *count == self.listeners {
            self.counts.pop_front();
            self.first += 1;
            self.took.push(age());
        }
        true
    }

    /// How long the frames took that all have, since this was last asked, the shortest first.
    pub fn take(&mut self) -> Vec<Duration> {
        let mut took = std::mem::take(&mut self.took);
        took.sort_unstable();
        took
    }
}

/// What so many of 100 stay below; zero of none.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_done_when_the_last_listener_has_it() {
        let mut tally = Tally::new(2);
        let ms = Duration::from_millis;
        assert_eq!(tally.publish(2), 0);
        assert!(tally.hear(0, || ms(1)) && tally.hear(1, || ms(2)));
        assert_eq!(tally.waiting(), 2);
        assert!(tally.hear(0, || ms(3)));
        assert_eq!((tally.waiting(), tally.publish(1)), (1, 2));
        assert!(tally.hear(1, || ms(2)));
        assert_eq!(tally.take(), [ms(2), ms(3)]);
        assert!(tally.take().is_empty());
    }

    #[test]
    fn frames_that_nobody_sent_and_frames_that_all_had_are_told() {
        let mut tally = Tally::new(1);
        assert!(!tally.hear(0, Duration::default));
        tally.publish(1);
        assert!(tally.hear(0, Duration::default));
        assert!(!tally.hear(0, Duration::default));
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
