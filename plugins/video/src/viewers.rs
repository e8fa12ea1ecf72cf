//! Who watches: a viewer is a token in the address of the playlist with the segments, which a player
//! asks for all the time. It has a mailbox that hears the stream's channel and ends when nobody
//! asks any more; those who hear the channel are the viewers.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use trellis_sdk::channels::{self, Connection, Start};
use trellis_sdk::{cache, log, mailbox};

use crate::names::{Name, is_plain};

/// A viewer who has not asked for so long is gone.
const IDLE: Duration = Duration::from_secs(15);
/// For so long a token is known; asking renews it.
const KNOWN: Duration = Duration::from_secs(600);

/// A token for a player that asks for the first time. It is no secret, only unlike all others.
pub fn token() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

/// How many watch a stream.
pub fn watching(name: &Name) -> u32 {
    channels::listeners(&channel(name))
}

/// Note that somebody asked. What cannot be counted is watched all the same.
pub fn note(name: &Name, token: &str) {
    if !is_plain(token) {
        return;
    }
    let tag = [&name.path(), " ", token].concat();
    let place = ["viewer/", &tag].concat();
    let known = cache::get(&place).ok().flatten();
    let connection = known
        .and_then(|bytes| bytes.try_into().ok())
        .map(Connection::from_le_bytes)
        // The number may be somebody else's by now, where the host began anew.
        .filter(|connection| channels::tag(*connection).as_deref() == Some(&tag));
    // Asking for a frame, of which there are none, keeps the mailbox.
    if connection.and_then(|there| mailbox::read(there, 1, Duration::ZERO)).is_some() {
        return;
    }
    if let Err(error) = open(name, &tag, &place) {
        log::debug(format_args!("a viewer of {} is not counted: {error}", name.path()));
    }
}

fn open(name: &Name, tag: &str, place: &str) -> Result<(), channels::Error> {
    let connection = mailbox::open(tag, IDLE)?;
    channels::join(connection, &channel(name), Start::Next)?;
    // Without a cache a viewer would be another one with each request.
    if cache::set(place, &connection.to_le_bytes(), KNOWN).is_err() {
        channels::close(connection, channels::NORMAL, "")?;
    }
    Ok(())
}

fn channel(name: &Name) -> String {
    ["viewers/", &name.path()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_stand_in_an_address_and_is_unlike_the_next() {
        let (one, other) = (token(), token());
        assert!(is_plain(&one) && is_plain(&other) && one != other);
    }
}
