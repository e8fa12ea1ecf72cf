//! Key-value stores in fjall, all in one directory and one keyspace.
//!
//! A key is kept behind the name of its namespace. Writes go through one thread, which takes all
//! that wait, writes them as one batch and syncs once (group commit): with n writers a sync costs
//! each an n-th. Since it alone writes, adding and comparing need no locks.
//!
//! ```text
//!  set ────────┐
//!  increment ──┼─▶ queue (bounded) ─▶ writer: apply … apply, sync ─▶ answers
//!  swap ───────┘
//!  get, keys ─────▶ a thread for blocking work ─▶ fjall
//! ```

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{mpsc, oneshot};

use super::{
    Cursor, Error, KeyValue, MAX_BYTES, MAX_KEY, MAX_KEYS, Namespace, Page, Result, Store, Swap,
};

/// Writes that may wait for the writer.
const QUEUE: usize = 1024;
/// The most writes that share a sync.
const GROUP: usize = 1024;
/// The most keys a page really has, so that one is read in a few milliseconds.
const PAGE: usize = 1000;

/// The stores.
pub struct Embedded {
    keyspace: Keyspace,
    writer: mpsc::Sender<Write>,
}

impl Embedded {
    /// Open the directory, created when it is not there. One process at a time.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let database = Database::builder(directory)
            .worker_threads(1)
            .max_journaling_size(64 << 20)
            .manual_journal_persist(true)
            .open()
            .map_err(|error| unopened(directory.to_owned(), error))?;
        let keyspace = database
            .keyspace("values", KeyspaceCreateOptions::default)
            .map_err(|error| unopened(directory.to_owned(), error))?;
        let (writer, queue) = mpsc::channel(QUEUE);
        let values = keyspace.clone();
        thread::Builder::new()
            .name("keyvalue".into())
            .spawn(move || run(&database, &values, queue))?;
        Ok(Self { keyspace, writer })
    }
}

fn unopened(directory: PathBuf, error: fjall::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot open the key-value store in `{}`: {error}", directory.display())
}

impl KeyValue for Embedded {
    fn store(&self, namespace: Namespace<'_>) -> Arc<dyn Store> {
        Arc::new(Room {
            prefix: prefix(namespace).into(),
            keyspace: self.keyspace.clone(),
            writer: self.writer.clone(),
        })
    }
}

/// What the keys of a namespace begin with. Lengths before names, so none begins with another.
fn prefix(namespace: Namespace<'_>) -> Vec<u8> {
    let (kind, parts) = match namespace {
        Namespace::Own { plugin, store } => (0, vec![plugin, store]),
        Namespace::Shared(store) => (1, vec![store]),
        Namespace::Host(store) => (2, vec![store]),
    };
    let mut prefix = vec![kind];
    for part in parts {
        prefix.extend((part.len() as u32).to_be_bytes());
        prefix.extend(part.as_bytes());
    }
    prefix
}

/// A write that waits.
struct Write {
    change: Change,
    answer: oneshot::Sender<Result<Answer>>,
}

enum Change {
    /// Values to write, `None` to remove.
    Put(Vec<(Vec<u8>, Option<Bytes>)>),
    /// Key, its name in the store, what to add.
    Add(Vec<u8>, String, i64),
    /// Key, what it must be, what it becomes.
    Swap(Vec<u8>, Option<Bytes>, Bytes),
}

enum Answer {
    Written,
    Sum(i64),
    Swapped(Swap),
}

