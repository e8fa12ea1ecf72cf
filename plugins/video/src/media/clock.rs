//! Times that go on: RTMP counts 32 bits of milliseconds from anywhere, goes round after 49 days, and
//! a publisher's clock may jump.

use serde::{Deserialize, Serialize};

/// How far a timestamp may lie before the latest one: audio and video do not come in one order.
const BACK_MS: i64 = 2_000;
/// How far it may lie behind.
const FORWARD_MS: i64 = 10_000;

/// Turns the timestamps of a stream, audio and video together, into times from 0 on.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// The timestamp that belongs to `time_ms`.
    timestamp: u32,
    /// The latest time.
    time_ms: i64,
}

impl Clock {
    /// A clock that has a time for a timestamp, and goes on from there.
    pub fn new(timestamp: u32, time_ms: i64) -> Self {
        Self { timestamp, time_ms }
    }

    /// The time of a timestamp; `None` if it jumped.
    pub fn time(&mut self, timestamp: u32) -> Option<i64> {
        let step = i64::from(timestamp.wrapping_sub(self.timestamp).cast_signed());
        if !(-BACK_MS..=FORWARD_MS).contains(&step) {
            return None;
        }
        let time_ms = self.time_ms + step;
        if step > 0 {
            *self = Self { timestamp, time_ms };
        }
        Some(time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_timestamps_go_round() {
        let mut clock = Clock::new(u32::MAX - 10, 0);
        assert_eq!(clock.time(u32::MAX), Some(10));
        assert_eq!(clock.time(20), Some(31));
        assert_eq!(clock.time(u32::MAX), Some(10));
    }

    #[test]
    fn a_jump_is_told_from_an_order_that_is_not_kept() {
        let mut clock = Clock::new(100_000, 7);
        assert_eq!(clock.time(98_000), Some(7 - 2_000));
        assert_eq!(clock.time(97_999), None);
        assert_eq!(clock.time(110_001), None);
        assert_eq!(clock.time(110_000), Some(10_007));
        assert_eq!(clock.time(110_000u32.wrapping_add(1 << 31)), None);
    }
}
