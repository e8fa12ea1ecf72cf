//! Each plugin's own SQL database.
//!
//! The sql capability enters here, and through it the consumer trigger, whose
//! `exactly-once-sql` keeps a group's offsets beside the rows they led to. Embedded it is SQLite
//! ([`sqlite`]), a file a plugin; on a server PostgreSQL ([`postgres`]), a schema and a role a plugin.
//!
//! ```text
//!  Databases ── open("counters") ──▶ Database ── begin ──▶ Transaction ── commit ──▶ durable
//!                                        │                      ├─ savepoint
//!                                        └─ query, execute …    └─ drop: rolled back
//! ```

use std::sync::Arc;

use futures_util::future::BoxFuture;

mod answer;
mod history;
pub mod postgres;
mod settings;
pub mod sqlite;
mod text;

pub use settings::{Backend, Settings};

#[cfg(test)]
mod contract;

/// The most rows a query answers.
pub const MAX_ROWS: usize = 100_000;
/// The most bytes a query answers, counted as in [`Value::size`].
pub const MAX_BYTES: usize = 16 << 20;
/// The most statements of a batch.
pub const MAX_STATEMENTS: usize = 10_000;

/// Which dialect a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// A parameter, or a column of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// BOOLEAN; SQLite stores it as 0 or 1.
    Boolean(bool),
    /// Any integer type.
    Integer(i64),
    /// Any floating point type.
    Real(f64),
    /// Text, and whatever has no type of its own here.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// What it counts towards [`MAX_BYTES`]: its bytes, and 8 for the value itself.
    pub fn size(&self) -> usize {
        8 + match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

/// One statement with its parameters, `$1` first.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text: one statement, which may end in a semicolon.
    pub sql: String,
    /// As many as the text uses.
    pub params: Vec<Value>,
}

impl Statement {
    /// A statement.
    pub fn new(sql: impl Into<String>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params }
    }
}

/// What a query answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// One value a column.
    pub rows: Vec<Vec<Value>>,
}

/// One step from one version of a plugin's schema to the next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Its name, by which migrations are told apart: `0001_create.sql`.
    pub name: String,
    /// Any number of statements.
    pub sql: String,
}

/// Why a statement had no effect.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The database refused it; its own words.
    #[error("{0}")]
    Invalid(String),
    /// A unique, foreign key, check or not-null constraint; the database's own words.
    #[error("{0}")]
    Constraint(String),
    /// Two transactions met, or another one has stored this offset already.
    #[error("another transaction was faster; run it again")]
    Conflict,
    /// The answer, or the batch, is larger than the limits of this room.
    #[error(
        "more than {MAX_ROWS} rows, {MAX_BYTES} bytes or {MAX_STATEMENTS} statements; use pages"
    )]
    TooLarge,
    /// The database cannot be reached or is full; the same call may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A statement took longer than the server lets any, which it may well do again.
    #[error("the statement took too long and was cut off")]
    CutOff,
    /// The transaction has ended, because the database gave it up.
    #[error("the transaction has ended; begin another one")]
    Finished,
}

/// Why a plugin's migrations were not applied. The database is as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MigrationError {
    /// The database refused a statement of it.
    #[error("migration `{name}` failed: {reason}")]
    Failed {
        /// Which.
        name: String,
        /// The database's own words.
        reason: String,
    },
    /// It was applied with another content.
    #[error("migration `{0}` was changed after it was applied; undo the change and add a new one")]
    Changed(String),
    /// It comes before one that is applied already.
    #[error("migration `{name}` comes before `{applied}`, which is applied already; rename it")]
    OutOfOrder {
        /// Which.
        name: String,
        /// The last one that is applied.
        applied: String,
    },
    /// Two have one name.
    #[error("there are two migrations called `{0}`; rename one")]
    Double(String),
    /// The database could not be reached.
    #[error(transparent)]
    Database(#[from] Error),
}

/// A `Result` of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// One partition as a group reads it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: u32,
}

/// All plugins' databases.
pub trait Databases: Send + Sync + 'static {
    /// The database of a plugin, created when it is missing. Generations of one plugin share it.
    fn open(&self, plugin: &str) -> BoxFuture<'_, Result<Arc<dyn Database>>>;
}

/// One plugin's database.
///
/// Promises, which `contract.rs` checks for every implementation:
/// - What returned `Ok` survives `kill -9`.
/// - No statement reaches another database, a file, or a setting that outlives it. A transaction
///   is begun and ended by the calls below, never by a statement's text.
/// - A text with more or fewer parameters than were given, or with more than one statement, is
///   [`Error::Invalid`].
/// - [`MAX_ROWS`], [`MAX_BYTES`] and [`MAX_STATEMENTS`] are checked while reading.
/// - Dropping a future stops its statement soon; without a transaction the effect of a write is
///   then unknown.
/// - No call blocks the thread it is polled on.
pub trait Database: Send + Sync + 'static {
    /// Which dialect it speaks.
    fn dialect(&self) -> Dialect;

    /// Apply those of a generation's migrations that are not applied yet, in their order, all or
    /// none. What an earlier generation applied beyond `migrations` is left alone, so that a
    /// plugin can be rolled back.
    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
    ) -> BoxFuture<'a, std::result::Result<(), MigrationError>>;

    /// Run a statement and collect its rows.
    fn query(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>>;

    /// As [`Self::query`], but the answer may be that of a moment ago, without what this plugin
    /// itself wrote last: where there is a server that follows, it is asked.
    fn query_behind(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        self.query(statement)
    }

    /// Run a statement; the rows it changed.
    fn execute(&self, statement: Statement) -> BoxFuture<'_, Result<u64>>;

    /// Run statements in one transaction; the rows each one changed.
    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>>;

    /// Open a transaction. Waits for its turn.
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Transaction>>>;

    /// The next offset a group has not finished, if [`Transaction::store_offset`] stored one.
    fn offset<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Option<u64>>>;

    /// Let a group go on at `next`, forward or back, while it finishes nothing.
    fn put_offset<'a>(&'a self, place: Place<'a>, next: u64) -> BoxFuture<'a, Result<()>>;
}

/// An open transaction. Dropping it rolls it back.
pub trait Transaction: Send + 'static {
    /// As [`Database::query`], inside.
    fn query(&mut self, statement: Statement) -> BoxFuture<'_, Result<Rows>>;

    /// As [`Database::execute`], inside. An error leaves the rest of the transaction as it was.
    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>>;

    /// As [`Database::batch`], inside: all or none of these.
    fn batch(&mut self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>>;

    /// Mark this point. There is one at a time: a further call moves the mark.
    fn savepoint(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Forget the mark and keep what happened since.
    fn release(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Undo what happened since the mark and forget it.
    fn rollback_to_savepoint(&mut self) -> BoxFuture<'_, Result<()>>;

    /// Store that `group` has finished what lies before `next`, having begun at `from`.
    /// [`Error::Conflict`] when it had finished something at or after `from` already: the same
    /// records would count twice.
    fn store_offset<'a>(
        &'a mut self,
        place: Place<'a>,
        from: u64,
        next: u64,
    ) -> BoxFuture<'a, Result<()>>;

    /// Make its changes durable. It has ended, whatever the answer; after an error nothing of it
    /// is there, but for [`Error::Unavailable`], which leaves that open.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>>;

    /// Forget its changes and wait until they are forgotten.
    fn rollback(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}
