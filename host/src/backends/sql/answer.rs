//! Keeps the answer of a query within the limits while it is read.

use super::{Error, MAX_BYTES, MAX_ROWS, Result, Rows, Value};

/// How large an answer has become.
#[derive(Default)]
pub struct Answer {
    bytes: usize,
}

impl Answer {
    /// Take one more row.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it would be one too many.
    pub fn add(&mut self, rows: &mut Rows, row: Vec<Value>) -> Result<()> {
        self.bytes += row.iter().map(Value::size).sum::<usize>();
        if rows.rows.len() == MAX_ROWS || self.bytes > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        rows.rows.push(row);
        Ok(())
    }
}
