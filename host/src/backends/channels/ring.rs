//! The last frames of a channel, each in its place, in a bounded space.
//!
//! A ring knows nothing of who reads: a reader is a cursor, the place of the frame it takes next,
//! and finds out at its next read how many frames it came too late for. Places have no gaps and are
//! this ring's alone. The numbers that frames carry only grow: of a channel that several nodes
//! share they are the same on each of them, and have gaps.

use std::{collections::VecDeque, sync::Arc};

use super::frame::Frame;

/// What a ring keeps at most. The newest frame is always kept, however large: whoever makes
/// frames bounds their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In frames; at least 1.
    pub frames: usize,
    /// In bytes of payload.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frames: 256, bytes: 1 << 20 }
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next frame that is pushed.
    Next,
    /// After the frame with this number: the reader has it.
    Sequence(u64),
    /// With the last so many frames.
    Recent(usize),
    /// With as many of the last frames as have so many bytes of payload together at most.
    Bytes(usize),
}

/// Whether a reader gets all that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// It does.
    Whole,
    /// Frames after the one that the reader has may be gone, or that frame was never one of this
    /// ring: the reader gets all that there is.
    Gone,
}

/// How much to read at once.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    /// The most frames.
    pub frames: usize,
    /// After so many bytes of payload no further frame is taken.
    pub bytes: usize,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The place of the first frame that was read.
    pub from: u64,
    /// The cursor for the next read.
    pub next: u64,
    /// The oldest frame in the ring; `next` if there is none.
    pub oldest: u64,
    /// The frames between the cursor and `from`, which are gone.
    pub lost: u64,
    /// Whether the ring has more.
    pub more: bool,
}

/// The last frames of a channel.
#[derive(Debug)]
pub struct Ring {
    frames: VecDeque<Arc<Frame>>,
    /// Bytes of payload in `frames`.
    bytes: usize,
    /// The place that the next frame gets.
    next: u64,
    /// All frames up to this number are gone, or were before this ring.
    passed: u64,
    limits: Limits,
}

impl Ring {
    /// An empty ring, whose first frame gets the place `first`.
    pub fn new(limits: Limits, first: u64) -> Self {
        let passed = first.saturating_sub(1);
        Self { frames: VecDeque::new(), bytes: 0, next: first, passed, limits }
    }

    /// The place that the next frame gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The place of the oldest frame; [`Ring::next`] if there is none.
    pub fn oldest(&self) -> u64 {
        self.next - self.frames.len() as u64
    }

    /// Whether the last so many frames are half of what may be kept, or more.
    pub fn is_half(&self, frames: u64) -> bool {
        let kept = self.frames.len().max(1) as u64;
        let bytes = self.bytes as u64 * frames.min(kept) / kept;
        frames * 2 >= self.limits.frames as u64 || bytes * 2 >= self.limits.bytes as u64
    }

    /// Keep a frame, and let the oldest go. Those are handed back, so that they are freed where no
    /// lock is held.
    ///
    /// A number that is not above the last one is the first of another count, as when a topic was
    /// made anew: what was kept until then goes.
    pub fn push(&mut self, frame: Arc<Frame>, gone: &mut Vec<Arc<Frame>>) {
        let new = number(&frame);
        if new <= self.newest() || self.frames.is_empty() {
            gone.extend(self.frames.drain(..));
            (self.bytes, self.passed) = (0, new.saturating_sub(1));
        }
        self.bytes += frame.payload().len();
        self.frames.push_back(frame);
        self.next += 1;
        while self.is_over() {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.payload().len();
            self.passed = number(&oldest);
            gone.push(oldest);
        }
    }

    fn is_over(&self) -> bool {
        let over = self.frames.len() > self.limits.frames || self.bytes > self.limits.bytes;
        over && self.frames.len() > 1
    }

    /// The cursor of a new reader.
    pub fn start(&self, start: Start) -> (u64, History) {
        match start {
            Start::Next => (self.next, History::Whole),
            Start::Sequence(last) => self.resume(last),
            Start::Recent(frames) => {
                let frames = frames.min(self.frames.len());
                (self.next - frames as u64, History::Whole)
            }
            Start::Bytes(most) => (self.next - self.fitting(most) as u64, History::Whole),
        }
    }

