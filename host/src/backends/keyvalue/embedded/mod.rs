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
//! After a write that failed fjall takes no other one, and nobody knows what of it is on disk. The
//! writer then opens the directory again, which settles that.

use std::{path::Path, sync::Arc, thread};

use bytes::Bytes;
use fjall::Keyspace;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{mpsc, oneshot};

use super::{
    Cursor, Error, KeyValue, MAX_BYTES, MAX_KEY, MAX_KEYS, Namespace, Page, Result, Store, Swap,
};

#[cfg(test)]
mod tests;
mod writer;

use writer::{Answer, Change, Values, Write, Writer, failed, read};

/// Writes that may wait for the writer.
const QUEUE: usize = 1024;
/// The most keys a page really has, so that one is read in a few milliseconds.
const PAGE: usize = 1000;

/// The stores.
pub struct Embedded {
    values: Arc<Values>,
    writer: mpsc::Sender<Write>,
}

impl Embedded {
    /// Open the directory, created when it is not there. One process at a time.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let (writer, values) = Writer::open(directory).map_err(|error| {
            let directory = directory.display();
            anyhow::anyhow!("cannot open the key-value store in `{directory}`: {error}")
        })?;
        let (sender, queue) = mpsc::channel(QUEUE);
        thread::Builder::new().name("keyvalue".into()).spawn(move || writer.run(queue))?;
        Ok(Self { values, writer: sender })
    }
}

impl KeyValue for Embedded {
    fn store(&self, namespace: Namespace<'_>) -> Arc<dyn Store> {
        Arc::new(Room {
            prefix: prefix(namespace).into(),
            values: Arc::clone(&self.values),
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

/// One store.
struct Room {
    prefix: Arc<[u8]>,
    values: Arc<Values>,
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
        if self.values.load().is_none() {
            // It is the writer that opens the directory again.
            self.write(Change::Put(Vec::new())).await?;
        }
        let values = Arc::clone(&self.values);
        let read = tokio::task::spawn_blocking(move || match values.load_full() {
            Some(keyspace) => work(&keyspace),
            None => Err(Error::Unavailable("a write failed".into())),
        });
        read.await.map_err(|_| Error::Unavailable("the host is shutting down".into()))?
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
