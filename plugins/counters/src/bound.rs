//! Keeps the tables of counts within a bound: addresses and searches have no end.
//!
//! To look costs a pass over the table, so an instance looks after its first batch and then once
//! for every tenth of the bound that it wrote in keys. A table that is larger loses its smallest
//! counts, down to nine tenths of the bound. Between two looks it may exceed the bound by a tenth
//! for each instance.
//!
//! A count that was never dropped is exact. One that was starts again at 0 when its key comes
//! back; the number of all events is kept apart and never loses any.

use std::cell::{Cell, OnceCell};

use trellis_sdk::sql::{self, Error};
use trellis_sdk::{config, log};

use crate::store::Table;

/// The most rows of a table unless the configuration says otherwise.
const USUAL_ROWS: u64 = 100_000;

thread_local! {
    static MOST: OnceCell<u64> = const { OnceCell::new() };
    /// Keys that this instance wrote to each table since it looked; at first, more than any bound.
    static WRITTEN: [Cell<u64>; 3] = const { [const { Cell::new(u64::MAX) }; 3] };
}

/// Drop the smallest counts of tables that have grown too large, now that keys were written to
/// them, in the transaction of the batch.
pub fn keep(written: [(Table, usize); 3]) -> Result<(), Error> {
    let most = MOST.with(|most| *most.get_or_init(|| read(config::parse("max-rows"))));
    for (table, written) in written {
        if is_due(table, written, most) {
            prune(table, most)?;
        }
    }
    Ok(())
}

/// The bound that was set, if it is one.
fn read(set: Option<u64>) -> u64 {
    set.filter(|most| *most > 0).unwrap_or(USUAL_ROWS)
}

/// Whether it is time to look at a table.
fn is_due(table: Table, written: usize, most: u64) -> bool {
    WRITTEN.with(|all| {
        let cell = &all[table as usize];
        let sum = cell.get().saturating_add(written as u64);
        let due = written > 0 && sum >= most / 10;
        cell.set(if due { 0 } else { sum });
        due
    })
}

fn prune(table: Table, most: u64) -> Result<(), Error> {
    let name = table.name();
    let rows = sql::query(&format!("SELECT COUNT(*) AS rows FROM {name}"), &[])?;
    let rows = rows.first().and_then(|row| row.get::<i64>("rows").ok()).unwrap_or_default();
    let Some(extra) = extra(rows.cast_unsigned(), most) else {
        return Ok(());
    };
    let smallest = format!(
        "DELETE FROM {name} WHERE key IN (SELECT key FROM {name} ORDER BY value, key LIMIT $1)"
    );
    let dropped = sql::execute(&smallest, &[extra.cast_signed().into()])?;
    log::info(format_args!("`{name}` had {rows} rows; the {dropped} smallest counts are dropped"));
    Ok(())
}

/// How many rows have to go.
fn extra(rows: u64, most: u64) -> Option<u64> {
    (rows > most).then(|| rows - (most - most / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_looked_at_first_and_then_for_every_tenth_of_the_bound() {
        let due = |written| is_due(Table::Metadata, written, 1_000);
        let seen: Vec<_> = [0, 1, 60, 39, 1, 0, 100, 99].map(due).to_vec();
        assert_eq!(seen, [false, true, false, false, true, false, true, false]);
        // Each table for itself.
        assert!(is_due(Table::Events, 1, 1_000));
    }

    #[test]
    fn a_table_that_is_too_large_goes_down_to_nine_tenths() {
        assert_eq!(extra(1_000, 1_000), None);
        assert_eq!(extra(1_001, 1_000), Some(101));
        assert_eq!(extra(2, 1), Some(1));
    }

    #[test]
    fn a_bound_of_nothing_is_no_bound_that_was_meant() {
        assert_eq!((read(Some(7)), read(Some(0)), read(None)), (7, USUAL_ROWS, USUAL_ROWS));
    }
}
