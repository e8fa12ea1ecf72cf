//! The log on disk: a fjall database of two keyspaces.
//!
//! `chunks` maps partition number and base offset, both big endian, to a [`Chunk`]; larger ones
//! lie in value files that are not rewritten until most of them is deleted. `state` holds what is
//! small: `t<name>` topics, `s<partition>` the first offset that is kept where records were
//! deleted, `c<partition><group>` committed offsets.

use std::path::Path;

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode,
};

use super::{
    super::{Error, Limit, Range, Result, TopicSettings},
    chunk::Chunk,
    torn,
};

/// An open database. Cloning is cheap; it closes with its last clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    chunks: Keyspace,
    state: Keyspace,
}

/// A topic as it is stored.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct StoredTopic {
    /// The number of its first partition; the others follow it.
    pub first: u32,
    /// What it was created with.
    pub settings: TopicSettings,
}

/// How a partition stood when the log was last open.
pub struct Ends {
    /// The records that are kept.
    pub range: Range,
    /// The newest timestamp ever written.
    pub latest: i64,
    /// Bytes ever written.
    pub bytes: u64,
}

impl Store {
    /// Open or create the database in `directory`. Blocks.
    pub fn open(directory: &Path) -> Result<Self> {
        let database = open_database(directory).map_err(|error| match error {
            fjall::Error::Locked => Error::Unavailable(format!(
                "`{}` is in use by another process; stop it first",
                directory.display()
            )),
            fjall::Error::JournalRecovery(error) => Error::Unavailable(format!(
                "`{}` is damaged ({error}); put a copy in its place",
                directory.display()
            )),
            error => failed("open the log", &error),
        })?;
        let chunks = database
            .keyspace("chunks", || {
                KeyspaceCreateOptions::default().with_kv_separation(Some(
                    KvSeparationOptions::default().separation_threshold(4096),
                ))
            })
            .map_err(|error| failed("open the log", &error))?;
        let state = database
            .keyspace("state", KeyspaceCreateOptions::default)
            .map_err(|error| failed("open the log", &error))?;
        Ok(Self { database, chunks, state })
    }

    /// All topics by name.
    pub fn topics(&self) -> Result<Vec<(String, StoredTopic)>> {
        self.state
            .prefix([b't'])
            .map(|entry| {
                let (key, value) =
                    entry.into_inner().map_err(|error| failed("read topics", &error))?;
                let topic = serde_json::from_slice(&value)
                    .map_err(|error| failed("read topics", &error))?;
                Ok((String::from_utf8_lossy(&key[1..]).into_owned(), topic))
            })
            .collect()
    }

    /// All committed offsets: partition, group, offset.
    pub fn committed(&self) -> Result<Vec<(u32, String, u64)>> {
        self.state
            .prefix([b'c'])
            .map(|entry| {
                let (key, value) =
                    entry.into_inner().map_err(|error| failed("read groups", &error))?;
                let partition = number32(key.get(1..5))?;
                let group = String::from_utf8_lossy(&key[5..]).into_owned();
                Ok((partition, group, number64(Some(&value))?))
            })
            .collect()
    }

    /// How a partition stands on disk.
    pub fn ends(&self, partition: u32) -> Result<Ends> {
        let first = self.state.get(start_key(partition)).map_err(|error| failed("read", &error))?;
        let start = first.map_or(Ok(0), |value| number64(Some(&value)))?;
        Ok(match self.chunk_at(partition, u64::MAX)? {
            Some(last) => Ends {
                range: Range { start, end: last.end() },
                latest: last.latest(),
                bytes: last.before() + last.packed().len() as u64,
            },
            None => Ends { range: Range { start, end: start }, latest: i64::MIN, bytes: 0 },
        })
    }

    /// The chunk that holds `offset`, or the last before it.
    pub fn chunk_at(&self, partition: u32, offset: u64) -> Result<Option<Chunk>> {
        let range = chunk_key(partition, 0)..=chunk_key(partition, offset);
        self.chunks.range(range).next_back().map(read_chunk).transpose()
    }

    /// The chunks from the one that holds `from` on, below `end`, until they fill the limit. Blocks.
    pub fn scan(&self, partition: u32, from: u64, end: u64, limit: Limit) -> Result<Vec<Chunk>> {
        let mut chunks = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        for chunk in self.chunks_from(partition, from, end)? {
            let chunk = chunk?;
            if chunk.end() <= from {
                continue;
            }
            records += chunk.end() - chunk.base.max(from);
            // What lies before `from` is not known to be small, so the first counts nothing.
            bytes += if chunk.base >= from { chunk.packed().len() } else { 0 };
            chunks.push(chunk);
            if records >= u64::from(limit.records) || bytes > limit.bytes as usize {
                break;
            }
        }
        Ok(chunks)
    }

