//! Which of two versions of a plugin answers a request.
//!
//! The route is found among those of the version that serves. Chance gives the request to the
//! candidate as often as the weights say, each request anew; then the route is found again among
//! the candidate's own. One that it does not have stays with the version that serves, and one that
//! only it has is there once it serves itself.

use std::sync::Arc;

use super::{
    router::{Captures, Router},
    routes::{self, Binding, Kept},
};
use crate::plugins::{Canary, Weights};

/// The candidate's routes, and how often they are taken.
pub struct Split {
    weights: Weights,
    router: Router<Arc<Binding>>,
}

impl Split {
    /// Of a plugin that keeps this over its versions.
    pub fn of(canary: &Canary, kept: &Kept) -> Self {
        let kept = Kept::of(&canary.generation, Some(kept));
        let mut router = Router::default();
        for (pattern, binding) in routes::bindings(&canary.generation, &kept, None) {
            // The same route twice in one manifest.
            let _ = router.insert(&pattern, binding);
        }
        Self { weights: canary.weights, router }
    }

    /// The candidate's route for a request, if it is to have it.
    pub fn draw(&self, host: &str, path: &str) -> Option<(&Arc<Binding>, Captures)> {
        if falls(self.weights) { self.router.find(host, path) } else { None }
    }
}

/// Whether a request falls to the candidate.
fn falls(weights: Weights) -> bool {
    fastrand::u32(..weights.live.saturating_add(weights.candidate).max(1)) < weights.candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fall_as_the_weights_say() {
        fastrand::seed(11);
        let drawn =
            |live, candidate| (0..100_000).filter(|_| falls(Weights { live, candidate })).count();
        assert_eq!((drawn(1, 0), drawn(0, 1), drawn(0, 0)), (0, 100_000, 0));
        // Five standard deviations: 69 requests each.
        assert!(drawn(95, 5).abs_diff(5000) < 345);
        assert!(drawn(950_000, 50_000).abs_diff(5000) < 345);
        assert!(drawn(1, 1).abs_diff(50_000) < 791);
    }
}