/// Write what comes until every store is gone.
fn run(database: &Database, keyspace: &Keyspace, mut queue: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        let mut pending = Pending { keyspace, values: HashMap::new() };
        let answers: Vec<_> =
            group.drain(..).map(|write| (write.answer, pending.apply(write.change))).collect();
        let written = pending.commit(database);
        for (waiting, answer) in answers {
            // Who no longer waits does not care.
            let _ = waiting.send(written.clone().and(answer));
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

fn read(keyspace: &Keyspace, key: &[u8]) -> Result<Option<Bytes>> {
    Ok(keyspace.get(key).map_err(failed)?.map(Bytes::from))
}

fn failed(error: fjall::Error) -> Error {
    tracing::warn!(%error, "the key-value store failed");
    Error::Unavailable("it failed".into())
}

/// One store.
struct Room {
    prefix: Arc<[u8]>,
    keyspace: Keyspace,
    writer: mpsc::Sender<Write>,
}

impl Room {
    fn key(&self, key: &str) -> Result<Vec<u8>> {
        if key.len() > MAX_KEY { Err(Error::TooLarge) } else { Ok(self.raw(key)) }
    }

    fn raw(&self, key: &str) -> Vec<u8> {
        [&self.prefix, key.as_bytes()].concat()
    }

    async fn write(&self, change: Change) -> Result<Answer> {
        let gone = || Error::Unavailable("its writer has ended".into());
        let (answer, waiting) = oneshot::channel();
        self.writer.send(Write { change, answer }).await.map_err(|_| gone())?;
        waiting.await.map_err(|_| gone())?
    }

    /// Read on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keyspace) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let keyspace = self.keyspace.clone();
        let read = tokio::task::spawn_blocking(move || work(&keyspace)).await;
        read.map_err(|_| Error::Unavailable("the host is shutting down".into()))?
    }

    async fn put(&self, values: Result<Vec<(Vec<u8>, Option<Bytes>)>>) -> Result<()> {
        let values = values?;
        let size = |(key, value): &(Vec<u8>, Option<Bytes>)| {
            key.len() + value.as_ref().map_or(0, Bytes::len)
        };
        if values.len() > MAX_KEYS || values.iter().map(size).sum::<usize>() > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        self.write(Change::Put(values)).await.map(drop)
    }
}

impl Store for Room {
    fn get_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        async move {
            if keys.len() > MAX_KEYS {
                return Err(Error::TooLarge);
            }
            let keys: Vec<_> = keys.iter().map(|key| self.key(key)).collect::<Result<_>>()?;
            self.read(move |keyspace| {
                let mut bytes = 0;
                let read = |key: Vec<u8>| {
                    let value = read(keyspace, &key)?;
                    bytes += value.as_ref().map_or(0, Bytes::len);
                    if bytes > MAX_BYTES { Err(Error::TooLarge) } else { Ok(value) }
                };
                keys.into_iter().map(read).collect()
            })
            .await
        }
        .boxed()
    }

    fn set_many(&self, pairs: Vec<(String, Bytes)>) -> BoxFuture<'_, Result<()>> {
        let values = pairs.into_iter().map(|(key, value)| Ok((self.key(&key)?, Some(value))));
        self.put(values.collect()).boxed()
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>> {
        let values = keys.into_iter().map(|key| Ok((self.key(&key)?, None)));
        self.put(values.collect()).boxed()
    }

    fn keys(&self, from: Cursor) -> BoxFuture<'_, Result<Page>> {
        let prefix = self.prefix.clone();
        let (start, skip) = match from {
            Cursor::First => (prefix.to_vec(), 0),
            // The smallest key behind this one.
            Cursor::After(key) => ([&self.raw(&key)[..], &[0]].concat(), 0),
            Cursor::Skip(count) => (prefix.to_vec(), usize::try_from(count).unwrap_or(usize::MAX)),
        };
        self.read(move |keyspace| {
            let mut keys = Vec::new();
            for entry in keyspace.range(start..).skip(skip) {
                let key = entry.key().map_err(failed)?;
                let Some(name) = key.strip_prefix(&*prefix) else { break };
                if keys.len() == PAGE {
                    return Ok(Page { keys, more: true });
                }
                keys.push(String::from_utf8_lossy(name).into_owned());
            }
            Ok(Page { keys, more: false })
        })
        .boxed()
    }

    fn increment(&self, key: String, delta: i64) -> BoxFuture<'_, Result<i64>> {
        async move {
            match self.write(Change::Add(self.key(&key)?, key, delta)).await? {
                Answer::Sum(sum) => Ok(sum),
                _ => Err(Error::Unavailable("it gave another answer".into())),
            }
        }
        .boxed()
    }

    fn compare_and_swap(
        &self,
        key: String,
        expected: Option<Bytes>,
        value: Bytes,
    ) -> BoxFuture<'_, Result<Swap>> {
        async move {
            if value.len() > MAX_BYTES {
                return Err(Error::TooLarge);
            }
            match self.write(Change::Swap(self.key(&key)?, expected, value)).await? {
                Answer::Swapped(swap) => Ok(swap),
                _ => Err(Error::Unavailable("it gave another answer".into())),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Opens again once the writer of an earlier opening has let the directory go.
    async fn open(directory: &Path) -> Arc<dyn KeyValue> {
        loop {
            match Embedded::open(directory) {
                Ok(embedded) => return Arc::new(embedded),
                Err(error) if error.to_string().contains("Locked") => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    super::super::contract::contract!(super::open);

    #[test]
    fn no_prefix_begins_with_another() {
        let own = |plugin, store| prefix(Namespace::Own { plugin, store });
        let prefixes =
            [own("a", "bc"), own("ab", "c"), own("a", "b"), prefix(Namespace::Shared("a"))];
        for (at, one) in prefixes.iter().enumerate() {
            for other in prefixes.iter().skip(at + 1) {
                assert!(!one.starts_with(other) && !other.starts_with(one));
            }
        }
    }
}
