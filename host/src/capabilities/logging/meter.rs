//! How many lines a plugin may write.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Lets lines through at a steady rate, with a reserve for bursts.
pub struct Meter {
    per_second: f64,
    burst: f64,
    level: Mutex<Level>,
}

struct Level {
    reserve: f64,
    since: Instant,
    dropped: u64,
    reported: Instant,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it is written.
    pub admitted: bool,
    /// Lines dropped since the last report, when a report is due: one a second at most.
    pub report: Option<u64>,
}

const REPORT_EVERY: Duration = Duration::from_secs(1);

impl Meter {
    /// A meter with a full reserve.
    pub fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        let level = Level { reserve: burst, since: now, dropped: 0, reported: now };
        Self { per_second: f64::from(per_second), burst, level: Mutex::new(level) }
    }

    /// Decide about one line.
    pub fn admit(&self, now: Instant) -> Verdict {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(level.since).as_secs_f64();
        level.reserve = (level.reserve + passed * self.per_second).min(self.burst);
        level.since = now;
        let admitted = level.reserve >= 1.0;
        if admitted {
            level.reserve -= 1.0;
        } else {
            level.dropped += 1;
        }
        let due = now.saturating_duration_since(level.reported) >= REPORT_EVERY;
        let report = (due && level.dropped > 0).then(|| {
            level.reported = now;
            std::mem::take(&mut level.dropped)
        });
        Verdict { admitted, report }
    }

    /// Lines dropped since the last report.
    pub fn unreported(&self) -> u64 {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_each_second_reports_what_was_dropped() {
        let start = Instant::now();
        let meter = Meter::new(10, 5, start);
        let admitted = |at, lines: u32| {
            let verdicts: Vec<_> = (0..lines).map(|_| meter.admit(at)).collect();
            let reports: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.report).collect();
            (verdicts.iter().filter(|verdict| verdict.admitted).count(), reports)
        };
        assert_eq!(admitted(start, 8), (5, vec![]));
        assert_eq!(admitted(start + Duration::from_millis(200), 4), (2, vec![]));
        assert_eq!(meter.unreported(), 5);
        assert_eq!(admitted(start + Duration::from_secs(1), 7), (5, vec![5]));
        assert_eq!(admitted(start + Duration::from_millis(1900), 6), (5, vec![]));
        assert_eq!(admitted(start + Duration::from_secs(2), 1), (1, vec![3]));
    }
}
