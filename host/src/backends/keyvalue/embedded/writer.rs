//! Who alone writes: what waits becomes one batch and one sync.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tokio::sync::{mpsc, oneshot};

use super::super::{Error, Result, Swap};

/// The most writes that share a sync.
const GROUP: usize = 1024;
/// How long lies between two tries to open the directory again.
const RETRY: Duration = Duration::from_millis(100);

/// What can be read; nothing while the directory is to be opened again.
pub type Values = ArcSwapOption<Keyspace>;

/// A write that waits.
pub struct Write {
    /// What to write.
    pub change: Change,
    /// Who waits for it.
    pub answer: oneshot::Sender<Result<Answer>>,
}

/// What to write.
pub enum Change {
    /// Values to write, `None` to remove.
    Put(Vec<(Vec<u8>, Option<Bytes>)>),
    /// Key, its name in the store, what to add.
    Add(Vec<u8>, String, i64),
    /// Key, what it must be, what it becomes.
    Swap(Vec<u8>, Option<Bytes>, Bytes),
}

/// What came of it.
pub enum Answer {
    /// It is durable.
    Written,
    /// So is the sum.
    Sum(i64),
    /// So is the value, or another one was there.
    Swapped(Swap),
}

/// Who alone writes.
pub struct Writer {
    directory: PathBuf,
    values: Arc<Values>,
    /// `None` after a write that failed.
    database: Option<Database>,
    /// When the directory was to be opened last.
    tried: Instant,
}

impl Writer {
    /// Open the directory, and what is read of it.
    pub fn open(directory: &Path) -> fjall::Result<(Self, Arc<Values>)> {
        let (database, keyspace) = open(directory)?;
        let values = Arc::new(Values::from_pointee(keyspace));
        let writer = Self {
            directory: directory.to_owned(),
            values: Arc::clone(&values),
            database: Some(database),
            tried: Instant::now(),
        };
        Ok((writer, values))
    }

    /// Write what comes until every store is gone.
    pub fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        let mut group = Vec::with_capacity(GROUP);
        while queue.blocking_recv_many(&mut group, GROUP) > 0 {
            self.repair();
            let opened = self.database.as_ref().zip(self.values.load_full());
            // Who no longer waits does not care.
            let Some((database, keyspace)) = opened else {
                let away = || Err(Error::Unavailable("a write failed".into()));
                group.drain(..).for_each(|write| drop(write.answer.send(away())));
                continue;
            };
            let mut pending = Pending { keyspace: &keyspace, values: HashMap::new() };
            let answers: Vec<_> =
                group.drain(..).map(|write| (write.answer, pending.apply(write.change))).collect();
            let written = pending.commit(database);
            drop(keyspace);
            if written.is_err() {
                self.values.store(None);
                self.database = None;
            }
            for (waiting, answer) in answers {
                let _ = waiting.send(written.clone().and(answer));
            }
        }
    }

    /// Open the directory again, if a write failed.
    fn repair(&mut self) {
        if self.database.is_some() || self.tried.elapsed() < RETRY {
            return;
        }
        self.tried = Instant::now();
        // Locked as long as somebody reads from what was open before.
        match open(&self.directory) {
            Ok((database, keyspace)) => {
                tracing::info!("the key-value store is open again after a failed write");
                self.values.store(Some(Arc::new(keyspace)));
                self.database = Some(database);
            }
            Err(error) => tracing::debug!(%error, "the key-value store does not open"),
        }
    }
}

/// The writes of a group, which the later ones of it already see.
struct Pending<'a> {
    keyspace: &'a Keyspace,
    values: HashMap<Vec<u8>, Option<Bytes>>,
}

impl Pending<'_> {
    fn apply(&mut self, change: Change) -> Result<Answer> {
        match change {
            Change::Put(values) => {
                self.values.extend(values);
                Ok(Answer::Written)
            }
            Change::Add(key, name, delta) => {
                let before = match self.get(&key)? {
                    Some(value) => {
                        std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok())
                    }
                    None => Some(0_i64),
                };
                let before = before.ok_or_else(|| Error::NotANumber(name.clone()))?;
                let sum = before.checked_add(delta).ok_or(Error::OutOfRange(name))?;
                self.values.insert(key, Some(sum.to_string().into()));
                Ok(Answer::Sum(sum))
            }
            Change::Swap(key, expected, value) => {
                let now = self.get(&key)?;
                if now != expected {
                    return Ok(Answer::Swapped(Swap::Lost(now)));
                }
                self.values.insert(key, Some(value));
                Ok(Answer::Swapped(Swap::Done))
            }
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.values.get(key) {
            Some(value) => Ok(value.clone()),
            None => read(self.keyspace, key),
        }
    }

    fn commit(self, database: &Database) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        let mut batch = database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in self.values {
            match value {
                Some(value) => batch.insert(self.keyspace, key, value),
                None => batch.remove(self.keyspace, key),
            }
        }
        batch.commit().map_err(failed)
    }
}

/// The value of a key.
pub fn read(keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>> {
    Ok(keyspace.get(key).map_err(failed)?.map(Bytes::from))
}

/// What callers are told; the log has the reason.
pub fn failed(error: fjall::Error) -> Error {
    tracing::warn!(%error, "the key-value store failed");
    Error::Unavailable("it failed".into())
}

fn open(directory: &Path) -> fjall::Result<(Database, Keyspace)> {
    let database = Database::builder(directory)
        .worker_threads(1)
        .max_journaling_size(64 << 20)
        .manual_journal_persist(true)
        .open()?;
    let keyspace = database.keyspace("values", KeyspaceCreateOptions::default)?;
    Ok((database, keyspace))
}
