//! Fills what it may keep on the disk, and lets the database work for nothing.

use trellis_sdk::{keyvalue::Store, sql};

const PIECE: usize = 1 << 20;

/// Values under ever new keys.
pub fn keys() -> Result<String, String> {
    let store = Store::open("default").map_err(|error| format!("{error:?}"))?;
    let value = vec![b'~'; PIECE];
    for number in 0_u64.. {
        store.set(&number.to_string(), &value).map_err(|error| format!("{error:?}"))?;
    }
    unreachable!("numbers do not end")
}

/// Rows, until the database is as large as it may be.
pub fn rows() -> Result<String, String> {
    let stuff = vec![b'~'; PIECE];
    loop {
        sql::execute("INSERT INTO heap (stuff) VALUES ($1)", &[stuff.as_slice().into()])
            .map_err(|error| format!("{error:?}"))?;
    }
}

/// A query that never has its answer.
pub fn query() -> Result<String, String> {
    let endless = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) \
                   SELECT max(n) AS n FROM numbers";
    sql::query(endless, &[]).map_err(|error| format!("{error:?}"))?;
    Ok("answered".to_owned())
}
