//! Which files changed, told once their writers are done with them.
//!
//! A write is settled when its file was closed or renamed into place. A file that is written but
//! never closed (through a mapping, on a filesystem without close events) settles after a quiet
//! time. Watched directories may be missing: their nearest ancestor is watched until they appear.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use tokio::sync::Notify;

/// How long a file that is still open must be quiet before it counts as settled.
const QUIET: Duration = Duration::from_secs(2);
/// How often files that are still open, and directories that are missing, are looked at again.
const LOOK: Duration = Duration::from_millis(250);
/// Beyond this many changed paths the answer is [`Settled::Everything`].
const MAX_PATHS: usize = 10_000;

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
#[error("files cannot be watched: {0}")]
pub struct Error(#[from] notify::Error);

/// A set of watched directories.
pub struct Changes {
    watcher: RecommendedWatcher,
    mode: RecursiveMode,
    /// What should be watched.
    watched: BTreeMap<PathBuf, Watched>,
    seen: Arc<Seen>,
}

/// How a directory is watched.
struct Watched {
    /// What stands in for it while it cannot be watched itself.
    at: PathBuf,
    /// Whether it was there when it was looked at last. One that is there and still cannot be
    /// watched, for lack of a permission, is no news each time.
    there: bool,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// These paths, as the watcher names them.
    Paths(BTreeSet<PathBuf>),
    /// So much, or something so unclear, that everything should be looked at.
    Everything,
}

#[derive(Default)]
struct Seen {
    marks: Mutex<Marks>,
    news: Notify,
}

#[derive(Default)]
struct Marks {
    settled: BTreeSet<PathBuf>,
    /// Files that were written to and not closed yet, with the time of the last write.
    open: BTreeMap<PathBuf, Instant>,
    everything: bool,
}

impl Changes {
    /// Watch nothing yet.
    pub fn new(recursive: bool) -> Result<Self, Error> {
        let seen: Arc<Seen> = Arc::default();
        let sink = seen.clone();
        let watcher = notify::recommended_watcher(move |event| sink.note(event))?;
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        Ok(Self { watcher, mode, watched: BTreeMap::new(), seen })
    }

    /// Watch exactly these directories from now on.
    pub fn watch(&mut self, dirs: &BTreeSet<PathBuf>) {
        let gone: Vec<_> =
            self.watched.keys().filter(|dir| !dirs.contains(*dir)).cloned().collect();
        for dir in gone {
            if let Some(Watched { at, .. }) = self.watched.remove(&dir)
                && !self.watched.values().any(|other| other.at == at)
            {
                // It may be gone from the disk as well.
                let _ = self.watcher.unwatch(&at);
            }
        }
        for dir in dirs {
            self.watch_nearest(dir);
        }
    }

    /// Wait until something has settled. Cancel safe.
    pub async fn next(&mut self) -> Settled {
        loop {
            let appeared = self.look_for_missing();
            if let Some(settled) = self.seen.take(appeared) {
                return settled;
            }
            let waiting = self.seen.lock().open.is_empty()
                && self.watched.iter().all(|(dir, w)| *dir == w.at);
            let news = self.seen.news.notified();
            if waiting {
                news.await;
            } else {
                let _ = tokio::time::timeout(LOOK, news).await;
            }
        }
    }

    /// Whether this file is being written right now.
    pub fn is_open(&self, path: &Path) -> bool {
        self.seen.lock().open.contains_key(path)
    }

    /// Watch a directory, or while it is missing its nearest ancestor.
    fn watch_nearest(&mut self, dir: &Path) {
        let there = dir.is_dir();
        if self.watched.get(dir).is_some_and(|watched| watched.at == dir && there) {
            return;
        }
        for at in dir.ancestors() {
            let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
            let mode = if at == dir { self.mode } else { RecursiveMode::NonRecursive };
            // A file in the place of the directory could be watched too, but nothing appears in it.
            if at.is_dir() && self.watcher.watch(at, mode).is_ok() {
                self.watched.insert(dir.to_owned(), Watched { at: at.to_owned(), there });
                return;
            }
        }
        self.watched.insert(dir.to_owned(), Watched { at: PathBuf::from("/"), there });
    }

    /// Take up directories that have appeared; whether one has. One that was deleted and made
    /// again lost its watch with the old inode, so its absence is noted here too.
    fn look_for_missing(&mut self) -> bool {
        let changed = self.watched.iter().filter(|(dir, watched)| watched.there != dir.is_dir());
        let changed: Vec<PathBuf> = changed.map(|(dir, _)| dir.clone()).collect();
        for dir in &changed {
            self.watched.remove(dir);
            self.watch_nearest(dir);
        }
        !changed.is_empty()
    }
}

impl Seen {
    fn lock(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by the watcher's thread.
    fn note(&self, event: notify::Result<notify::Event>) {
        let mut marks = self.lock();
        match event {
            Ok(event) if event.need_rescan() => marks.everything = true,
            Ok(event) => {
                for path in event.paths {
                    marks.note(event.kind, path);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the watcher of files reports a problem");
                marks.everything = true;
            }
        }
        if marks.settled.len() > MAX_PATHS {
            marks.settled.clear();
            marks.everything = true;
        }
        drop(marks);
        self.news.notify_one();
    }

    fn take(&self, everything: bool) -> Option<Settled> {
        let mut marks = self.lock();
        let quiet = |(_, at): &(&PathBuf, &Instant)| at.elapsed() >= QUIET;
        let quiet: Vec<_> = marks.open.iter().filter(quiet).map(|(path, _)| path.clone()).collect();
        for path in quiet {
            marks.open.remove(&path);
            marks.settled.insert(path);
        }
        let settled = std::mem::take(&mut marks.settled);
        if std::mem::take(&mut marks.everything) || everything {
            return Some(Settled::Everything);
        }
        (!settled.is_empty()).then_some(Settled::Paths(settled))
    }
}

impl Marks {
    fn note(&mut self, kind: EventKind, path: PathBuf) {
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.open.remove(&path);
                self.settled.insert(path);
            }
            EventKind::Modify(ModifyKind::Data(_)) => {
                self.open.insert(path, Instant::now());
            }
            EventKind::Create(CreateKind::File) if !is_link(&path) => {
                self.open.insert(path, Instant::now());
            }
            EventKind::Create(_)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Remove(_) => {
                self.open.remove(&path);
                self.settled.insert(path);
            }
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                self.settled.insert(path);
            }
            EventKind::Access(_) => {}
        }
    }
}

