//! How often an address may be wrong about a password: a few times a minute.

use std::time::Duration;

use trellis_sdk::log;
use trellis_sdk::tries::{Denied, Tries};

/// Programs that reconnect with a wrong password have some.
const TRIES: Tries = Tries::new(10, Duration::from_secs(60));

/// Look whether credentials are right; `Err`: there were too many wrong ones. Where nobody can tell
/// how many there were it is looked at: a cache that is away takes no DJ off the air.
pub fn attempt<T>(ip: &str, guess: impl Fn() -> Option<T>) -> Result<Option<T>, TooMany> {
    match TRIES.attempt(ip, &guess) {
        Ok(found) => Ok(found),
        Err(Denied::TooMany) => Err(TooMany),
        Err(Denied::Unknown) => {
            log::warn("wrong passwords are not counted: the cache is away");
            Ok(guess())
        }
    }
}

/// Too many wrong passwords came from an address.
pub struct TooMany;
