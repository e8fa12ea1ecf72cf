//! The series of the plugins: which exist, and the handle of each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata};

/// The longest name, label name and label value, in bytes, and the most labels of a series.
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 256;
pub const MAX_LABELS: usize = 16;
/// Before each name, so that no plugin writes to the host's own metrics.
const PREFIX: &str = "plugin_";
/// The label that the host adds.
const OWNER: &str = "plugin";

/// What a name stands for. One name is one kind for all plugins: the exposition has a type for
/// each name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The kind of every name that a plugin has used.
#[derive(Default)]
pub struct Kinds(Mutex<HashMap<Box<str>, Kind>>);

/// Where a number goes.
#[derive(Clone)]
pub enum Handle {
    /// To a counter.
    Counter(Counter),
    /// To a gauge.
    Gauge(Gauge),
    /// To a histogram.
    Histogram(Histogram),
}

/// The series of one plugin, over all its generations: what it once exposed stays exposed.
pub struct Series {
    plugin: Arc<str>,
    kinds: Arc<Kinds>,
    most: usize,
    handles: Mutex<HashMap<Key, Handle>>,
    dropped: Counter,
}

impl Series {
    /// No series yet.
    pub fn new(plugin: Arc<str>, kinds: Arc<Kinds>, most: usize) -> Self {
        let label = plugin.to_string();
        let dropped = metrics::counter!("trellis_metric_values_dropped_total", "plugin" => label);
        Self { plugin, kinds, most, handles: Mutex::default(), dropped }
    }

    /// Count a value that was not taken.
    pub fn drop_one(&self) {
        self.dropped.increment(1);
    }

    /// The handle of a series, made at its first use. `None` when the name or a label is not
    /// allowed, when the name is of another kind, or when the plugin has its share.
    pub fn handle(&self, kind: Kind, name: &str, labels: &[(String, String)]) -> Option<Handle> {
        let key = self.key(name, labels)?;
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(&key) {
            return (handle.kind() == kind).then(|| handle.clone());
        }
        if handles.len() >= self.most || !self.kinds.is(key.name(), kind) {
            return None;
        }
        let handle = register(kind, &key);
        handles.insert(key, handle.clone());
        Some(handle)
    }

    fn key(&self, name: &str, labels: &[(String, String)]) -> Option<Key> {
        if !is_name(name) || labels.len() > MAX_LABELS {
            return None;
        }
        let mut named: Vec<Label> = Vec::with_capacity(labels.len() + 1);
        named.push(Label::new(OWNER, self.plugin.clone()));
        for (label, value) in labels {
            let taken = named.iter().any(|known| known.key() == label);
            // Names that start with two underscores belong to Prometheus.
            if !is_name(label) || label.starts_with("__") || taken || value.len() > MAX_VALUE {
                return None;
            }
            named.push(Label::new(label.clone(), value.clone()));
        }
        named[1..].sort();
        Some(Key::from_parts(format!("{PREFIX}{name}"), named))
    }
}

impl Kinds {
    /// Whether the name is of this kind, or becomes it now.
    fn is(&self, name: &str, kind: Kind) -> bool {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get(name) {
            Some(known) => *known == kind,
            None => {
                kinds.insert(name.into(), kind);
                true
            }
        }
    }
}

impl Handle {
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

fn register(kind: Kind, key: &Key) -> Handle {
    let metadata = Metadata::new("plugin", Level::INFO, None);
    metrics::with_recorder(|recorder| match kind {
        Kind::Counter => Handle::Counter(recorder.register_counter(key, &metadata)),
        Kind::Gauge => Handle::Gauge(recorder.register_gauge(key, &metadata)),
        Kind::Histogram => Handle::Histogram(recorder.register_histogram(key, &metadata)),
    })
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, not too long.
fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    starts && name.len() <= MAX_NAME && name.chars().all(word)
}
