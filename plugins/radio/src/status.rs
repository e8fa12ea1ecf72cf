//! What plays where, for programs: as Icecast tells it, and as the page asks for it.

use serde::Serialize;
use serde_json::{Value, json};
use trellis_sdk::channels;

use crate::clock::{iso, mail};
use crate::live::Live;
use crate::mount::{self, About, Mount, Record};
use crate::now::{Now, Title};
use crate::playout::Deck;
use crate::settings::{self, Settings};
use crate::store;

/// All that is known of a mount now.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Its name.
    pub mount: Mount,
    /// The media type.
    #[serde(rename = "type")]
    pub content_type: &'static str,
    /// What it says of itself.
    pub about: About,
    /// Who is live.
    pub live: Option<String>,
    /// Whether there is something to hear.
    pub sounds: bool,
    /// What plays; empty in silence.
    pub title: String,
    /// Who listens on this host, and the most who ever did at a time.
    pub listeners: u32,
    /// See `listeners`.
    pub peak: u32,
    /// When somebody began to play, in milliseconds since 1970.
    pub started_ms: u64,
    /// What played, the newest first.
    pub history: Vec<Title>,
}

impl Status {
    /// That of a mount which has this record.
    pub fn of(
        mount: Mount,
        record: &Record,
        now_ms: u64,
        settings: &Settings,
    ) -> store::Result<Self> {
        let (now, live) = (Now::of(&mount)?, Live::of(&mount)?);
        let live = live.filter(|live| live.is_heard(now_ms, settings));
        let sounds = live.is_some() || Deck::of(&mount)?.is_heard(now_ms);
        let title = now.titles.first().map(|title| title.title.clone()).unwrap_or_default();
        let listeners = channels::listeners(&mount.channel());
        Ok(Self {
            content_type: record.format.content_type(),
            about: record.about(),
            live: live.map(|live| live.dj),
            sounds,
            title: if sounds { title } else { String::new() },
            listeners,
            peak: now.peak.max(listeners),
            started_ms: now.started_ms,
            history: now.titles,
            mount,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        if self.about.name.is_empty() { self.mount.stem() } else { &self.about.name }
    }
}

/// That of all mounts.
pub fn all(now_ms: u64) -> store::Result<Vec<Status>> {
    let Ok(settings) = settings::get() else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for mount in mount::all()? {
        if let Some(record) = mount.record()? {
            all.push(Status::of(mount, &record, now_ms, settings)?);
        }
    }
    Ok(all)
}

/// Where listeners reach the radio: as the operator says, or as this client did.
pub fn base(settings: &Settings, host: Option<&str>, scheme: Option<&str>) -> String {
    let usual = || format!("{}://{}", scheme.unwrap_or("http"), host.unwrap_or("localhost"));
    settings.public_url.clone().unwrap_or_else(usual)
}

/// As `/status-json.xsl` of Icecast 2.4, except that `source` is a list also of one.
pub fn icecast(base: &str, now_ms: u64) -> store::Result<String> {
    let statuses = all(now_ms)?;
    let started_ms = statuses.iter().map(|status| status.started_ms).filter(|ms| *ms > 0).min();
    let started_ms = started_ms.unwrap_or(now_ms);
    let host = base.split_once("://").map_or(base, |(_, host)| host);
    let sources: Vec<_> =
        statuses.iter().filter(|status| status.sounds).map(|status| source(status, base)).collect();
    let stats = json!({
        "admin": "", "host": host, "location": "", "server_id": "Trellis",
        "server_start": mail(started_ms), "server_start_iso8601": iso(started_ms), "source": sources,
    });
    Ok(json!({"icestats": stats}).to_string())
}

fn source(status: &Status, base: &str) -> Value {
    let About { genre, description, url, bitrate, .. } = &status.about;
    json!({
        "bitrate": bitrate, "genre": genre, "listener_peak": status.peak, "listeners": status.listeners,
        "listenurl": format!("{base}/radio/{}", status.mount.name()),
        "server_description": description, "server_name": status.name(),
        "server_type": status.content_type, "server_url": url,
        "stream_start": mail(status.started_ms), "stream_start_iso8601": iso(status.started_ms),
        "title": status.title, "dummy": null,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_source_has_the_fields_that_icecast_gives() {
        let status = Status {
            mount: Mount::named("lobby.mp3").unwrap(),
            content_type: "audio/mpeg",
            about: About { bitrate: 128, ..About::default() },
            live: None,
            sounds: true,
            title: "A - B".to_owned(),
            listeners: 2,
            peak: 3,
            started_ms: 0,
            history: vec![],
        };
        let source = source(&status, "https://radio.example");
        assert_eq!(source["listenurl"], "https://radio.example/radio/lobby.mp3");
        assert_eq!((&source["server_name"], &source["title"]), (&json!("lobby"), &json!("A - B")));
        assert_eq!(source["stream_start_iso8601"], "1970-01-01T00:00:00Z");
        assert_eq!((&source["listeners"], &source["listener_peak"]), (&json!(2), &json!(3)));
    }
}
