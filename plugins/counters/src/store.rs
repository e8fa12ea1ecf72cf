//! The statistics in SQL; the statements are the same on SQLite and PostgreSQL.

use std::borrow::Cow;
use std::fmt::Write;

use trellis_sdk::sql::{self, Error, Param, Statement};

use crate::bound;
use crate::counts::{Counts, WINDOW_MS};

/// How many rows one statement takes. Few sizes, so that the database prepares each once.
const ROWS: [usize; 4] = [128, 32, 8, 1];
/// How many windows are kept: an hour.
const WINDOWS: i64 = 720;

const ADD_WINDOW: &str = "\
    INSERT INTO stats_window (slot, started_ms, events, lag_ms) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (slot) DO UPDATE SET \
        events = excluded.events + CASE WHEN stats_window.started_ms = excluded.started_ms \
            THEN stats_window.events ELSE 0 END, \
        lag_ms = excluded.lag_ms + CASE WHEN stats_window.started_ms = excluded.started_ms \
            THEN stats_window.lag_ms ELSE 0 END, \
        started_ms = excluded.started_ms \
    WHERE excluded.started_ms >= stats_window.started_ms";

const ADD_PROGRESS: &str = "\
    INSERT INTO progress (id, events, updated_ms) VALUES (1, $1, $2) \
    ON CONFLICT (id) DO UPDATE SET \
        events = progress.events + excluded.events, \
        updated_ms = CASE WHEN excluded.updated_ms > progress.updated_ms \
            THEN excluded.updated_ms ELSE progress.updated_ms END";

/// A statistic that counts by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Events,
    Metadata,
    Searches,
}

impl Table {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "event_counter",
            Self::Metadata => "metadata",
            Self::Searches => "search_counter",
        }
    }
}

/// A key and its count.
type Row = (String, i64);

/// Add what a batch counted, in one call, and keep the tables within their bound.
pub fn add(counts: Counts<'_>) -> Result<(), Error> {
    match counts.total() {
        0 => Ok(()),
        _ => {
            upserts(&counts, sql::batch)?;
            let [events, metadata, searches] = counts.keys();
            bound::keep([
                (Table::Events, events),
                (Table::Metadata, metadata),
                (Table::Searches, searches),
            ])
        }
    }
}

/// Hand over the statements that add what a batch counted.
pub fn upserts<T>(counts: &Counts<'_>, run: impl FnOnce(&[Statement<'_>]) -> T) -> T {
    let mut upserts = Vec::new();
    let tables = [
        (Table::Events, counts.events()),
        (Table::Metadata, counts.metadata()),
        (Table::Searches, counts.searches()),
    ];
    for (table, rows) in &tables {
        upserts.extend(upserts_of(*table, rows));
    }
    for (number, window) in counts.windows() {
        let row = [number.rem_euclid(WINDOWS), number * WINDOW_MS, window.events, window.lag_ms];
        upserts.push((Cow::Borrowed(ADD_WINDOW), row.map(Param::Integer).to_vec()));
    }
    let progress = [counts.total(), counts.updated_ms()];
    upserts.push((Cow::Borrowed(ADD_PROGRESS), progress.map(Param::Integer).to_vec()));
    let statements: Vec<_> =
        upserts.iter().map(|(sql, params)| Statement { sql, params }).collect();
    run(&statements)
}

/// A statement with its parameters.
type Upsert<'a> = (Cow<'static, str>, Vec<Param<'a>>);

/// The statements that add rows to a table, as many rows in each as one takes.
fn upserts_of<'a>(table: Table, mut rows: &'a [(Cow<'_, str>, i64)]) -> Vec<Upsert<'a>> {
    let mut upserts = Vec::new();
    for size in ROWS {
        while let Some((taken, rest)) = rows.split_at_checked(size) {
            let params =
                taken.iter().flat_map(|(key, count)| [Param::Text(key), Param::Integer(*count)]);
            upserts.push((Cow::Owned(upsert(table.name(), size)), params.collect()));
            rows = rest;
        }
    }
    upserts
}

fn upsert(table: &str, rows: usize) -> String {
    let mut sql = format!("INSERT INTO {table} (key, value) VALUES ");
    for row in 0..rows {
        let separator = if row == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(sql, "{separator}(${}, ${})", 2 * row + 1, 2 * row + 2);
    }
    let _ = write!(sql, " ON CONFLICT (key) DO UPDATE SET value = {table}.value + excluded.value");
    sql
}

/// The largest counts of a table.
pub fn largest(table: Table, limit: i64) -> Result<Vec<Row>, Error> {
    let sql = format!("SELECT key, value FROM {} ORDER BY value DESC, key LIMIT $1", table.name());
    let rows = sql::query(&sql, &[limit.into()])?;
    Ok(rows.iter().filter_map(|row| Some((row.get("key").ok()?, row.get("value").ok()?))).collect())
}

/// The number of all events, and the time of the newest record in milliseconds.
pub fn progress() -> Result<(i64, i64), Error> {
    let rows = sql::query("SELECT events, updated_ms FROM progress", &[])?;
    let row = rows.first();
    let number = |column| row.and_then(|row| row.get::<i64>(column).ok()).unwrap_or_default();
    Ok((number("events"), number("updated_ms")))
}

/// The events and the sum of their delays in windows that started in a span of time.
pub fn window(from_ms: i64, to_ms: i64) -> Result<(i64, i64), Error> {
    let sql = "SELECT events, lag_ms FROM stats_window WHERE started_ms >= $1 AND started_ms < $2";
    let rows = sql::query(sql, &[from_ms.into(), to_ms.into()])?;
    let sum = |column| rows.iter().filter_map(|row| row.get::<i64>(column).ok()).sum();
    Ok((sum("events"), sum("lag_ms")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_into_few_sizes_of_statements() {
        let rows: Vec<_> = (0..170).map(|n| (Cow::Owned(n.to_string()), n)).collect();
        let upserts = upserts_of(Table::Metadata, &rows);
        let sizes: Vec<_> = upserts.iter().map(|(_, params)| params.len() / 2).collect();
        assert_eq!(sizes, [128, 32, 8, 1, 1]);
        assert!(matches!(upserts[4].1[..], [Param::Text("169"), Param::Integer(169)]));
    }

    #[test]
    fn an_upsert_numbers_its_parameters() {
        let wanted = "INSERT INTO metadata (key, value) VALUES ($1, $2), ($3, $4) \
            ON CONFLICT (key) DO UPDATE SET value = metadata.value + excluded.value";
        assert_eq!(upsert("metadata", 2), wanted);
    }
}
