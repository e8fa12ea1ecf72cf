//! Which types of events have a channel.
//!
//! A type's channel is published to whether or not somebody hears it, so that it has a past when
//! somebody comes, on this host or another. Only so many types are: whoever may send events may
//! also invent types, and each channel keeps up to 1 MiB. A type beyond those still has its channel
//! while somebody on this host hears it, and all events are in `all`.

use std::collections::HashMap;

/// The most types that have a channel without listeners.
pub const MOST: usize = 128;
/// How long types are watched before those that came once make room.
pub const PERIOD_MS: u64 = 60_000;

/// The types that were seen of late.
#[derive(Debug, Default)]
pub struct Types {
    /// How often each was seen in this period.
    seen: HashMap<String, u32>,
    began_ms: u64,
}

impl Types {
    /// Whether a type has a channel. One that came before all were taken keeps its place as long
    /// as it comes more than once in each period: inventions come once.
    pub fn has_channel(&mut self, kind: &str, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.began_ms) >= PERIOD_MS {
            self.began_ms = now_ms;
            self.seen.retain(|_, times| std::mem::take(times) > 1);
        }
        if let Some(times) = self.seen.get_mut(kind) {
            *times = times.saturating_add(1);
            return true;
        }
        let free = self.seen.len() < MOST;
        if free {
            self.seen.insert(kind.to_owned(), 1);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_inventions_takes_no_place_from_a_type_that_keeps_coming() {
        let mut types = Types::default();
        assert!(types.has_channel("purchase", PERIOD_MS));
        assert!(types.has_channel("purchase", PERIOD_MS));
        for invention in 0..100_000 {
            types.has_channel(&format!("x{invention}"), PERIOD_MS);
        }
        assert_eq!(types.seen.len(), MOST);
        assert!(!types.has_channel("late", PERIOD_MS));
        assert!(types.has_channel("late", 2 * PERIOD_MS), "the inventions are forgotten");
        assert!(types.has_channel("purchase", 2 * PERIOD_MS));
        assert_eq!(types.seen.len(), 2);
    }

    #[test]
    fn a_clock_that_was_set_back_does_no_harm() {
        let mut types = Types::default();
        assert!(types.has_channel("w", u64::MAX));
        assert!(types.has_channel("w", 0));
    }
}
