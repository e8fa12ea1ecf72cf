//! Whether a version fails more than the one before it.
//!
//! A version on trial had `n` calls, of which a part `p` failed; of the other one's `m` calls a
//! part `q` did. It fails more where
//!
//! ```text
//!  p  ≥  q + margin + 3·√(q·(1-q)·(1/n + 1/m))
//! ```
//! The root is what chance alone makes of two samples of this size, so that a version that fails
//! as often as the one before stays. Where either had too few calls to tell, half of all must fail.

use super::{generation::Counts, versions::Settings};

/// Fewer failures than this are nobody's pattern.
const MIN_ERRORS: u64 = 5;
/// The part of all calls that must fail where there is nothing to compare with.
const HALF: f64 = 0.5;
/// How many standard deviations are not chance any more.
const SIGMAS: f64 = 3.0;

/// Whether the version on trial fails more than the other one.
pub(super) fn fails_more(trial: Counts, other: Counts, settings: &Settings) -> bool {
    if trial.errors < MIN_ERRORS {
        return false;
    }
    let (failed, usual) = (rate(trial), rate(other));
    let (n, m) = (trial.calls.max(1) as f64, other.calls.max(1) as f64);
    let chance = SIGMAS * (usual * (1.0 - usual) * (1.0 / n + 1.0 / m)).sqrt();
    let bound = usual + f64::from(settings.margin) / 100.0 + chance;
    let known = trial.calls.min(other.calls) >= settings.min_calls;
    failed >= if known { bound } else { bound.max(HALF) }
}

/// The part of the calls that failed. One call may fail in more than one way.
fn rate(counts: Counts) -> f64 {
    (counts.errors as f64 / counts.calls.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(errors: u64, calls: u64) -> Counts {
        Counts { calls, errors, faults: errors }
    }

    fn fails(trial: (u64, u64), other: (u64, u64)) -> bool {
        fails_more(counts(trial.0, trial.1), counts(other.0, other.1), &Settings::default())
    }

    #[test]
    fn a_version_that_fails_where_the_other_one_does_not_fails_more() {
        assert!(fails((5, 20), (0, 1000)));
        assert!(fails((60, 1000), (0, 1000)));
        assert!(!fails((40, 1000), (0, 1000)), "within the margin");
        assert!(!fails((4, 4), (0, 1000)), "too few to tell");
    }

    #[test]
    fn a_version_that_fails_as_often_as_the_other_one_stays() {
        assert!(!fails((5, 20), (100, 1000)), "a quarter of twenty may be chance");
        assert!(fails((9, 20), (100, 1000)));
        assert!(!fails((120, 1000), (1000, 10_000)));
        assert!(!fails((1000, 1000), (1000, 1000)), "neither works");
    }

    #[test]
    fn where_little_is_known_half_of_all_calls_must_fail() {
        assert!(fails((5, 5), (0, 1000)), "a crash loop");
        assert!(fails((500, 1000), (0, 0)));
        assert!(!fails((400, 1000), (0, 3)));
        assert!(!fails((5, 11), (0, 1000)));
    }

    #[test]
    fn chance_alone_takes_no_version_back() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut trial, mut other) = (counts(0, 0), counts(0, 0));
        for _ in 0..200_000 {
            let side = if random.u32(0..100) < 5 { &mut trial } else { &mut other };
            side.calls += 1;
            side.errors += u64::from(random.u32(0..10) == 0);
            assert!(!fails_more(trial, other, &Settings::default()), "{trial:?} {other:?}");
        }
    }
}
