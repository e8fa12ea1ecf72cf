//! How much somebody may send.
//!
//! Three bounds, the cheapest first: the frames of a connection and its messages are counted in its
//! tag; the messages of an address and of an account, over all their connections and on all hosts,
//! in the cache that hosts share. What the cache loses is allowed once more, which harms nobody.

use crate::settings::Settings;
use crate::world::World;

/// A number at once, and then one more each time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many at once.
    pub burst: u64,
    /// The milliseconds until one more is allowed.
    pub every_ms: u64,
}

/// Frames of one connection, whatever they are.
pub const FRAMES: Pace = Pace { burst: 60, every_ms: 100 };
/// The frames that a frame counts for when it is told to everybody or asks the database.
pub const HEAVY: u64 = 5;
/// How many connections of one address are counted as one.
const SHARED_ADDRESS: u64 = 4;

impl Pace {
    /// Take some. `full_ms` is when all would be allowed again; it is all there is to remember.
    /// An error says after how many milliseconds it would have been allowed.
    pub fn take(self, full_ms: &mut u64, now_ms: u64, count: u64) -> Result<(), u64> {
        let after = (*full_ms).max(now_ms).saturating_add(count.saturating_mul(self.every_ms));
        let latest = now_ms.saturating_add(self.burst.saturating_mul(self.every_ms));
        if after > latest {
            return Err(after - latest);
        }
        *full_ms = after;
        Ok(())
    }
}

/// Whether an address, and an account where there is one, may say something now.
pub fn may_say(world: &mut dyn World, origin: &str, account: Option<&str>) -> Result<(), u64> {
    let pace = world.settings().messages;
    let address = Pace { burst: pace.burst.saturating_mul(SHARED_ADDRESS), ..pace };
    let took = seat(world, &format!("say/o/{origin}"), address)
        && account.is_none_or(|account| seat(world, &format!("say/a/{account}"), pace));
    if took { Ok(()) } else { Err(pace.every_ms) }
}

/// Take one of as many seats as there may be messages at once, each for as long as that many take.
/// So in any span of that length no more are taken, whoever asks at the same time.
fn seat(world: &mut dyn World, who: &str, pace: Pace) -> bool {
    let begin = u64::from_le_bytes(world.random().map_or([0; 8], |bytes| first(&bytes)));
    let lasts = pace.burst.saturating_mul(pace.every_ms);
    (0..pace.burst).any(|n| {
        let number = begin.wrapping_add(n) % pace.burst;
        world.claim(&format!("{who}/{number}"), lasts)
    })
}

fn first(bytes: &[u8; 16]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    first
}

impl Settings {
    /// The pace of messages that was set, if it can be one.
    pub fn pace(burst: Option<u64>, seconds: Option<f64>) -> Pace {
        let burst = burst.unwrap_or(5).clamp(1, 100);
        let seconds = seconds.filter(|s| s.is_finite()).unwrap_or(1.0).clamp(0.01, 3600.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let every_ms = (seconds * 1000.0) as u64;
        Pace { burst, every_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let pace = Pace { burst: 3, every_ms: 1000 };
        let mut full = 0;
        for _ in 0..3 {
            assert_eq!(pace.take(&mut full, 10_000, 1), Ok(()));
        }
        assert_eq!(pace.take(&mut full, 10_000, 1), Err(1000));
        assert_eq!(pace.take(&mut full, 10_999, 1), Err(1));
        assert_eq!(pace.take(&mut full, 11_000, 1), Ok(()));
        assert_eq!(pace.take(&mut full, 11_000, 1), Err(1000));
        // After a rest the whole burst is there again, and no more.
        for _ in 0..3 {
            assert_eq!(pace.take(&mut full, 99_000, 1), Ok(()));
        }
        assert_eq!(pace.take(&mut full, 99_000, u64::MAX), Err(u64::MAX - 102_000));
    }

    #[test]
    fn a_pace_that_was_set_is_kept_within_reason() {
        let pace = Settings::pace(Some(0), Some(f64::NAN));
        assert_eq!((pace.burst, pace.every_ms), (1, 1000));
        let pace = Settings::pace(None, Some(0.0));
        assert_eq!((pace.burst, pace.every_ms), (5, 10));
    }
}
