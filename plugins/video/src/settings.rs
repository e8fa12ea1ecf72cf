//! What the operator decides.

use std::sync::LazyLock;

use trellis_sdk::config;

use crate::names::is_plain;
use crate::publishers::Publishers;

/// The settings of a generation.
#[derive(Debug)]
pub struct Settings {
    /// The applications there are.
    pub apps: Vec<String>,
    /// Who may publish in them.
    pub publishers: Publishers,
    /// The applications whose streams are recorded.
    pub record: Vec<String>,
    /// How long a segment should be, in milliseconds.
    pub segment_ms: i64,
    /// How many segments a playlist has.
    pub window: usize,
    /// The bytes of recordings that are kept; the oldest go first.
    pub recordings_bytes: u64,
}

/// The settings, or what is wrong with them; then nobody may publish or watch.
pub fn get() -> &'static Result<Settings, String> {
    static SETTINGS: LazyLock<Result<Settings, String>> = LazyLock::new(|| {
        let text = |key| config::get(key).unwrap_or_default();
        Settings::of(
            config::list("apps"),
            &text("publishers"),
            config::list("record"),
            &text("segment-seconds"),
            &text("window"),
            &text("recordings-gib"),
        )
    });
    &SETTINGS
}

impl Settings {
    /// Settings as they are written.
    pub fn of(
        apps: Vec<String>,
        publishers: &str,
        record: Vec<String>,
        segment_seconds: &str,
        window: &str,
        recordings_gib: &str,
    ) -> Result<Self, String> {
        if let Some(wrong) = apps.iter().find(|app| !is_plain(app)) {
            return Err(format!(
                "`apps` has `{wrong}`: names have 1 to 64 letters, digits, `-` and `_`"
            ));
        }
        if let Some(wrong) = record.iter().find(|app| !apps.contains(app)) {
            return Err(format!("`record` has `{wrong}`, which is not in `apps`"));
        }
        let seconds = number(segment_seconds, 1, 10).ok_or("`segment-seconds` is from 1 to 10")?;
        let window = number(window, 3, 60).ok_or("`window` is from 3 to 60 segments")?;
        let gib = number(recordings_gib, 1, 1000).ok_or("`recordings-gib` is from 1 to 1000")?;
        let publishers = Publishers::written(publishers)?;
        let (segment_ms, window) = (seconds * 1000, window as usize);
        let recordings_bytes = (gib as u64) << 30;
        Ok(Self { apps, publishers, record, segment_ms, window, recordings_bytes })
    }
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    text.trim().parse().ok().filter(|number| (least..=most).contains(number))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_meant_is_named() {
        let of = |apps: &[&str], record: &[&str], seconds, window| {
            let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            Settings::of(list(apps), "live/show:key", list(record), seconds, window, "15")
        };
        assert!(of(&["live"], &["live"], "2", "6").is_ok());
        for (settings, word) in [
            (of(&["a/b"], &[], "2", "6"), "`a/b`"),
            (of(&["live"], &["vj"], "2", "6"), "`vj`"),
            (of(&["live"], &[], "0", "6"), "`segment-seconds`"),
            (of(&["live"], &[], "2", "x"), "`window`"),
        ] {
            assert!(settings.unwrap_err().contains(word), "{word}");
        }
    }
}
