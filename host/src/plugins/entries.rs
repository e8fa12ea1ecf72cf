//! The files that were found, with what has become of each.
//!
//! All of it lies under one lock: what serves, who has claimed what, and what is still to be
//! tried change together.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Canary, Generation,
    claims::Claims,
    folder::{Difference, Source},
    status::{Split, State, Status, Version, VersionState, Weights},
};
use crate::quantity::now_ms;

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
    /// What serves.
    pub(super) live: Option<Arc<Generation>>,
    /// What gets a part of the requests.
    pub(super) canary: Option<Arc<Canary>>,
    /// What ends its calls.
    draining: Vec<Arc<Generation>>,
    pub(super) failure: Option<String>,
    pub(super) since_ms: u64,
    /// How often the host went back by itself.
    pub(super) reverts: u64,
    /// Whether the next attempt is an operator's, who knows that the version was taken back.
    insisted: bool,
    /// What the host itself has put there and has not been told of by the directory yet.
    restored: Option<Source>,
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
            if entry.is_ours(source.as_ref()) {
                continue;
            }
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

    /// The number for one more generation of a file that somebody follows.
    pub(super) fn next_number(&mut self, path: &Path) -> u64 {
        let Some(entry) = self.files.get_mut(path) else { return 1 };
        entry.number += 1;
        entry.number
    }

    /// Try a file again because an operator wants it. Whether somebody must follow it now.
    pub(super) fn insist(&mut self, path: &Path) -> bool {
        if let Some(entry) = self.files.get_mut(path) {
            entry.insisted = true;
        }
        self.try_again(path)
    }

    /// Whether this attempt is the one that an operator wants.
    pub(super) fn take_insistence(&mut self, path: &Path) -> bool {
        self.files.get_mut(path).is_some_and(|entry| std::mem::take(&mut entry.insisted))
    }

    /// The host has put this there, and it serves.
    pub(super) fn put_back(&mut self, path: &Path, source: Source) {
        let Some(entry) = self.files.get_mut(path) else { return };
        entry.wanted = Some(source.clone());
        entry.tried = Some(entry.wanted.clone());
        entry.restored = Some(source);
        entry.failure = None;
    }

    /// A generation ends its calls, or has ended them.
    pub(super) fn drains(&mut self, path: &Path, generation: &Arc<Generation>, ended: bool) {
        let Some(entry) = self.files.get_mut(path) else { return };
        match ended {
            true => entry.draining.retain(|other| !Arc::ptr_eq(other, generation)),
            false => entry.draining.push(generation.clone()),
        }
    }

    /// The file of a plugin: the one it serves from, else the one that has its name.
    pub(super) fn named(&self, plugin: &str) -> Option<(&PathBuf, &Entry)> {
        let serves = |(_, entry): &(&PathBuf, &Entry)| {
            entry.live.as_ref().is_some_and(|live| *live.plugin == *plugin)
        };
        let named = |(path, entry): &(&PathBuf, &Entry)| entry.name(path) == plugin;
        self.files.iter().find(serves).or_else(|| self.files.iter().find(named))
    }

    /// Whether nobody follows a file.
    pub(super) fn is_idle(&self, path: &Path) -> bool {
        self.files.get(path).is_none_or(|entry| !entry.busy)
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
        let things = self.files.get(path).map(Entry::claimed).unwrap_or_default();
        let woken = self.claims.keep(path, &things);
        woken.into_iter().filter(|path| self.try_again(path)).collect()
    }

    pub(super) fn live(&self, path: &Path) -> Option<&Arc<Generation>> {
        self.files.get(path)?.live.as_ref()
    }

    pub(super) fn canary(&self, path: &Path) -> Option<&Arc<Canary>> {
        self.files.get(path)?.canary.as_ref()
    }

    /// The digests of the components of all generations.
    pub(super) fn components(&self) -> BTreeSet<String> {
        let all = self.files.values().flat_map(Entry::generations);
        all.map(|(generation, ..)| generation.blueprint().digest.to_string()).collect()
    }
}

impl Entry {
    /// Whether it is out of step and nobody follows it yet; the caller does from now on.
    fn take_up(&mut self) -> bool {
        let idle = !self.busy && !self.in_step();
        self.busy |= idle;
        idle
    }

    /// Whether this says no more than that the host has put something there itself. What lay there
    /// in between, of two files one after the other, is not looked at.
    fn is_ours(&mut self, source: Option<&Source>) -> bool {
        let Some(restored) = &self.restored else { return false };
        if source.is_some_and(|source| !source.is_current()) {
            return true;
        }
        let ours = source == Some(restored);
        self.restored = None;
        ours
    }

    /// What the generations that take calls have for themselves.
    fn claimed(&self) -> HashSet<String> {
        let canary = self.canary.as_ref().map(|canary| &canary.generation);
        let both = self.live.iter().chain(canary);
        both.flat_map(|generation| generation.claimed().iter().cloned()).collect()
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
        status.reverts = self.reverts;
        status.split = self.canary.as_ref().map(|canary| Split {
            weights: canary.weights,
            generation: Some(canary.generation.number),
        });
        if let Some(live) = &self.live {
            live.describe(&mut status);
        }
        status
    }

    /// Its generations with their parts of the requests, the newest first.
    pub(super) fn generations(&self) -> Vec<(Arc<Generation>, VersionState, f64)> {
        let share = self.canary.as_ref().map_or(0.0, |canary| canary.weights.share());
        let canary = self.canary.as_ref().map(|canary| &canary.generation);
        let canary = canary.map(|canary| (canary.clone(), VersionState::Canary, share));
        let live = self.live.clone().map(|live| (live, VersionState::Live, 1.0 - share));
        let draining = self.draining.iter().rev();
        let draining = draining.map(|old| (old.clone(), VersionState::Draining, 0.0));
        canary.into_iter().chain(live).chain(draining).collect()
    }

    /// The same as people see them.
    pub(super) fn versions(&self) -> Vec<Version> {
        let all = self.generations().into_iter();
        all.map(|(generation, state, weight)| generation.as_version(state, weight)).collect()
    }

    /// Give the candidate another part of the requests.
    pub(super) fn reweigh(&mut self, weights: Weights) {
        self.canary = self
            .canary
            .take()
            .map(|canary| Arc::new(Canary { generation: canary.generation.clone(), weights }));
    }
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
