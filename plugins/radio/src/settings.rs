//! What the operator decides.

use std::sync::LazyLock;
use std::time::Duration;

use trellis_sdk::config;

use crate::djs::Djs;

/// The settings of a generation.
#[derive(Debug)]
pub struct Settings {
    /// Who may play and change what plays.
    pub djs: Djs,
    /// Whether any DJ may take a mount over, not only the one who plays in it.
    pub any_takes_over: bool,
    /// A source that sends nothing for so long is silent, and tracks play.
    pub silence: Duration,
    /// Whether what is live is recorded.
    pub records: bool,
    /// A recording that ends up shorter is dropped.
    pub shortest_recording: Duration,
    /// The bytes of recordings that are kept; the oldest go first.
    pub recordings_bytes: u64,
    /// Where listeners reach the radio, `https://radio.example.org`, without a `/` at the end.
    pub public_url: Option<String>,
}

/// The settings, or why there are none; then nobody may play.
pub fn get() -> &'static Result<Settings, String> {
    static SETTINGS: LazyLock<Result<Settings, String>> =
        LazyLock::new(|| Settings::of(config::get));
    &SETTINGS
}

impl Settings {
    fn of(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let text = |key: &str| get(key).unwrap_or_default().trim().to_owned();
        let seconds = |key: &str, from: u64, to: u64| {
            let number = text(key).parse().ok().filter(|number| (from..=to).contains(number));
            let wrong = || format!("`{key}` is a number of seconds from {from} to {to}");
            number.map(Duration::from_secs).ok_or_else(wrong)
        };
        let gib = |key: &str| {
            let number = text(key).parse::<u64>().ok().filter(|number| (1..=1000).contains(number));
            number.map(|gib| gib << 30).ok_or_else(|| format!("`{key}` is from 1 to 1000"))
        };
        let one = |key: &str, no: &str, yes: &str| match text(key) {
            value if value == yes => Ok(true),
            value if value == no => Ok(false),
            value => Err(format!("`{key}` is `{no}` or `{yes}` and not `{value}`")),
        };
        let url = text("public-url").trim_end_matches('/').to_owned();
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("`public-url` begins with http:// or https:// and is not `{url}`"));
        }
        Ok(Self {
            djs: Djs::written(&get("djs").unwrap_or_default())?,
            any_takes_over: one("takeover", "same", "any")?,
            silence: seconds("silence", 1, 60)?,
            records: one("record", "no", "yes")?,
            shortest_recording: seconds("shortest-recording", 0, 3600)?,
            recordings_bytes: gib("recordings-gib")?,
            public_url: (!url.is_empty()).then_some(url),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(changed: (&str, &str)) -> Result<Settings, String> {
        let usual = [
            ("djs", "ada:one"),
            ("takeover", "same"),
            ("silence", "3"),
            ("record", "yes"),
            ("shortest-recording", "10"),
            ("recordings-gib", "10"),
        ];
        Settings::of(|key| {
            let all = [changed].into_iter().chain(usual);
            let mut all = all.filter(|(name, _)| *name == key);
            all.next().map(|(_, value)| value.to_owned())
        })
    }

    #[test]
    fn a_mistake_is_an_error_and_says_what_is_meant() {
        assert!(of(("", "")).is_ok_and(|settings| settings.records && !settings.any_takes_over));
        assert!(of(("djs", "")).is_ok_and(|settings| settings.djs.is_empty()));
        let url = of(("public-url", "https://radio.example/")).unwrap().public_url;
        assert_eq!(url.as_deref(), Some("https://radio.example"));
        for wrong in [
            ("djs", "ada"),
            ("takeover", "all"),
            ("silence", "0"),
            ("record", "true"),
            ("shortest-recording", "x"),
            ("recordings-gib", "0"),
            ("public-url", "radio.example"),
        ] {
            assert!(of(wrong).unwrap_err().contains(wrong.0), "{wrong:?}");
        }
    }
}
