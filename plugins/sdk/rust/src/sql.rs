//! SQL in the plugin's own database.
//!
//! ```no_run
//! use trellis_sdk::sql;
//!
//! sql::execute("INSERT INTO hits (path, at) VALUES ($1, $2)", &["/".into(), 7.into()])?;
//! for row in &sql::query("SELECT path, at FROM hits WHERE at > $1", &[3.into()])? {
//!     let path: &str = row.get("path")?;
//!     let at: i64 = row.get("at")?;
//!     trellis_sdk::log::info(format_args!("{path} at {at}"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Parameters borrow, so nothing is copied on the way to the host.

use std::fmt;

use crate::bindings::imports::trellis::storage::sql as wit;

pub use wit::{Database, Error, Statement, ValueParam as Param, ValueResult as Value};

/// Which database stands behind.
pub fn dialect() -> Database {
    wit::dialect()
}

/// Run one statement and collect its rows.
pub fn query(sql: &str, params: &[Param<'_>]) -> Result<Rows, Error> {
    wit::query(sql, params).map(Rows::new)
}

/// Run one statement; the number of rows it changed.
pub fn execute(sql: &str, params: &[Param<'_>]) -> Result<u64, Error> {
    wit::execute(sql, params)
}

/// Run statements in one transaction, all or none; the rows each one changed.
///
/// Limits: 10,000 statements.
pub fn batch(statements: &[Statement<'_>]) -> Result<Vec<u64>, Error> {
    wit::batch(statements)
}

/// Run a transaction over several calls: committed when the function returns `Ok`, rolled back
/// otherwise. After [`Error::Conflict`] the whole function may be run again.
pub fn transaction<T, E: From<Error>>(
    work: impl FnOnce(&Transaction) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = Transaction(wit::Transaction::begin()?);
    match work(&transaction) {
        Ok(value) => {
            transaction.0.commit()?;
            Ok(value)
        }
        Err(error) => {
            // What the work failed with tells more than that the rollback failed as well.
            let _ = transaction.0.rollback();
            Err(error)
        }
    }
}

/// An open transaction.
pub struct Transaction(wit::Transaction);

impl Transaction {
    /// Run one statement in it and collect its rows.
    pub fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Rows, Error> {
        self.0.query(sql, params).map(Rows::new)
    }

    /// Run one statement in it; the number of rows it changed.
    pub fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Error> {
        self.0.execute(sql, params)
    }
}

/// The rows of a query.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    fn new(rows: wit::Rows) -> Self {
        Self { columns: rows.columns, rows: rows.rows }
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { columns: &self.columns, values })
    }

    /// The first row.
    pub fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = Row<'a>;
    type IntoIter = Box<dyn Iterator<Item = Row<'a>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl<'a> Row<'a> {
    /// The value of a column by its name; an error for a missing column or another type.
    pub fn get<T: FromValue<'a>>(&self, column: &str) -> Result<T, ColumnError> {
        let index = self.columns.iter().position(|name| name == column);
        let value = index.and_then(|index| self.values.get(index));
        value.and_then(T::from_value).ok_or_else(|| ColumnError { column: column.to_owned() })
    }

    /// The values in the order of the columns.
    pub fn values(&self) -> &'a [Value] {
        self.values
    }
}

/// A column that does not exist or holds another type than was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnError {
    /// The column that was asked for.
    pub column: String,
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column `{}` is missing or holds another type", self.column)
    }
}

impl std::error::Error for ColumnError {}

/// A Rust type that a column can be read as.
pub trait FromValue<'a>: Sized {
    /// `None` where the value is of another type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: &Value) -> Option<Self> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl FromValue<'_> for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// An integer is read as a real number too.
impl FromValue<'_> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "who asks for a real number accepts it")]
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        }
    }
}

/// SQLite keeps booleans as 0 and 1.
impl FromValue<'_> for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(truth) => Some(*truth),
            Value::Integer(number) => Some(*number != 0),
            _ => None,
        }
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Param<'_> {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for Param<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<f64> for Param<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Param<'_> {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests;
