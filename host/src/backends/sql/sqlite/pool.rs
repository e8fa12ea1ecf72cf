//! The connections of one file: one that writes, a few that read, and the texts they may run.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::connection::{Connection, Role};
use crate::backends::sql::{Dialect, Error, Result, Rows, Settings, Value, text::Text};

/// Texts that are remembered as checked; beyond that all are forgotten.
const MAX_TEXTS: usize = 512;
/// Threads beside those of the readers: the writer, a migration, and two that end.
const SPARE_THREADS: usize = 4;
/// How long a new connection waits while every thread is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections, made when they are needed.
pub struct Pool {
    path: PathBuf,
    max_bytes: u64,
    /// One for each thread, from before it starts until it has ended.
    threads: Arc<Semaphore>,
    writer: Arc<Mutex<Option<Connection>>>,
    reading: Semaphore,
    readers: std::sync::Mutex<Vec<Connection>>,
    texts: std::sync::Mutex<HashMap<String, Arc<Text>>>,
    /// Counts changes of the schema; connections from before one are replaced.
    schema: AtomicU64,
}

impl Pool {
    /// No connections yet.
    pub fn new(path: PathBuf, settings: &Settings) -> Arc<Self> {
        let readers = settings.readers.max(1) as usize;
        Arc::new(Self {
            path,
            max_bytes: settings.max_bytes.0,
            threads: Arc::new(Semaphore::new(readers + SPARE_THREADS)),
            writer: Arc::default(),
            reading: Semaphore::new(readers),
            readers: std::sync::Mutex::default(),
            texts: std::sync::Mutex::default(),
            schema: AtomicU64::new(0),
        })
    }

    /// Wait for the one writer.
    pub async fn writer(self: &Arc<Self>) -> Result<Writer> {
        let slot = self.writer.clone().lock_owned().await;
        let mut writer = Writer { slot };
        let schema = self.schema.load(Ordering::Acquire);
        if writer.slot.as_ref().is_none_or(|connection| connection.schema != schema) {
            *writer.slot = None;
            let mut connection = self.connect(Role::Writer).await?;
            connection.schema = schema;
            *writer.slot = Some(connection);
        }
        Ok(writer)
    }

    /// Wait for a reader.
    pub async fn reader(&self) -> Result<Reader<'_>> {
        let permit = self.reading.acquire().await.map_err(|_| Error::Finished)?;
        let schema = self.schema.load(Ordering::Acquire);
        let idle = {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.retain(|connection| connection.schema == schema);
            readers.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let mut connection = self.connect(Role::Reader).await?;
                connection.schema = schema;
                connection
            }
        };
        Ok(Reader { pool: self, connection: Some(connection), _permit: permit })
    }

    /// Open a connection.
    pub async fn connect(&self, role: Role) -> Result<Connection> {
        let free = self.threads.clone().acquire_owned();
        let place = tokio::time::timeout(PATIENCE, free).await.map_err(|_| {
            tracing::warn!(
                database = %self.path.display(),
                "statements that cannot be cut off keep all threads of a database"
            );
            Error::Unavailable("its threads are busy with statements that were given up".into())
        })?;
        let place = place.map_err(|_| Error::Finished)?;
        Connection::open(&self.path, role, self.max_bytes, place).await
    }

    /// The schema has changed: statements that were compiled for the old one must not be used.
    pub fn redefined(&self) {
        self.schema.fetch_add(1, Ordering::AcqRel);
    }

    /// The checked text of a statement.
    pub fn text(&self, sql: &str) -> Result<Arc<Text>> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(sql) {
            return Ok(text.clone());
        }
        let text = Arc::new(Text::one(Dialect::Sqlite, sql)?);
        if texts.len() == MAX_TEXTS {
            texts.clear();
        }
        texts.insert(sql.to_owned(), text.clone());
        Ok(text)
    }
}

/// The right to write.
pub struct Writer {
    slot: OwnedMutexGuard<Option<Connection>>,
}

impl Writer {
    /// The connection, to run statements on.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        self.slot.as_mut().ok_or(Error::Finished)
    }

    /// Close the connection, which rolls back what it has open; the next writer opens another.
    pub fn discard(&mut self) {
        *self.slot = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.slot.as_ref().is_some_and(|connection| !connection.is_sound()) {
            self.discard();
        }
    }
}

/// One of the readers.
pub struct Reader<'a> {
    pool: &'a Pool,
    /// `Some` until the drop.
    connection: Option<Connection>,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_sound) {
            let mut readers = self.pool.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.push(connection);
        }
    }
}

impl Reader<'_> {
    /// See [`Connection::query`].
    pub async fn query(&mut self, text: &Text, params: Vec<Value>) -> Result<Rows> {
        self.connection.as_mut().ok_or(Error::Finished)?.query(text, params).await
    }
}