/// Whether a file was made whole, as a link of either kind, rather than to be written.
fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink() || found.nlink() > 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn next_with(changes: &mut Changes, name: &str) {
        loop {
            match tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap() {
                Settled::Everything => return,
                Settled::Paths(paths) if paths.iter().any(|path| path.ends_with(name)) => return,
                Settled::Paths(_) => {}
            }
        }
    }

    #[tokio::test]
    async fn a_file_settles_when_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut changes = Changes::new(false).unwrap();
        changes.watch(&[dir.path().to_owned()].into());
        let path = dir.path().join("a.wasm");
        for half in ["", "half"] {
            let mut file = fs::File::create(&path).unwrap();
            file.write_all(half.as_bytes()).unwrap();
            while !changes.is_open(&path) {
                tokio::task::yield_now().await;
            }
            assert_eq!(changes.seen.take(false), None);
            drop(file);
            next_with(&mut changes, "a.wasm").await;
            assert!(!changes.is_open(&path));
        }
    }

    #[tokio::test]
    async fn a_link_settles_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("target");
        fs::write(&target, "whole").unwrap();
        let mut changes = Changes::new(false).unwrap();
        changes.watch(&[dir.path().to_owned()].into());
        fs::hard_link(&target, dir.path().join("hard")).unwrap();
        next_with(&mut changes, "hard").await;
        std::os::unix::fs::symlink(&target, dir.path().join("soft")).unwrap();
        next_with(&mut changes, "soft").await;
        assert!(changes.seen.lock().open.is_empty());
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_a_directory_is_no_news_until_it_makes_way() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("plugins");
        fs::write(&dir, "in the way").unwrap();
        let mut changes = Changes::new(false).unwrap();
        changes.watch(&[dir.clone()].into());
        assert!(futures_util::FutureExt::now_or_never(changes.next()).is_none());
        fs::remove_file(&dir).unwrap();
        next_with(&mut changes, "plugins").await;
        fs::create_dir(&dir).unwrap();
        while changes.next().await != Settled::Everything {}
        fs::write(dir.join("a.wasm"), "x").unwrap();
        next_with(&mut changes, "a.wasm").await;
    }

    #[tokio::test]
    async fn a_directory_may_appear_later_and_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        let mut changes = Changes::new(false).unwrap();
        changes.watch(&[dir.clone()].into());
        for name in ["first", "second"] {
            fs::create_dir_all(&dir).unwrap();
            assert_eq!(changes.next().await, Settled::Everything);
            fs::write(dir.join(name), "x").unwrap();
            next_with(&mut changes, name).await;
            fs::remove_dir_all(root.path().join("a")).unwrap();
            while changes.next().await != Settled::Everything {}
        }
    }
}
