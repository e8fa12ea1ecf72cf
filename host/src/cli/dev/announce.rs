//! Says what serves now, a line for each new version: `counters 0.1.3 live in 84 ms`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    cli::output::Style,
    plugins::{Generation, Watch},
};

/// When the component of each plugin was written last.
#[derive(Default)]
pub(super) struct Written(Mutex<HashMap<String, Instant>>);

impl Written {
    /// A plugin's component is there.
    pub(super) fn note(&self, plugin: &str) {
        self.lock().insert(plugin.to_owned(), Instant::now());
    }

    /// For how long it has been there, if nobody has asked before.
    fn take(&self, plugin: &str) -> Option<Duration> {
        self.lock().remove(plugin).map(|written| written.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Say what comes to serve after what serves now, until the host stops.
pub(super) async fn announce(mut live: Watch, written: &Written, style: Style) {
    let mut known: HashMap<_, _> = numbers(&live);
    while live.changed().await.is_ok() {
        let now = live.borrow_and_update().clone();
        for generation in &now.generations {
            let before = known.insert(generation.plugin.clone(), generation.number);
            if before != Some(generation.number) {
                println!("{}", line(generation, written.take(&generation.plugin), style));
            }
        }
        known.retain(|plugin, _| now.generations.iter().any(|live| live.plugin == *plugin));
    }
}

fn numbers(live: &Watch) -> HashMap<std::sync::Arc<str>, u64> {
    let live = live.borrow();
    live.generations.iter().map(|live| (live.plugin.clone(), live.number)).collect()
}

fn line(generation: &Generation, took: Option<Duration>, style: Style) -> String {
    let version = generation.manifest().version.as_deref();
    said(&generation.plugin, version, took, style)
}

fn said(plugin: &str, version: Option<&str>, took: Option<Duration>, style: Style) -> String {
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    let took = took.map(|took| format!(" in {} ms", took.as_millis())).unwrap_or_default();
    format!("{plugin}{version} {}{took}", style.green("live"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_version_serves_since_when() {
        let took = Some(Duration::from_millis(84));
        let said = |version, took| said("counters", version, took, Style(false));
        assert_eq!(said(Some("0.1.3"), took), "counters 0.1.3 live in 84 ms");
        assert_eq!(said(None, None), "counters live");
    }

    #[test]
    fn the_time_counts_from_the_last_writing_and_once() {
        let written = Written::default();
        assert_eq!(written.take("counters"), None);
        written.note("counters");
        assert!(written.take("counters").is_some() && written.take("counters").is_none());
    }
}
