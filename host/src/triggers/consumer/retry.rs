//! What comes next of a batch that did not go through at once: splitting, attempts, back-off.
//!
//! Nothing here waits or writes; the partition does what the plan says.
//!
//! ```text
//!  whole batch     0 ━━━━━━━━━━━━━━━━━━━━━━━━━ n
//!  failed at i     0 ━━━━ i │ i+1 ━━━━━━━━━━━━ n     before i: done, or once more if rolled back
//!                           ╰ alone, after a pause; a dead letter when its attempts are used up
//!  trapped         0 ━━━━━━━━━━━━ ┃ ━━━━━━━━━━ n     halves, until one message is alone
//! ```

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use crate::manifest::Retry;

/// The longest pause a plugin may ask for: the partition stands still meanwhile.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// What to do with some messages of a batch, which are told by their indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Which messages, never none.
    pub range: Range<u32>,
    /// What to do.
    pub deed: Deed,
}

/// What to do with messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Hand them over after this pause.
    Hand(Duration),
    /// Send the one message to the dead-letter topic.
    Bury {
        /// Why.
        reason: String,
        /// How often it was handed over.
        attempts: u32,
    },
}

/// What a failed message gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sentence {
    /// Another attempt, after this many milliseconds or the back-off of the manifest.
    Retry(Option<u64>),
    /// The dead-letter topic now.
    DeadLetter,
}

/// What is left to do of one batch, in order.
#[derive(Debug)]
pub struct Plan {
    /// The next one last.
    pieces: Vec<Piece>,
    /// By index; of messages that failed and are not done yet.
    attempts: BTreeMap<u32, u32>,
}

impl Plan {
    /// The plan for a fresh batch: all of it, at once.
    pub fn new(count: u32) -> Self {
        let mut plan = Self { pieces: Vec::new(), attempts: BTreeMap::new() };
        plan.push(0..count, Deed::Hand(Duration::ZERO));
        plan
    }

    /// The next piece; `None` when the batch is done.
    pub fn next(&self) -> Option<&Piece> {
        self.pieces.last()
    }

    /// The next piece is done.
    pub fn done(&mut self) {
        if let Some(piece) = self.pieces.pop() {
            self.attempts.retain(|index, _| !piece.range.contains(index));
        }
    }

    /// A message of the next piece failed. With `rolled_back` those before it must come once
    /// more, else they are done.
    pub fn failed(
        &mut self,
        index: u32,
        reason: String,
        sentence: Sentence,
        rolled_back: bool,
        retry: &Retry,
    ) {
        let Some(Piece { range, .. }) = self.pieces.pop() else { return };
        let attempts = self.attempts.entry(index).or_default();
        *attempts += 1;
        let attempts = *attempts;
        let deed = match sentence {
            Sentence::Retry(pause) if attempts < retry.attempts => {
                let pause = pause.map(|ms| Duration::from_millis(ms).min(MAX_PAUSE));
                let from_manifest =
                    || pause_before(attempts, retry.backoff.into(), retry.max_backoff.into());
                Deed::Hand(pause.unwrap_or_else(from_manifest))
            }
            _ => Deed::Bury { reason, attempts },
        };
        self.push(index + 1..range.end, Deed::Hand(Duration::ZERO));
        self.push(index..index + 1, deed);
        if rolled_back {
            self.push(range.start..index, Deed::Hand(Duration::ZERO));
        } else {
            self.attempts.retain(|at, _| *at >= index);
        }
    }

    /// Halve the next piece, which has more than one message: one of them is at fault.
    pub fn halve(&mut self) {
        let Some(Piece { range, .. }) = self.pieces.pop() else { return };
        let middle = range.start + (range.end - range.start) / 2;
        self.push(middle..range.end, Deed::Hand(Duration::ZERO));
        self.push(range.start..middle, Deed::Hand(Duration::ZERO));
    }

    /// The pause of the next piece is over.
    pub fn waited(&mut self) {
        if let Some(Piece { deed: Deed::Hand(pause), .. }) = self.pieces.last_mut() {
            *pause = Duration::ZERO;
        }
    }