    fn resume(&self, last: u64) -> (u64, History) {
        if (self.passed..=self.newest()).contains(&last) {
            let had = self.frames.partition_point(|frame| number(frame) <= last);
            (self.oldest() + had as u64, History::Whole)
        } else {
            (self.oldest(), History::Gone)
        }
    }

    /// The last number; without a frame, that up to which all are gone.
    fn newest(&self) -> u64 {
        self.frames.back().map_or(self.passed, |frame| number(frame))
    }

    /// How many of the last frames fit in so many bytes.
    fn fitting(&self, most: usize) -> usize {
        let mut left = most;
        let fits = |frame: &&Arc<Frame>| {
            let rest = left.checked_sub(frame.payload().len());
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        self.frames.iter().rev().take_while(fits).count()
    }

    /// Append the frames from a cursor on to `into`.
    pub fn read(&self, cursor: u64, portion: Portion, into: &mut Vec<Arc<Frame>>) -> Read {
        let from = cursor.clamp(self.oldest(), self.next);
        let skipped = usize::try_from(from - self.oldest()).unwrap_or(usize::MAX);
        let (mut next, mut bytes) = (from, 0);
        for frame in self.frames.iter().skip(skipped).take(portion.frames) {
            if bytes >= portion.bytes {
                break;
            }
            bytes += frame.payload().len();
            next += 1;
            into.push(frame.clone());
        }
        let lost = from.saturating_sub(cursor);
        Read { from, next, oldest: self.oldest(), lost, more: next < self.next }
    }
}

/// A frame's number: whoever pushes gives it one.
fn number(frame: &Frame) -> u64 {
    frame.sequence().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Portion = Portion { frames: usize::MAX, bytes: usize::MAX };

    fn push(ring: &mut Ring, size: usize) -> Vec<Arc<Frame>> {
        push_as(ring, ring.next(), size)
    }

    fn push_as(ring: &mut Ring, number: u64, size: usize) -> Vec<Arc<Frame>> {
        let (mut gone, mut frame) = (vec![], Frame::binary(vec![0; size]));
        frame.take(number, &Arc::default());
        ring.push(Arc::new(frame), &mut gone);
        gone
    }

    fn ring(frames: usize, bytes: usize, sizes: &[usize]) -> Ring {
        let mut ring = Ring::new(Limits { frames, bytes }, 100);
        for size in sizes {
            push(&mut ring, *size);
        }
        ring
    }

    fn sizes(ring: &Ring, cursor: u64, portion: Portion) -> (Vec<usize>, Read) {
        let mut frames = vec![];
        let read = ring.read(cursor, portion, &mut frames);
        (frames.iter().map(|frame| frame.payload().len()).collect(), read)
    }

    #[test]
    fn the_oldest_go_when_frames_or_bytes_are_too_many_and_the_newest_stays() {
        assert_eq!(sizes(&ring(2, 100, &[1, 2, 3]), 100, ALL).0, [2, 3]);
        assert_eq!(sizes(&ring(9, 100, &[50, 40, 20]), 100, ALL).0, [40, 20]);
        assert_eq!(sizes(&ring(9, 100, &[50, 500]), 100, ALL).0, [500]);
        assert_eq!(push(&mut ring(2, 100, &[1, 2]), 3).len(), 1);
    }

    #[test]
    fn a_ring_is_half_by_frames_or_by_bytes() {
        let ring = ring(10, 1000, &[10; 8]);
        assert_eq!([4, 5].map(|frames| ring.is_half(frames)), [false, true]);
        let ring = self::ring(1000, 100, &[10; 8]);
        assert_eq!([4, 5].map(|frames| ring.is_half(frames)), [false, true]);
    }

    #[test]
    fn a_reader_that_is_late_is_told_how_many_it_lost() {
        let ring = ring(2, 100, &[1, 2, 3, 4]);
        let (found, read) = sizes(&ring, 101, ALL);
        assert_eq!(found, [3, 4]);
        assert_eq!(read, Read { from: 102, next: 104, oldest: 102, lost: 1, more: false });
        let (_, read) = sizes(&ring, 104, ALL);
        assert_eq!((read.from, read.next, read.lost, read.more), (104, 104, 0, false));
    }

    #[test]
    fn a_portion_ends_at_its_frames_or_after_the_frame_that_reaches_its_bytes() {
        let ring = ring(9, 100, &[10, 10, 10, 10]);
        let (found, read) = sizes(&ring, 100, Portion { frames: 3, bytes: 99 });
        assert_eq!((found.len(), read.next, read.more), (3, 103, true));
        let (found, read) = sizes(&ring, 103, Portion { frames: 3, bytes: 1 });
        assert_eq!((found.len(), read.next, read.more), (1, 104, false));
        assert_eq!(sizes(&ring, 100, Portion { frames: 9, bytes: 15 }).0.len(), 2);
    }

    #[test]
    fn a_reader_starts_where_it_asks_to() {
        let ring = ring(3, 100, &[9, 10, 20, 30]);
        assert_eq!(ring.start(Start::Next), (104, History::Whole));
        assert_eq!(ring.start(Start::Recent(2)), (102, History::Whole));
        assert_eq!(ring.start(Start::Recent(9)), (101, History::Whole));
        assert_eq!(ring.start(Start::Bytes(50)), (102, History::Whole));
        assert_eq!(ring.start(Start::Bytes(49)), (103, History::Whole));
        assert_eq!(ring.start(Start::Bytes(29)), (104, History::Whole));
    }

    #[test]
    fn a_reader_that_resumes_learns_whether_frames_are_gone() {
        let ring = ring(3, 100, &[9, 10, 20, 30]);
        assert_eq!(ring.start(Start::Sequence(103)), (104, History::Whole));
        assert_eq!(ring.start(Start::Sequence(101)), (102, History::Whole));
        assert_eq!(ring.start(Start::Sequence(100)), (101, History::Whole));
        assert_eq!(ring.start(Start::Sequence(99)), (101, History::Gone));
        assert_eq!(ring.start(Start::Sequence(104)), (101, History::Gone));
        assert_eq!(ring.start(Start::Sequence(u64::MAX)), (101, History::Gone));
    }

    #[test]
    fn a_reader_resumes_by_numbers_with_gaps() {
        let mut ring = Ring::new(Limits { frames: 3, bytes: 100 }, 100);
        for number in [3, 7, 20, 21] {
            push_as(&mut ring, number, 1);
        }
        // 3 has gone; the others are in the places 101 to 103.
        for (last, place) in [(3, 101), (6, 101), (7, 102), (19, 102), (20, 103), (21, 104)] {
            assert_eq!(ring.start(Start::Sequence(last)), (place, History::Whole), "{last}");
        }
        for last in [0, 2, 22, u64::MAX] {
            assert_eq!(ring.start(Start::Sequence(last)), (101, History::Gone), "{last}");
        }
    }

    #[test]
    fn numbers_that_begin_again_end_what_was_kept() {
        let mut ring = Ring::new(Limits { frames: 9, bytes: 100 }, 100);
        for number in [50, 60] {
            push_as(&mut ring, number, 1);
        }
        assert_eq!(push_as(&mut ring, 1, 5).len(), 2);
        push_as(&mut ring, 2, 6);
        assert_eq!(
            sizes(&ring, 100, ALL),
            (vec![5, 6], Read { from: 102, next: 104, oldest: 102, lost: 2, more: false })
        );
        assert_eq!(ring.start(Start::Sequence(1)), (103, History::Whole));
    }

    proptest! {
        #[test]
        fn a_ring_keeps_the_end_of_what_was_pushed(
            frames in 1_usize..8,
            bytes in 0_usize..64,
            pushed in proptest::collection::vec(0_usize..32, 0..40),
            cursor in 90_u64..150,
        ) {
            let ring = ring(frames, bytes, &pushed);
            let kept = sizes(&ring, 0, ALL).0;
            prop_assert!(pushed.ends_with(&kept));
            prop_assert!(kept.len() <= frames);
            prop_assert!(kept.iter().sum::<usize>() <= bytes || kept.len() == 1);
            let (found, read) = sizes(&ring, cursor, ALL);
            prop_assert!(kept.ends_with(&found));
            prop_assert_eq!(read.next, 100 + pushed.len() as u64);
            prop_assert_eq!(read.next - read.from, found.len() as u64);
            prop_assert_eq!(read.lost, read.from.saturating_sub(cursor));
        }
    }
}
