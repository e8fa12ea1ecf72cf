//! One connection: a thread that runs statements one after the other.
//!
//! A statement whose future is dropped is interrupted, and the connection is not used again: what
//! state it is in would be a guess. Opening another costs a fraction of a millisecond. SQLite looks
//! for an interrupt between the steps of its machine, and a step can be long (`instr` in texts of
//! megabytes), so the thread may live on for a while; its place is taken for as long as it does.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::TryStreamExt;
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Decode, Either, Executor, Row, SqlSafeStr,
    Sqlite, Statement as _, TypeInfo, ValueRef,
    sqlite::{
        SqliteArguments, SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
        SqliteQueryResult, SqliteRow, SqliteSynchronous, SqliteValueRef,
    },
};

use tokio::sync::OwnedSemaphorePermit;

use super::failure;
use crate::backends::sql::{
    Error, Result, Rows, Value,
    answer::Answer,
    text::{Kind, REPEATS, Text},
};

/// The memory that all databases of the process may use together.
const MAX_HEAP: u64 = 512 << 20;
/// What a write-ahead log may keep on the disk once it is no longer needed.
const MAX_JOURNAL: u64 = 64 << 20;
/// How many steps of SQLite's machine a statement makes before it lets others run, and looks whether
/// it was cut off: a few tenths of a millisecond.
const STEPS: i32 = 10_000;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Writer,
    Reader,
    /// A writer that checks foreign keys once, at the end, so that tables can be rebuilt.
    Migrator,
}

/// A connection.
pub struct Connection {
    raw: SqliteConnection,
    /// Tells a running statement to end.
    stop: Arc<AtomicBool>,
    /// A statement runs, or its future was dropped.
    busy: bool,
    /// The schema this connection has compiled its statements for.
    pub schema: u64,
}

