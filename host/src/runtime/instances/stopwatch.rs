//! How much of the processor a piece of work has had.
//!
//! The clock of the thread, which stands still while others have its processor, costs a system
//! call; the clock on the wall costs nothing, and shows which pieces are worth that.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::runtime::engine::HURRY;

/// Measures one piece.
pub struct Stopwatch {
    began: Instant,
    /// What its thread had had by then, if that is looked at.
    had: Option<Duration>,
}

/// How long a piece took.
#[derive(Debug, PartialEq)]
pub enum Took {
    /// Nothing to speak of.
    Short,
    /// Long on the wall; it was not measured how much it had itself.
    Long,
    /// So much of the processor.
    Time(Duration),
}

impl Stopwatch {
    /// Begin a piece; `exactly`: look at the clock of the thread.
    pub fn start(exactly: bool) -> Self {
        Self { began: Instant::now(), had: exactly.then(thread_time) }
    }

    /// The piece has ended, on the same thread.
    pub fn stop(self) -> Took {
        let elapsed = self.began.elapsed();
        match (elapsed > HURRY, self.had) {
            (true, Some(had)) => Took::Time(thread_time().saturating_sub(had)),
            (false, Some(_)) => Took::Time(elapsed),
            (true, None) => Took::Long,
            (false, None) => Took::Short,
        }
    }
}

/// What the calling thread has had of the processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn only_the_exact_clock_tells_waiting_from_working() {
        let (rough, exact) = (Stopwatch::start(false), Stopwatch::start(true));
        sleep(HURRY * 2);
        assert_eq!(rough.stop(), Took::Long);
        assert!(matches!(exact.stop(), Took::Time(had) if had < HURRY));
        assert_eq!(Stopwatch::start(false).stop(), Took::Short);
    }

    #[test]
    fn work_is_measured() {
        let watch = Stopwatch::start(true);
        let began = Instant::now();
        while began.elapsed() < HURRY * 20 {}
        assert!(matches!(watch.stop(), Took::Time(had) if had > HURRY));
    }
}
