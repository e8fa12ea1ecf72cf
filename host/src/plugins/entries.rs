//! The files that were found, with what has become of each.
//!
//! All of it lies under one lock: what serves, who has claimed what, and what is still to be
//! tried change together.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    Generation,
    claims::Claims,
    folder::{Difference, Source},
    status::{State, Status},
};

/// Every file, by path.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) files: BTreeMap<PathBuf, Entry>,
    /// Who has what.
    pub(super) claims: Claims,
    /// Files of the first scan that have not been tried.
    untried: HashSet<PathBuf>,
}

/// One file.
#[derive(Default)]
pub(super) struct Entry {
    /// What is on disk; `None` once it is gone.
    wanted: Option<Source>,
    /// What the last attempt was made of; `None` where it is to be tried, first or again.
    tried: Option<Option<Source>>,
    /// Whether somebody brings it in step.
    busy: bool,
    /// The number of the last attempt.
    number: u64,
    pub(super) live: Option<Arc<Generation>>,
    pub(super) failure: Option<String>,
    pub(super) since_ms: u64,
}

/// What to try next for a file.
pub(super) struct Attempt {
    /// What is on disk; `None` if it is gone.
    pub(super) source: Option<Source>,
    /// The number of the generation that comes of it.
    pub(super) number: u64,
}

impl Entries {
    /// Take over what differs on disk. Answers the files that somebody must follow now.
    pub(super) fn reconcile(&mut self, difference: Difference) -> Vec<PathBuf> {
        let mut idle = Vec::new();
        for (path, source) in difference {
            let entry = self.files.entry(path.clone()).or_default();
            entry.wanted = source;
            if entry.take_up() {
                idle.push(path);
            }
        }
        idle
    }

    /// Note that the first scan found these.
    pub(super) fn expect(&mut self, first: &Difference) {
        self.untried.extend(first.keys().cloned());
    }

    /// Whether everything of the first scan has been tried, after this attempt has ended.
    pub(super) fn all_tried(&mut self, path: Option<&Path>) -> bool {
        path.is_none_or(|path| self.untried.remove(path)) && self.untried.is_empty()
    }

    /// What to try next for a file, or `None` when it is in step; then nobody follows it.
    pub(super) fn next_attempt(&mut self, path: &Path) -> Option<Attempt> {
        let entry = self.files.get_mut(path)?;
        if entry.in_step() {
            entry.busy = false;
            if entry.wanted.is_none() {
                self.files.remove(path);
            }
            return None;
        }
        entry.tried = Some(entry.wanted.clone());
        entry.number += 1;
        entry.since_ms = now_ms();
        self.claims.stop_waiting(path);
        Some(Attempt { source: entry.wanted.clone(), number: entry.number })
    }

    /// Take up a file that nobody follows, for a generation that does not come from what is on
    /// disk; its number. The caller follows the file afterwards.
    pub(super) fn take_up(&mut self, path: &Path) -> Option<u64> {
        let entry = self.files.get_mut(path).filter(|entry| !entry.busy)?;
        entry.busy = true;
        entry.number += 1;
        Some(entry.number)
    }

    /// Try this file again though it has not changed. Whether somebody must follow it now.
    pub(super) fn try_again(&mut self, path: &Path) -> bool {
        let Some(entry) = self.files.get_mut(path) else { return false };
        entry.tried = None;
        entry.take_up()
    }

    /// After an attempt: what serves now keeps its claims, the rest is free. Answers the files
    /// that somebody must follow now, because they waited for it.
    pub(super) fn settle(&mut self, path: &Path) -> Vec<PathBuf> {
        let live = self.files.get(path).and_then(|entry| entry.live.as_ref());
        let things = live.map(|live| live.claimed());
        let woken = self.claims.keep(path, things.unwrap_or(&HashSet::new()));
        woken.into_iter().filter(|path| self.try_again(path)).collect()
    }

    pub(super) fn live(&self, path: &Path) -> Option<&Arc<Generation>> {
        self.files.get(path)?.live.as_ref()
    }
}

impl Entry {
    /// Whether it is out of step and nobody follows it yet; the caller does from now on.
    fn take_up(&mut self) -> bool {
        let idle = !self.busy && !self.in_step();
        self.busy |= idle;
        idle
    }

    fn in_step(&self) -> bool {
        self.tried.as_ref() == Some(&self.wanted)
    }

    /// The plugin's name, as far as it is known.
    pub(super) fn name(&self, path: &Path) -> String {
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.live.as_ref().map_or_else(stem, |live| live.plugin.to_string())
    }

    /// The plugin as people see it.
    pub(super) fn status(&self, path: &Path) -> Status {
        let state = match (&self.failure, &self.live, self.busy) {
            (Some(_), _, _) => State::Failed,
            (None, Some(_), _) if self.wanted.is_none() => State::Draining,
            (None, Some(_), false) => State::Live,
            (None, _, _) => State::Loading,
        };
        let mut status = Status::new(self.name(path), state, self.since_ms);
        status.reason = self.failure.clone();
        status.file = Some(path.display().to_string());
        if let Some(live) = &self.live {
            live.describe(&mut status);
        }
        status
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_while_it_is_to_be_tried_again_is_taken_away_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, "a").unwrap();
        let there = Source::at(path.clone()).unwrap();
        let mut entries = Entries::default();
        let idle = entries.reconcile([(path.clone(), Some(there))].into());
        assert_eq!(idle.as_slice(), std::slice::from_ref(&path));
        assert!(entries.next_attempt(&path).unwrap().source.is_some());
        assert!(entries.reconcile([(path.clone(), None)].into()).is_empty());
        assert!(!entries.try_again(&path), "somebody follows it already");
        assert!(entries.next_attempt(&path).unwrap().source.is_none());
        assert!(entries.next_attempt(&path).is_none());
        assert!(entries.files.is_empty());
    }
}