    fn push(&mut self, range: Range<u32>, deed: Deed) {
        if !range.is_empty() {
            self.pieces.push(Piece { range, deed });
        }
    }
}

/// The pause after the attempt with this number: it doubles each time up to `most`, and a random
/// half of it is left out, so that what failed together does not come again together.
pub fn pause_before(attempts: u32, first: Duration, most: Duration) -> Duration {
    let doubled = first.saturating_mul(1u32 << attempts.saturating_sub(1).min(20));
    doubled.min(most).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// The pauses while the host itself cannot go on: the log or a database is away, all instances
/// are taken. No message is to blame, so there is no end to them; the log tells of the first and
/// of the end.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
    since: Option<Instant>,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(5);
    const MOST: Duration = Duration::from_secs(10);

    /// Whether nothing has failed since it last went well.
    pub fn is_fresh(&self) -> bool {
        self.since.is_none()
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        self.since.get_or_insert_with(Instant::now);
        self.failures = self.failures.saturating_add(1);
        pause_before(self.failures, Self::FIRST, Self::MOST)
    }

    /// It went well; for how long it had not, if it had not.
    pub fn reset(&mut self) -> Option<Duration> {
        self.failures = 0;
        self.since.take().map(|since| since.elapsed())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ranges(plan: &Plan) -> Vec<Range<u32>> {
        plan.pieces.iter().rev().map(|piece| piece.range.clone()).collect()
    }

    #[test]
    fn messages_before_the_failed_one_come_again_only_when_they_were_rolled_back() {
        let retry = Retry::default();
        let mut plan = Plan::new(10);
        plan.failed(4, "no".into(), Sentence::Retry(None), false, &retry);
        assert_eq!(ranges(&plan), [4..5, 5..10]);
        let mut plan = Plan::new(10);
        plan.failed(4, "no".into(), Sentence::Retry(None), true, &retry);
        assert_eq!(ranges(&plan), [0..4, 4..5, 5..10]);
    }

    #[test]
    fn a_message_is_buried_once_its_attempts_are_used_up() {
        let retry = Retry { attempts: 3, ..Retry::default() };
        let mut plan = Plan::new(1);
        for _ in 0..2 {
            plan.failed(0, "no".into(), Sentence::Retry(Some(7)), false, &retry);
            assert_eq!(plan.next().unwrap().deed, Deed::Hand(Duration::from_millis(7)));
        }
        plan.failed(0, "no".into(), Sentence::Retry(None), false, &retry);
        assert_eq!(plan.next().unwrap().deed, Deed::Bury { reason: "no".into(), attempts: 3 });
        plan.done();
        assert!(plan.next().is_none() && plan.attempts.is_empty());
    }

    #[test]
    fn attempts_are_remembered_while_the_messages_before_come_again() {
        let retry = Retry { attempts: 2, ..Retry::default() };
        let mut plan = Plan::new(3);
        plan.failed(2, "no".into(), Sentence::Retry(None), true, &retry);
        plan.failed(0, "also".into(), Sentence::DeadLetter, true, &retry);
        assert_eq!(ranges(&plan), [0..1, 1..2, 2..3]);
        plan.done();
        plan.done();
        plan.failed(2, "no".into(), Sentence::Retry(None), true, &retry);
        assert_eq!(plan.next().unwrap().deed, Deed::Bury { reason: "no".into(), attempts: 2 });
    }

    #[test]
    fn halving_ends_at_single_messages_in_order() {
        let mut plan = Plan::new(5);
        let mut order = Vec::new();
        while let Some(piece) = plan.next() {
            let range = piece.range.clone();
            if range.len() > 1 {
                plan.halve();
            } else {
                order.push(range.start);
                plan.done();
            }
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(1));
        for (attempt, expected) in [(1, 100), (2, 200), (3, 400), (9, 1000), (u32::MAX, 1000)] {
            let expected = Duration::from_millis(expected);
            let pause = pause_before(attempt, first, most);
            assert!(pause >= expected / 2 && pause <= expected, "{attempt}: {pause:?}");
        }
    }
}
