//! What plays in each mount, what played before, and how many heard it.

use serde::{Deserialize, Serialize};
use trellis_sdk::channels;
use trellis_sdk::log;

use crate::mount::Mount;
use crate::store::{self, Store};

/// So many titles are remembered.
const HISTORY: usize = 20;

/// A title, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// As players show it.
    pub title: String,
    /// In milliseconds since 1970.
    pub at_ms: u64,
}

/// What is remembered of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Now {
    /// The newest first; it is what plays, or played last.
    pub titles: Vec<Title>,
    /// When somebody began to play, live or from tracks, in milliseconds since 1970.
    pub started_ms: u64,
    /// The most listeners at a time.
    pub peak: u32,
}

impl Now {
    /// What is remembered of this mount.
    pub fn of(mount: &Mount) -> store::Result<Self> {
        Ok(store::get(Store::Now, mount.name())?.unwrap_or_default())
    }

    fn play(&mut self, title: &str, at_ms: u64) {
        if self.titles.first().is_none_or(|last| last.title != title) {
            self.titles.insert(0, Title { title: title.to_owned(), at_ms });
            self.titles.truncate(HISTORY);
        }
    }
}

/// Tell listeners what plays from now on. `begins`: somebody else plays than before.
pub fn announce(mount: &Mount, title: &str, at_ms: u64, begins: bool) {
    tell(mount, title);
    let changed = store::change(Store::Now, mount.name(), |now: Option<Now>| {
        let mut now = now.unwrap_or_default();
        now.play(title, at_ms);
        if begins {
            now.started_ms = at_ms;
        }
        now
    });
    if let Err(error) = changed {
        log::warn(format_args!("the title of {} is not remembered: {error}", mount.name()));
    }
}

/// Tell players what plays, as after a start of the host, which forgets it.
pub fn tell(mount: &Mount, title: &str) {
    if let Err(error) = channels::title(&mount.channel(), title) {
        log::warn(format_args!("players of {} are not told what plays: {error}", mount.name()));
    }
}

/// Remember how many listen, if they are more than ever before.
pub fn count(mount: &Mount, listeners: u32) -> store::Result<()> {
    if listeners > Now::of(mount)?.peak {
        store::change(Store::Now, mount.name(), |now: Option<Now>| {
            let mut now = now.unwrap_or_default();
            now.peak = now.peak.max(listeners);
            now
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_titles_are_remembered_and_none_twice_in_a_row() {
        let mut now = Now::default();
        for number in 0..30 {
            now.play(&format!("{number}"), number);
            now.play(&format!("{number}"), number + 1);
        }
        assert_eq!(now.titles.len(), HISTORY);
        assert_eq!(now.titles[0], Title { title: "29".to_owned(), at_ms: 29 });
    }
}
