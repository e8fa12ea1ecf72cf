//! Values that may be forgotten, so that they need not be computed again.
//!
//! ```no_run
//! use std::time::Duration;
//! use trellis_sdk::cache;
//!
//! const DAY: Duration = Duration::from_secs(24 * 3600);
//!
//! // Of all calls that want it at once, on all hosts, one asks the database.
//! let page = cache::remember("catalogue/1", DAY, || Ok::<_, cache::Error>(b"...".to_vec()))?;
//! // When it has changed, the next one asks again.
//! cache::delete("catalogue/1")?;
//! # Ok::<(), cache::Error>(())
//! ```

use std::time::Duration;

use crate::bindings::imports::trellis::storage::cache as wit;

pub use wit::{Claim, Claimed, Error};

/// How long a computation of [`remember`] may take before somebody else begins one, and how long
/// others wait for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The value of a key.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    wit::get(key)
}

/// Write a value over whatever is there; it lives for `ttl`, in whole milliseconds.
pub fn set(key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
    wit::set(key, value, millis(ttl))
}

/// Write a value where there is none; whether it was written. Of many callers one is told `true`.
pub fn add(key: &str, value: &[u8], ttl: Duration) -> Result<bool, Error> {
    wit::add(key, value, millis(ttl))
}

/// Forget a key; a missing one is fine.
pub fn delete(key: &str) -> Result<(), Error> {
    wit::delete(key)
}

/// The value of a key, or the right to compute it alone; waits for somebody else's at most `wait`.
/// [`remember`] is the usual way.
pub fn claim(key: &str, lease: Duration, wait: Duration) -> Result<Claimed, Error> {
    Claim::take(key, millis(lease), millis(wait))
}

/// The value of a key, computed if there is none and kept for `ttl`. Of all calls that want it at
/// once, one computes it and the others wait for it, up to [`PATIENCE`]; then they compute it for
/// themselves. When the computation fails or traps, one of the others computes it.
///
/// A cache that is not available is an error before anything was computed, and none after.
pub fn remember<E: From<Error>>(
    key: &str,
    ttl: Duration,
    compute: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let claim = match claim(key, PATIENCE, PATIENCE)? {
        Claimed::Value(value) => return Ok(value),
        Claimed::Yours(claim) => Some(claim),
        Claimed::Taken => None,
    };
    let value = compute()?;
    if let Some(claim) = claim
        && let Err(mistake @ Error::Invalid(_)) = claim.fill(&value, millis(ttl))
    {
        return Err(mistake.into());
    }
    Ok(value)
}

/// What is too long for a number of milliseconds is too long for the host as well, which says so.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
