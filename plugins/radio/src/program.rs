//! What is to play when nobody is live: shows at their time, and a playlist for the rest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::mount::{Mount, Record};
use crate::store::{self, Store};
use crate::track::Track;

/// More tracks in a list, or shows, are refused.
pub const MOST: usize = 1000;
/// The key of all shows.
const SHOWS: &str = "all";

/// The tracks of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Playlist {
    /// `"all"`: every track that fits, in the order of the names.
    All(All),
    /// These.
    These(Vec<String>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every track that fits.
    All,
}

/// Tracks for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Where.
    pub mount: Mount,
    /// What it is called.
    pub title: String,
    /// When it begins, `2026-11-22T20:00:00+01:00`.
    pub from: Timestamp,
    /// When it is over, if the tracks are not before.
    pub to: Timestamp,
    /// What is played.
    pub tracks: Vec<String>,
}

impl Show {
    /// Tells it from others.
    pub fn id(&self) -> String {
        format!("{} {}", self.mount.name(), self.from)
    }

    /// Whether it is its time.
    fn is_on(&self, now_ms: u64) -> bool {
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        self.from.as_millisecond() <= now && now < self.to.as_millisecond()
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.from >= self.to {
            return Err(format!("the show `{}` ends before it begins", self.title));
        }
        if self.tracks.is_empty() || self.tracks.len() > MOST || self.title.len() > 300 {
            return Err(format!(
                "the show `{}` has 1 to {MOST} tracks and a title of 300 bytes at most",
                self.title
            ));
        }
        Ok(())
    }
}

/// All shows.
pub fn shows() -> store::Result<Vec<Show>> {
    Ok(store::get(Store::Shows, SHOWS)?.unwrap_or_default())
}

/// Replace all shows.
pub fn set_shows(shows: &[Show]) -> store::Result<()> {
    store::set(Store::Shows, SHOWS, &shows)
}

/// The show that is on in a mount; the one that began last where several are.
pub fn show_on<'a>(shows: &'a [Show], mount: &Mount, now_ms: u64) -> Option<&'a Show> {
    shows
        .iter()
        .filter(|show| show.mount == *mount && show.is_on(now_ms))
        .max_by_key(|show| show.from)
}

/// The names of a mount's playlist.
pub fn playlist(mount: &Mount, format: Format) -> store::Result<Vec<String>> {
    Ok(match store::get(Store::Playlists, mount.name())? {
        None => Vec::new(),
        Some(Playlist::These(names)) => names,
        Some(Playlist::All(_)) => {
            let mut names = store::keys(Store::Tracks)?;
            names.retain(|name| Format::of_name(name) == Some(format));
            names.sort();
            names
        }
    })
}

/// The first track of a list, from a place on, that is there and fits; with its place.
pub fn first(
    names: &[String],
    from: usize,
    record: &Record,
) -> store::Result<Option<(usize, String, Track)>> {
    for (place, name) in names.iter().enumerate().skip(from) {
        if let Some(track) = Track::named(name)?
            && record.takes(track.format, track.codec)
        {
            return Ok(Some((place, name.clone(), track)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(from: &str, to: &str) -> Show {
        let json = serde_json::json!({"mount": "a.mp3", "title": from, "from": from, "to": to, "tracks": ["x.mp3"]});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_show_is_on_from_its_begin_to_its_end_in_any_time_zone() {
        let shows = [
            show("1970-01-01T01:00:00+01:00", "1970-01-01T00:01:00Z"),
            show("1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z"),
        ];
        let mount = Mount::named("a.mp3").unwrap();
        let on = |ms| show_on(&shows, &mount, ms).map(|show| show.title.as_str());
        assert_eq!(on(0), Some("1970-01-01T01:00:00+01:00"));
        assert_eq!(on(10_000), Some("1970-01-01T00:00:10Z"));
        assert_eq!(on(20_000), Some("1970-01-01T01:00:00+01:00"));
        assert_eq!(on(60_000), None);
        assert_eq!(show_on(&shows, &Mount::named("b.mp3").unwrap(), 0), None);
    }

    #[test]
    fn a_playlist_is_a_list_or_all() {
        let read = |text| serde_json::from_str::<Playlist>(text);
        assert_eq!(read("\"all\"").unwrap(), Playlist::All(All::All));
        assert_eq!(read("[\"a.mp3\"]").unwrap(), Playlist::These(vec!["a.mp3".to_owned()]));
        assert!(read("\"none\"").is_err() && read("{}").is_err());
    }

    #[test]
    fn a_show_that_cannot_be_meant_is_refused() {
        assert!(show("1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z").check().is_ok());
        assert!(show("1970-01-01T00:00:20Z", "1970-01-01T00:00:20Z").check().is_err());
    }
}
