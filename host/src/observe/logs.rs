//! The recent log lines, for `trellis logs`.
//!
//! ```text
//!  event ── filter ── line ──┬─ ring (bounded, shared fairly) ── whoever asks
//!                            └─ broadcast (bounded) ── whoever follows
//! ```

use std::{
    borrow::Cow,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

mod ring;

use ring::Ring;

/// Bytes of all lines in the ring together.
const MAX_BYTES: usize = 16 << 20;
/// The longest message, and the longest value of a field.
const MAX_TEXT: usize = 16 << 10;
/// Lines that a follower may be behind before it misses some.
const FOLLOWING: usize = 4096;

/// One line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// `TRACE`, `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub level: Cow<'static, str>,
    /// The room that wrote it; `plugin` for a plugin's own lines.
    pub target: Cow<'static, str>,
    /// The plugin that wrote it or that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The text.
    pub message: String,
    /// Further fields, in the order of the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(Cow<'static, str>, String)>,
}

impl Line {
    fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        let plugin = self.plugin.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.target.len() + plugin + self.message.len() + fields
    }
}

/// The recent lines and a way to follow the next ones. Clones share them.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    most: usize,
    ring: Mutex<Ring>,
    followers: broadcast::Sender<Arc<Line>>,
}

impl Logs {
    /// Keep at most this many lines.
    pub fn new(most: usize) -> Self {
        let (followers, _) = broadcast::channel(FOLLOWING);
        Self(Arc::new(Shared { most, ring: Mutex::default(), followers }))
    }

    /// What fills it.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        Recorder(self.clone())
    }

    /// The last `most` lines, oldest first; those about one plugin, if one is named.
    pub fn recent(&self, plugin: Option<&str>, most: usize) -> Vec<Arc<Line>> {
        self.ring().recent(plugin, most)
    }

    /// The same, and every line after them: none is missed or there twice. A receiver that
    /// falls behind is told how many lines it missed. It gets the lines of all plugins.
    pub fn follow(
        &self,
        plugin: Option<&str>,
        most: usize,
    ) -> (Vec<Arc<Line>>, broadcast::Receiver<Arc<Line>>) {
        let ring = self.ring();
        (ring.recent(plugin, most), self.0.followers.subscribe())
    }

    fn push(&self, line: Line) {
        let line = Arc::new(line);
        let mut ring = self.ring();
        ring.push(line.clone(), self.0.most, MAX_BYTES);
        // Under the lock, so that a follower sees each line once. Nobody may be following.
        let _ = self.0.followers.send(line);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Recorder(Logs);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = Line {
            time_ms: now.as_millis() as u64,
            level: metadata.level().as_str().into(),
            target: metadata.target().into(),
            ..Line::default()
        };
        event.record(&mut line);
        self.0.push(line);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Capped(String::new());
        // The only error is that the text is full.
        let _ = write!(text, "{value:?}");
        self.put(field.name(), text.0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value[..value.floor_char_boundary(MAX_TEXT)].to_owned());
    }
}

impl Line {
    fn put(&mut self, name: &'static str, text: String) {
        match name {
            "message" => self.message = text,
            "plugin" => self.plugin = Some(text),
            _ => self.fields.push((name.into(), text)),
        }
    }
}

/// Takes text until it has enough.
struct Capped(String);

impl Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        let fits = text.floor_char_boundary(room);
        self.0.push_str(&text[..fits]);
        if fits < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn logging<T>(logs: &Logs, body: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(logs.layer());
        tracing::subscriber::with_default(subscriber, body)
    }

    fn messages(lines: &[Arc<Line>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn a_line_has_the_parts_of_its_event() {
        let logs = Logs::new(10);
        let reason = "broken".to_owned();
        logging(&logs, || {
            tracing::warn!(target: "host", plugin = %"shop", reason, attempts = 3, "not {}", "loaded");
        });
        let line = Line { time_ms: 0, ..(*logs.recent(None, 9)[0]).clone() };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"time-ms":0,"level":"WARN","target":"host","plugin":"shop","message":"not loaded","fields":[["reason","broken"],["attempts","3"]]}"#
        );
        let read: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!(read, line);
    }

    #[test]
    fn the_oldest_lines_make_room_and_a_plugin_can_be_picked() {
        let logs = Logs::new(4);
        logging(&logs, || {
            for number in 0..6 {
                let plugin = if number % 2 == 0 { "even" } else { "odd" };
                tracing::info!(plugin, "{number}");
            }
        });
        assert_eq!(messages(&logs.recent(None, 9)), ["2", "3", "4", "5"]);
        assert_eq!(messages(&logs.recent(None, 1)), ["5"]);
        assert_eq!(messages(&logs.recent(Some("even"), 9)), ["2", "4"]);
        assert!(logs.recent(Some("none"), 9).is_empty());
    }

    #[test]
    fn long_lines_are_cut_and_the_ring_is_bounded_in_bytes() {
        let logs = Logs::new(10_000);
        let long = "ü".repeat(MAX_TEXT);
        logging(&logs, || {
            for _ in 0..1500 {
                tracing::info!("{long}");
            }
        });
        let lines = logs.recent(None, usize::MAX);
        assert_eq!(lines[0].message.len(), MAX_TEXT);
        let bytes: usize = lines.iter().map(|line| line.size()).sum();
        assert!(bytes <= MAX_BYTES && lines.len() > 900, "{}", lines.len());
    }

    #[test]
    fn a_follower_gets_every_line_once() {
        let logs = Logs::new(10);
        logging(&logs, || {
            tracing::info!("before");
            let (before, mut after) = logs.follow(None, 10);
            tracing::info!("after");
            assert_eq!(messages(&before), ["before"]);
            assert_eq!(after.try_recv().unwrap().message, "after");
            assert!(after.try_recv().is_err());
        });
    }
}
