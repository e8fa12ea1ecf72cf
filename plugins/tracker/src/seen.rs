//! The ids that have been stored, and for how long they are known.
//!
//! An id is kept under the number of the window of time in which its event came, and looked for
//! in the present window and the one before. So it is known for one window at least and two at
//! most, and what lies before is swept, a page of the store at a time:
//!
//! ```text
//!  ── window 41 ──│── window 42 ──│── window 43, now ──
//!      swept      │   looked for  │ looked for, added
//! ```

use std::cell::Cell;

use trellis_sdk::http::{Error, Result};
use trellis_sdk::keyvalue::{self, Store};
use trellis_sdk::log;

use crate::event::Event;
use crate::settings::{Dedupe, Settings};

/// The store of ids, in which nothing else is.
const STORE: &str = "seen";
/// The longest id in bytes.
const MAX_ID: usize = 512;
/// The pause between two pages that are swept, in milliseconds: whoever sends must not notice.
const PAUSE_MS: u64 = 1_000;

thread_local! {
    /// Before this time, in milliseconds since 1970, there is nothing to sweep. Each instance
    /// looks for itself.
    static SWEEP_AT: Cell<u64> = const { Cell::new(0) };
}

/// The ids that have been stored, if they are to be checked.
pub struct Seen<'s> {
    store: Option<(Store, &'s Dedupe)>,
    /// Keys of ids that are new in this call.
    new: Vec<String>,
    now_ms: u64,
}

impl<'s> Seen<'s> {
    /// Open the store of ids, if the settings name a parameter that holds them.
    pub fn open(settings: &'s Settings) -> Result<Self> {
        let store = match &settings.dedupe {
            Some(dedupe) => Some((Store::open(STORE).map_err(failed)?, dedupe)),
            None => None,
        };
        Ok(Self { store, new: Vec::new(), now_ms: 0 })
    }

    /// Whether there are ids to remember once their events are durable.
    pub fn remembers(&self) -> bool {
        !self.new.is_empty()
    }

    /// Whether this event's id has been stored before, or came earlier in the same call.
    pub fn contains(&mut self, event: &Event<'_>) -> Result<bool> {
        let Some((store, dedupe)) = &self.store else {
            return Ok(false);
        };
        let Some(id) = event.params.text(&dedupe.parameter) else {
            return Ok(false);
        };
        if id.len() > MAX_ID {
            return Err(Error::status(400, format!("the id is longer than {MAX_ID} bytes")));
        }
        self.now_ms = event.time;
        let window = dedupe.window(event.time);
        let (present, before) = (key(window, &id), key(window.saturating_sub(1), &id));
        if self.new.contains(&present)
            || store.exists(&present).map_err(failed)?
            || store.exists(&before).map_err(failed)?
        {
            return Ok(true);
        }
        self.new.push(present);
        Ok(false)
    }

    /// Remember the ids of events that are durable now.
    pub fn remember(&self) -> Result<()> {
        let Some((store, dedupe)) = self.store.as_ref().filter(|_| self.remembers()) else {
            return Ok(());
        };
        let pairs: Vec<_> = self.new.iter().map(|key| (key.as_str(), &b"1"[..])).collect();
        store.set_many(&pairs).map_err(failed)?;
        if self.now_ms >= SWEEP_AT.get() {
            SWEEP_AT.set(sweep(store, dedupe, self.now_ms));
        }
        Ok(())
    }
}

/// Forget a page of the oldest ids, if their windows are over; when to look again. The events are
/// stored by now, so a failure is only told.
fn sweep(store: &Store, dedupe: &Dedupe, now_ms: u64) -> u64 {
    let window = dedupe.window(now_ms);
    let first = key(window.saturating_sub(1), "");
    let swept = store.keys(None).and_then(|(mut keys, more)| {
        let old = keys.partition_point(|key| *key < first);
        keys.truncate(old);
        let old: Vec<&str> = keys.iter().map(String::as_str).collect();
        if !old.is_empty() {
            store.delete_many(&old)?;
            log::debug(format_args!("{} ids are forgotten", old.len()));
        }
        Ok(more.is_some() && !old.is_empty())
    });
    match swept {
        Ok(false) => dedupe.start(window + 1),
        Ok(true) => now_ms + PAUSE_MS,
        Err(error) => {
            log::error(format_args!("old ids cannot be forgotten: {error}"));
            now_ms + PAUSE_MS
        }
    }
}

/// The key of an id. Keys are in the order of their windows.
fn key(window: u64, id: &str) -> String {
    format!("{window:016x}/{id}")
}

fn failed(error: keyvalue::Error) -> Error {
    log::error(format_args!("ids cannot be checked: {error}"));
    Error::status(503, "events cannot be stored now, try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_windows_whatever_the_id() {
        assert!(key(9, "zzz") < key(10, ""));
        assert!(key(10, "\u{10ffff}") < key(11, "a"));
    }

    #[test]
    fn an_id_is_known_for_one_window_at_least_and_two_at_most() {
        let dedupe = Dedupe { parameter: "id".into(), window_ms: 1_000 };
        for stored_ms in [5_000, 5_500, 5_999] {
            let known = |now_ms| {
                let window = dedupe.window(now_ms);
                [window, window - 1].contains(&dedupe.window(stored_ms))
            };
            assert!(known(stored_ms + 1_000), "{stored_ms}");
            assert!(!known(stored_ms + 2_000), "{stored_ms}");
            // What is swept is what nobody looks for any more.
            let swept_before = |now_ms| key(dedupe.window(now_ms) - 1, "");
            assert!(key(dedupe.window(stored_ms), "x") >= swept_before(stored_ms + 1_000));
            assert!(key(dedupe.window(stored_ms), "x") < swept_before(stored_ms + 2_000));
        }
    }
}