    /// The chunk that holds `from` or the last before it, and all that follow below `end`.
    pub fn chunks_from(
        &self,
        partition: u32,
        from: u64,
        end: u64,
    ) -> Result<impl Iterator<Item = Result<Chunk>> + use<>> {
        let upto = chunk_key(partition, 0)..=chunk_key(partition, from);
        let entered = self.chunks.range(upto).next_back().map(|entry| entry.key()).transpose();
        let entered = entered.map_err(|error| failed("read", &error))?;
        let first = entered.map_or(Ok(from), |key| number64(key.get(4..)))?;
        let range = chunk_key(partition, first)..chunk_key(partition, end.max(first));
        Ok(self.chunks.range(range).map(read_chunk))
    }

    /// The offset of the first record in `range` with this timestamp or a later one, or its end.
    /// Blocks.
    pub fn first_at(&self, partition: u32, range: Range, timestamp_ms: i64) -> Result<u64> {
        // Chunks that end at `low` or before have only older records; those from `high` on come
        // after one that has not.
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.chunk_at(partition, middle)? {
                Some(chunk) if chunk.latest() >= timestamp_ms => high = chunk.base,
                Some(chunk) => low = chunk.end().max(middle + 1),
                None => low = middle + 1,
            }
        }
        for chunk in self.chunks_from(partition, low, range.end)? {
            if let Some(offset) = chunk?.first_at(timestamp_ms) {
                return Ok(offset.clamp(range.start, range.end));
            }
        }
        Ok(range.end)
    }

    /// An empty set of changes.
    pub fn changes(&self) -> Changes<'_> {
        let batch = self.database.batch().durability(Some(PersistMode::SyncData));
        Changes { store: self, batch }
    }
}

/// Changes that become durable together or not at all.
pub struct Changes<'a> {
    store: &'a Store,
    batch: OwnedWriteBatch,
}

impl Changes<'_> {
    /// Add a chunk.
    pub fn add_chunk(&mut self, partition: u32, chunk: &Chunk) {
        let key = chunk_key(partition, chunk.base);
        self.batch.insert(&self.store.chunks, key, chunk.stored());
    }

    /// Delete the chunks with these base offsets; `start` is the first offset that stays.
    pub fn trim(&mut self, partition: u32, bases: &[u64], start: u64) {
        for base in bases {
            self.batch.remove(&self.store.chunks, chunk_key(partition, *base));
        }
        self.batch.insert(&self.store.state, start_key(partition), start.to_be_bytes());
    }

    /// Add a topic.
    pub fn add_topic(&mut self, name: &str, topic: &StoredTopic) -> Result<()> {
        let value = serde_json::to_vec(topic).map_err(|error| failed("store a topic", &error))?;
        self.batch.insert(&self.store.state, [b"t", name.as_bytes()].concat(), value);
        Ok(())
    }

    /// Set a group's committed offset.
    pub fn commit_offset(&mut self, group: &str, partition: u32, offset: u64) {
        let key = [b"c", &partition.to_be_bytes()[..], group.as_bytes()].concat();
        self.batch.insert(&self.store.state, key, offset.to_be_bytes());
    }

    /// Write all, sync, and only then show it to readers of the store. Blocks for the sync.
    ///
    /// # Errors
    /// The store refuses every write after one that failed, because nobody knows what of it is
    /// on disk. Opening it again finds all of the failed write or nothing.
    pub fn write(self) -> Result<()> {
        self.batch.commit().map_err(|error| failed("write", &error))
    }
}

/// Open the database, without its last write if that is torn.
fn open_database(directory: &Path) -> fjall::Result<Database> {
    // One worker: with more, fjall's first spins while another compacts. The journals that wait
    // for the small keyspace are read at every start, so they are kept few.
    let open = || {
        Database::builder(directory)
            .worker_threads(1)
            .max_journaling_size(128 << 20)
            .journal_compression(fjall::CompressionType::None)
            .manual_journal_persist(true)
            .open()
    };
    let damaged = match open() {
        Err(error @ fjall::Error::JournalRecovery(_)) => error,
        outcome => return outcome,
    };
    let Some(cut) = torn::cut_last_write(directory)? else { return Err(damaged) };
    match open() {
        Ok(database) => {
            tracing::warn!("the last write before a crash was torn and is dropped");
            Ok(database)
        }
        Err(_) => {
            cut.put_back()?;
            Err(damaged)
        }
    }
}

fn read_chunk(entry: fjall::Guard) -> Result<Chunk> {
    let (key, value) = entry.into_inner().map_err(|error| failed("read", &error))?;
    let base = number64(key.get(4..))?;
    Chunk::parse(base, value.into()).map_err(|error| failed("read", &error))
}

fn chunk_key(partition: u32, offset: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&partition.to_be_bytes());
    key[4..].copy_from_slice(&offset.to_be_bytes());
    key
}

fn start_key(partition: u32) -> [u8; 5] {
    let mut key = [b's'; 5];
    key[1..].copy_from_slice(&partition.to_be_bytes());
    key
}

fn number32(bytes: Option<&[u8]>) -> Result<u32> {
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or_else(|| failed("read", &"a key is cut off"))
}

fn number64(bytes: Option<&[u8]>) -> Result<u64> {
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| failed("read", &"a number is cut off"))
}

fn failed(doing: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable(format!("could not {doing}: {error}"))
}
