//! Who is live in a mount. Of all sources, on all hosts, one is: the one that the store names.

use serde::{Deserialize, Serialize};
use trellis_sdk::channels::{self, Connection};
use trellis_sdk::log;

use crate::clock::ms;
use crate::mount::Mount;
use crate::settings::Settings;
use crate::store::{self, Store};

/// How often a source says that it is there.
pub const BEAT_MS: u64 = 1_000;
/// A source that did not for so long is gone, however it ended.
const DEAD_MS: u64 = 10_000;
/// Who comes back within this time goes on with the same recording.
const BACK_MS: u64 = 60_000;

/// Who is live, or was last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Live {
    /// Who it is.
    pub dj: String,
    /// What is said to play; empty: nothing was said.
    pub song: String,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When something was last heard, to a second.
    pub beat_ms: u64,
    /// When it ended, if it did.
    pub ended_ms: Option<u64>,
    /// Where it is recorded.
    pub recording: Option<String>,
    /// The connection, of the host that it came to.
    pub connection: Connection,
}

/// How the attempt to be live ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Go ahead.
    Mine {
        /// Whom it replaces.
        replaced: Option<Connection>,
        /// The recording to go on with.
        recording: Option<String>,
    },
    /// Somebody else is live.
    Taken(String),
}

impl Live {
    /// The source that this mount has or had.
    pub fn of(mount: &Mount) -> store::Result<Option<Self>> {
        store::get(Store::Live, mount.name())
    }

    /// Whether it is what listeners hear. What was heard behind the last beat counts as silence
    /// here, so there is a beat more to wait.
    pub fn is_heard(&self, now_ms: u64, settings: &Settings) -> bool {
        let silence_ms = ms(settings.silence) + BEAT_MS;
        self.ended_ms.is_none() && now_ms.saturating_sub(self.beat_ms) <= silence_ms
    }

    /// Until when it was heard.
    pub fn until_ms(&self) -> u64 {
        self.ended_ms.unwrap_or(self.beat_ms)
    }

    /// What plays while it does.
    pub fn title(&self) -> String {
        if self.song.is_empty() { format!("LIVE -- {}", self.dj) } else { self.song.clone() }
    }

    fn is_gone(&self, now_ms: u64) -> bool {
        self.ended_ms.is_some() || now_ms.saturating_sub(self.beat_ms) > DEAD_MS
    }

    pub fn is(&self, connection: Connection, since_ms: u64) -> bool {
        self.connection == connection && self.since_ms == since_ms && self.ended_ms.is_none()
    }
}

/// Become the one who is live in a mount.
pub fn take(
    mount: &Mount,
    dj: &str,
    connection: Connection,
    now_ms: u64,
    settings: &Settings,
) -> store::Result<Claim> {
    let mut claim = Claim::Taken(String::new());
    store::change(Store::Live, mount.name(), |before: Option<Live>| {
        let new = Live {
            dj: dj.to_owned(),
            connection,
            since_ms: now_ms,
            beat_ms: now_ms,
            ..Live::default()
        };
        let (live, ended) = decide(before, new, settings.any_takes_over);
        claim = ended;
        live
    })?;
    if let Claim::Mine { replaced: Some(connection), .. } = claim {
        close(mount, connection);
    }
    Ok(claim)
}

/// Who is live after somebody wants to be.
fn decide(before: Option<Live>, mut new: Live, any: bool) -> (Live, Claim) {
    let now_ms = new.since_ms;
    let Some(before) = before else {
        return (new, Claim::Mine { replaced: None, recording: None });
    };
    if !before.is_gone(now_ms) && before.dj != new.dj && !any {
        let dj = before.dj.clone();
        return (before, Claim::Taken(dj));
    }
    let is_back = before.dj == new.dj && now_ms.saturating_sub(before.until_ms()) <= BACK_MS;
    let recording = before.recording.filter(|_| is_back);
    new.recording.clone_from(&recording);
    let replaced = before.ended_ms.is_none().then_some(before.connection);
    (new, Claim::Mine { replaced, recording })
}

/// Say that a source is still there; whether it is still the one.
pub fn beat(
    mount: &Mount,
    connection: Connection,
    since_ms: u64,
    now_ms: u64,
    recording: Option<&str>,
) -> store::Result<bool> {
    let live = store::change(Store::Live, mount.name(), |live: Option<Live>| {
        let mut live = live.unwrap_or_default();
        if live.is(connection, since_ms) {
            live.beat_ms = now_ms;
            live.recording = recording.map(str::to_owned);
        }
        live
    })?;
    Ok(live.is(connection, since_ms))
}

/// Say that a source has ended; whether it was still the one.
pub fn end(
    mount: &Mount,
    connection: Connection,
    since_ms: u64,
    now_ms: u64,
) -> store::Result<bool> {
    let mut was = false;
    store::change(Store::Live, mount.name(), |live: Option<Live>| {
        let mut live = live.unwrap_or_default();
        was = live.is(connection, since_ms);
        if was {
            live.ended_ms = Some(now_ms);
        }
        live
    })?;
    Ok(was)
}

/// What a source's connection is tagged with, so that no number of another host closes a listener.
pub fn tag(mount: &Mount) -> String {
    format!("source:{}", mount.name())
}

fn close(mount: &Mount, connection: Connection) {
    if channels::tag(connection) != Some(tag(mount)) {
        return;
    }
    if let Err(error) = channels::close(connection, channels::NORMAL, "replaced by another source")
    {
        log::warn(format_args!("a source that was replaced stays connected: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(dj: &str, connection: u64, since_ms: u64) -> Live {
        Live { dj: dj.to_owned(), connection, since_ms, beat_ms: since_ms, ..Live::default() }
    }

    fn mine(replaced: Option<u64>, recording: Option<&str>) -> Claim {
        Claim::Mine { replaced, recording: recording.map(str::to_owned) }
    }

    #[test]
    fn a_free_mount_is_taken_and_a_taken_one_is_not() {
        assert_eq!(decide(None, live("ada", 1, 5), false).1, mine(None, None));
        let (stays, claim) = decide(Some(live("ada", 1, 0)), live("bob", 2, DEAD_MS), false);
        assert_eq!((stays, claim), (live("ada", 1, 0), Claim::Taken("ada".to_owned())));
    }

    #[test]
    fn a_dj_replaces_their_own_source_and_any_where_that_is_allowed() {
        for (dj, any) in [("ada", false), ("ada", true), ("bob", true)] {
            let (new, claim) = decide(Some(live("ada", 1, 0)), live(dj, 2, 9), any);
            assert_eq!((new.connection, claim), (2, mine(Some(1), None)));
        }
    }

    #[test]
    fn a_source_that_died_without_a_word_is_replaced() {
        let (new, claim) = decide(Some(live("ada", 1, 0)), live("bob", 2, DEAD_MS + 1), false);
        assert_eq!((new.dj.as_str(), claim), ("bob", mine(Some(1), None)));
    }

    #[test]
    fn only_the_same_dj_goes_on_with_a_recording_and_only_for_a_minute() {
        let mut before = live("ada", 1, 0);
        (before.recording, before.ended_ms) = (Some("r".to_owned()), Some(1000));
        for (dj, at, wanted) in
            [("ada", 61_000, Some("r")), ("ada", 61_001, None), ("bob", 2000, None)]
        {
            let (new, claim) = decide(Some(before.clone()), live(dj, 2, at), false);
            assert_eq!(
                (new.recording.as_deref(), claim),
                (wanted, mine(None, wanted)),
                "{dj} {at}"
            );
        }
    }
}