impl Connection {
    /// Open the file, creating it for a writer. `place` is free again when the thread has ended.
    pub async fn open(
        file: &Path,
        role: Role,
        max_bytes: u64,
        place: OwnedSemaphorePermit,
    ) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(role != Role::Reader)
            .read_only(role == Role::Reader)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(role != Role::Migrator)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(64)
            .row_buffer_size(128)
            .pragma("hard_heap_limit", MAX_HEAP.to_string())
            .thread_name(thread_name(file))
            .disable_statement_logging();
        let options = match role {
            Role::Reader => options,
            Role::Writer | Role::Migrator => options
                .journal_mode(SqliteJournalMode::Wal)
                .pragma("journal_size_limit", MAX_JOURNAL.to_string())
                .pragma("max_page_count", (max_bytes / 4096).to_string()),
        };
        let mut raw = options.connect().await.map_err(failure)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let go_on = move || {
            // The thread drops this closure last of all.
            let _place = &place;
            // A statement that computes for long lets all others have this processor: by itself the
            // system would take it away only at the next tick of its clock, some milliseconds later.
            thread::yield_now();
            !stopped.load(Ordering::Relaxed)
        };
        raw.lock_handle().await.map_err(failure)?.set_progress_handler(STEPS, go_on);
        Ok(Self { raw, stop, busy: false, schema: 0 })
    }

    /// Whether it may be used again.
    pub fn is_sound(&self) -> bool {
        !self.busy
    }

    /// Run a text of the host's own.
    pub async fn run(&mut self, sql: &'static str, params: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        let mut rows = Rows::default();
        self.drive(sql, arguments(params), 1, Collect::rows(&mut rows)).await?;
        Ok(rows.rows)
    }

    /// Run a statement and collect its rows.
    pub async fn query(&mut self, text: &Text, params: Vec<Value>) -> Result<Rows> {
        check_count(text, &params)?;
        let mut rows = Rows::default();
        let sql = || AssertSqlSafe(text.sql.clone());
        self.drive(sql(), arguments(params), 1, Collect::rows(&mut rows)).await?;
        if rows.rows.is_empty() {
            self.busy = true;
            let prepared = self.raw.prepare(sql().into_sql_str()).await.map_err(failure);
            self.busy = false;
            rows.columns = names(prepared?.columns());
        }
        self.after(text.kind).await;
        Ok(rows)
    }

    /// Run a statement; the rows it changed.
    pub async fn execute(&mut self, text: &Text, params: Vec<Value>) -> Result<u64> {
        check_count(text, &params)?;
        let mut changed = Vec::with_capacity(1);
        let sql = AssertSqlSafe(text.sql.clone());
        self.drive(sql, arguments(params), 1, Collect::Changes(&mut changed)).await?;
        self.after(text.kind).await;
        // SQLite keeps the count of the last change through statements that change nothing.
        Ok(if text.kind == Kind::Write { changed.iter().sum() } else { 0 })
    }

    /// Run one statement with each of these parameters in as few trips as can be; the rows each
    /// one changed.
    pub async fn execute_all(
        &mut self,
        text: &Text,
        params: Vec<Vec<Value>>,
        changed: &mut Vec<u64>,
    ) -> Result<()> {
        for params in &params {
            check_count(text, params)?;
        }
        let mut left = params.len();
        let mut params = params.into_iter();
        while left > 0 {
            let size = REPEATS.iter().position(|repeats| *repeats <= left);
            let count = size.map_or(1, |size| REPEATS[size]);
            let sql = size.map_or_else(|| text.sql.clone(), |size| text.repeated(size));
            let arguments = arguments(params.by_ref().take(count).flatten());
            self.drive(AssertSqlSafe(sql), arguments, count, Collect::Changes(changed)).await?;
            left -= count;
        }
        Ok(())
    }

    async fn drive(
        &mut self,
        sql: impl SqlSafeStr,
        arguments: SqliteArguments,
        statements: usize,
        mut into: Collect<'_>,
    ) -> Result<()> {
        self.busy = true;
        let outcome = async {
            let mut steps = self.raw.fetch_many(sqlx::query_with(sql, arguments));
            let mut done = 0;
            while let Some(step) = steps.try_next().await.map_err(failure)? {
                done += usize::from(step.is_left());
                into.step(step)?;
            }
            // With fewer the thread has died on the way, of too little memory.
            if done < statements {
                return Err(Error::Unavailable("the statement was cut off".into()));
            }
            Ok(())
        }
        .await;
        self.busy = matches!(outcome, Err(Error::Unavailable(_)));
        outcome
    }

    /// Statements compiled for an older schema would answer with too few columns.
    async fn after(&mut self, kind: Kind) {
        if kind == Kind::Define {
            self.busy = sqlx::Connection::clear_cached_statements(&mut self.raw).await.is_err();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Tells operators whose statements keep a core busy.
fn thread_name(file: &Path) -> impl Fn(u64) -> String + Send + Sync + 'static {
    let plugin = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    move |number| format!("sql-{plugin}-{number}")
}

/// Where the answer of a statement goes.
enum Collect<'a> {
    Rows { rows: &'a mut Rows, answer: Answer },
    Changes(&'a mut Vec<u64>),
}

impl<'a> Collect<'a> {
    fn rows(rows: &'a mut Rows) -> Self {
        Self::Rows { rows, answer: Answer::default() }
    }

    fn step(&mut self, step: Either<SqliteQueryResult, SqliteRow>) -> Result<()> {
        match (self, step) {
            (Self::Changes(changes), Either::Left(done)) => changes.push(done.rows_affected()),
            (Self::Rows { rows, answer }, Either::Right(row)) => {
                if rows.rows.is_empty() {
                    rows.columns = names(row.columns());
                }
                answer.add(rows, values(&row)?)?;
            }
            (Self::Changes(_), Either::Right(_)) | (Self::Rows { .. }, Either::Left(_)) => {}
        }
        Ok(())
    }
}

fn names(columns: &[SqliteColumn]) -> Vec<String> {
    columns.iter().map(|column| column.name().to_owned()).collect()
}

fn values(row: &SqliteRow) -> Result<Vec<Value>> {
    (0..row.len()).map(|column| value(row.try_get_raw(column).map_err(failure)?)).collect()
}

fn value(raw: SqliteValueRef<'_>) -> Result<Value> {
    fn decode<'r, T: Decode<'r, Sqlite>>(raw: SqliteValueRef<'r>) -> Result<T> {
        T::decode(raw).map_err(|error| Error::Invalid(format!("a column cannot be read: {error}")))
    }
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let name = raw.type_info();
    Ok(match name.name() {
        "INTEGER" => Value::Integer(decode(raw)?),
        "REAL" => Value::Real(decode(raw)?),
        "TEXT" => Value::Text(decode(raw)?),
        _ => Value::Blob(decode(raw)?),
    })
}

fn arguments(params: impl IntoIterator<Item = Value>) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for param in params {
        // Encoding a plain value cannot fail.
        let _ = match param {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(i64::from(value)),
            Value::Integer(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Blob(value) => arguments.add(value),
        };
    }
    arguments
}

fn check_count(text: &Text, params: &[Value]) -> Result<()> {
    if text.params == params.len() {
        return Ok(());
    }
    let (uses, given) = (text.params, params.len());
    Err(Error::Invalid(format!("the statement uses {uses} parameters and {given} were given")))
}
