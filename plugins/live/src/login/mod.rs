//! Who may see the events: names and passwords, sessions as signed cookies, and a limit to guesses.

mod session;
mod users;

pub use session::{COOKIE, Session};
pub use users::{User, Users};

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use trellis_sdk::tries::Tries;

/// How often an address may guess: that is 7,200 times a day.
pub const TRIES: Tries = Tries::new(5, Duration::from_secs(60));

/// HMAC-SHA256 of several parts, none of which can run into the next.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // A key of any length will do, so nothing can fail; and a key of nothing signs nothing of ours.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// PBKDF2-HMAC-SHA256 with one block. Whoever gets hold of a cookie must not find the password
/// behind it by trying many quickly.
fn stretch(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(password) else { return [0; 32] };
    let round = |parts: &[&[u8]]| -> [u8; 32] {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = round(&[salt, &1u32.to_be_bytes()]);
    let mut key = last;
    for _ in 1..rounds {
        last = round(&[&last]);
        key.iter_mut().zip(last).for_each(|(byte, other)| *byte ^= other);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_is_that_of_rfc_7914() {
        let key = stretch(b"passwd", b"salt", 1);
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
        let key = stretch(b"Password", b"NaCl", 80_000);
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(mac(b"k", &[b"ab", b"c"]), mac(b"k", &[b"a", b"bc"]));
        assert_ne!(mac(b"k", &[b"a"]), mac(b"l", &[b"a"]));
    }
}
