//! One plugin's file with its connections.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use super::{
    Settings,
    connection::{Connection, Role},
    migrate,
    text::{Kind, Text},
    transaction::Open,
};
use crate::backends::sql::{
    Database, Dialect, Error, Migration, MigrationError, Place, Result, Rows, Statement,
    Transaction, Value,
};

/// Texts that are remembered as checked; beyond that all are forgotten.
const MAX_TEXTS: usize = 512;

/// Threads beside those of the readers: the writer, a migration, and two that end.
const SPARE_THREADS: usize = 4;
/// How long a new connection waits while every thread is taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database.
pub struct File {
    shared: Arc<Shared>,
}

/// What the transactions of a file share with it.
pub struct Shared {
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

impl File {
    /// Open the file, creating it when it is missing.
    pub async fn open(path: PathBuf, settings: &Settings) -> Result<Arc<Self>> {
        let readers = settings.readers.max(1) as usize;
        let shared = Arc::new(Shared {
            path,
            max_bytes: settings.max_bytes.0,
            threads: Arc::new(Semaphore::new(readers + SPARE_THREADS)),
            writer: Arc::default(),
            reading: Semaphore::new(readers),
            readers: std::sync::Mutex::default(),
            texts: std::sync::Mutex::default(),
            schema: AtomicU64::new(0),
        });
        let mut writer = shared.writer().await?;
        writer
            .connection()?
            .run(
                "CREATE TABLE IF NOT EXISTS _trellis_offsets (
                    consumer_group TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
                    next_offset INTEGER NOT NULL, PRIMARY KEY (consumer_group, topic, partition)
                ) WITHOUT ROWID",
                Vec::new(),
            )
            .await?;
        drop(writer);
        Ok(Arc::new(Self { shared }))
    }
}

impl Shared {
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

    async fn reader(&self) -> Result<Reader<'_>> {
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
        Ok(Reader { shared: self, connection: Some(connection), _permit: permit })
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
        let text = Arc::new(Text::one(sql)?);
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
struct Reader<'a> {
    shared: &'a Shared,
    /// `Some` until the drop.
    connection: Option<Connection>,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_sound) {
            let mut readers = self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.push(connection);
        }
    }
}

impl Reader<'_> {
    async fn query(&mut self, text: &Text, params: Vec<Value>) -> Result<Rows> {
        self.connection.as_mut().ok_or(Error::Finished)?.query(text, params).await
    }
}

impl Database for File {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
    ) -> BoxFuture<'a, std::result::Result<(), MigrationError>> {
        migrate::migrate(&self.shared, migrations).boxed()
    }

    fn query(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move {
            let text = self.shared.text(&statement.sql)?;
            if text.kind == Kind::Read {
                return self.shared.reader().await?.query(&text, statement.params).await;
            }
            let mut writer = self.shared.writer().await?;
            let rows = writer.connection()?.query(&text, statement.params).await?;
            if text.kind == Kind::Define {
                self.shared.redefined();
            }
            Ok(rows)
        }
        .boxed()
    }

    fn execute(&self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        async move {
            let text = self.shared.text(&statement.sql)?;
            let mut writer = self.shared.writer().await?;
            let changed = writer.connection()?.execute(&text, statement.params).await?;
            if text.kind == Kind::Define {
                self.shared.redefined();
            }
            Ok(changed)
        }
        .boxed()
    }

    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>> {
        async move {
            let mut open = Open::begin(&self.shared).await?;
            let changed = open.batch(statements).await?;
            open.commit().await?;
            Ok(changed)
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Transaction>>> {
        async move { Ok(Box::new(Open::begin(&self.shared).await?) as Box<dyn Transaction>) }
            .boxed()
    }

    fn offset<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Option<u64>>> {
        async move {
            // Through the writer, behind every commit that is under way.
            let mut writer = self.shared.writer().await?;
            let rows = writer
                .connection()?
                .run(
                    "SELECT next_offset FROM main._trellis_offsets
                     WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                    super::transaction::key(place).into(),
                )
                .await?;
            Ok(match rows.first().and_then(|row| row.first()) {
                Some(Value::Integer(next)) => Some(*next as u64),
                _ => None,
            })
        }
        .boxed()
    }

    fn put_offset<'a>(&'a self, place: Place<'a>, next: u64) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut writer = self.shared.writer().await?;
            let mut params = super::transaction::key(place).to_vec();
            params.push(Value::Integer(next as i64));
            let sql = "INSERT INTO main._trellis_offsets
                           (consumer_group, topic, partition, next_offset)
                       VALUES ($1, $2, $3, $4)
                       ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset";
            writer.connection()?.run(sql, params).await.map(drop)
        }
        .boxed()
    }
}
