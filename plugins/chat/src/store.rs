//! The database; the statements are the same on SQLite and PostgreSQL.

use std::fmt;

use serde_json::Value;
use trellis_sdk::sql::{self, ColumnError, Error, Param, Row, Transaction};

use crate::settings::KEPT;
use crate::world::{Account, Draft, Kept, Page, Sanction, Span, What, Whom};

/// How often the oldest messages of a room are dropped: once for so many.
const PRUNE_EVERY: u64 = 32;
/// How often a transaction is run again that met another one.
const ATTEMPTS: usize = 3;

/// Why the database did not do as it was asked.
#[derive(Debug)]
pub enum Fault {
    Sql(Error),
    Column(ColumnError),
    Json(serde_json::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Column(error) => error.fmt(f),
            Self::Json(error) => write!(f, "a message is no JSON: {error}"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<ColumnError> for Fault {
    fn from(error: ColumnError) -> Self {
        Self::Column(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

type Answer<T> = Result<T, Fault>;

/// Numbers of rooms and times in milliseconds are far below the largest signed one.
fn int(number: u64) -> Param<'static> {
    Param::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn number(row: &Row<'_>, column: &str) -> Answer<u64> {
    Ok(u64::try_from(row.get::<i64>(column)?).unwrap_or_default())
}

/// Keep a message under the next number of its room.
///
/// The number is counted in the transaction that writes the message, and transactions run one after
/// the other: so numbers have no gaps, and nobody reads a number before all those below it.
pub fn keep(draft: &Draft<'_>) -> Answer<Kept> {
    let payload = draft.payload.to_string();
    let mut attempt = 1;
    loop {
        match sql::transaction(|transaction| insert(transaction, draft, &payload)) {
            Err(Fault::Sql(Error::Conflict)) if attempt < ATTEMPTS => attempt += 1,
            answer => return answer,
        }
    }
}

fn insert(transaction: &Transaction, draft: &Draft<'_>, payload: &str) -> Answer<Kept> {
    let (room, uid) = (draft.room, draft.uid);
    let before = transaction.query(
        "SELECT id FROM messages WHERE room = $1 AND uid = $2",
        &[room.into(), uid.into()],
    )?;
    if let Some(row) = before.first() {
        return Ok(Kept::Again(number(&row, "id")?));
    }
    let next = transaction.query(
        "INSERT INTO rooms (name, last_id) VALUES ($1, 1) \
         ON CONFLICT (name) DO UPDATE SET last_id = rooms.last_id + 1 RETURNING last_id",
        &[room.into()],
    )?;
    let id = next.first().map_or(Ok(1), |row| number(&row, "last_id"))?;
    transaction.execute(
        "INSERT INTO messages (room, id, uid, name_key, account, origin, at_ms, payload) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            room.into(),
            int(id),
            uid.into(),
            draft.name_key.into(),
            draft.account.into(),
            draft.origin.into(),
            int(draft.at_ms),
            payload.into(),
        ],
    )?;
    if id % PRUNE_EVERY == 0 && id > KEPT {
        transaction.execute(
            "DELETE FROM messages WHERE room = $1 AND id <= $2",
            &[room.into(), int(id - KEPT)],
        )?;
    }
    Ok(Kept::New(id))
}

/// Messages of a room.
pub fn page(room: &str, span: Span, most: u64) -> Answer<Page> {
    let last = sql::query("SELECT last_id FROM rooms WHERE name = $1", &[room.into()])?;
    let last = last.first().map_or(Ok(0), |row| number(&row, "last_id"))?;
    let (sql, from) = match span {
        Span::After(id) => (
            "SELECT id, payload FROM messages WHERE room = $1 AND id > $2 ORDER BY id LIMIT $3",
            id,
        ),
        Span::Before(id) => (LATEST, id),
        Span::Last => (LATEST, u64::MAX),
    };
    let rows = sql::query(sql, &[room.into(), int(from), int(most)])?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let payload: Value = serde_json::from_str(row.get("payload")?)?;
        messages.push((number(&row, "id")?, payload));
    }
    messages.sort_by_key(|(id, _)| *id);
    Ok(Page { messages, last })
}

const LATEST: &str =
    "SELECT id, payload FROM messages WHERE room = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

/// The origin and the account of the last message under a name.
pub fn last_said(name_key: &str) -> Answer<Option<(String, Option<String>)>> {
    let rows = sql::query(
        "SELECT origin, account FROM messages WHERE name_key = $1 ORDER BY at_ms DESC LIMIT 1",
        &[name_key.into()],
    )?;
    rows.first().map(|row| Ok((row.get("origin")?, row.get("account")?))).transpose()
}

/// An account that came with a token.
pub fn account(key: &str) -> Answer<Option<Account>> {
    let rows = sql::query("SELECT key, name, role FROM accounts WHERE key = $1", &[key.into()])?;
    let read = |row: Row<'_>| {
        Ok(Account { key: row.get("key")?, name: row.get("name")?, role: row.get("role")? })
    };
    rows.first().map(read).transpose()
}

/// Remember an account, or what it is now.
pub fn register(account: &Account, now_ms: u64) -> Answer<()> {
    sql::execute(
        "INSERT INTO accounts (key, name, role, seen_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (key) DO UPDATE SET name = excluded.name, role = excluded.role, \
         seen_ms = excluded.seen_ms",
        &[
            account.key.as_str().into(),
            account.name.as_str().into(),
            account.role.as_str().into(),
            int(now_ms),
        ],
    )?;
    Ok(())
}

/// What is in force for somebody.
pub fn sanction(what: What, whom: &Whom, now_ms: u64) -> Answer<Option<Sanction>> {
    let (kind, value) = whom.parts();
    let rows = sql::query(
        "SELECT name_key, until_ms, reason, made_by FROM sanctions \
         WHERE what = $1 AND kind = $2 AND value = $3 AND (until_ms = 0 OR until_ms > $4)",
        &[what.word().into(), kind.into(), value.into(), int(now_ms)],
    )?;
    let read = |row: Row<'_>| {
        let until_ms = Some(number(&row, "until_ms")?).filter(|until| *until > 0);
        Ok(Sanction {
            what,
            whom: whom.clone(),
            name_key: row.get("name_key")?,
            until_ms,
            reason: row.get("reason")?,
            made_by: row.get("made_by")?,
        })
    };
    rows.first().map(read).transpose()
}

/// Impose something, in place of what there was; and forget what has ended.
pub fn impose(sanction: &Sanction, now_ms: u64) -> Answer<()> {
    let (kind, value) = sanction.whom.parts();
    let until = sanction.until_ms.unwrap_or(0);
    sql::execute("DELETE FROM sanctions WHERE until_ms > 0 AND until_ms <= $1", &[int(now_ms)])?;
    sql::execute(
        "INSERT INTO sanctions (what, kind, value, name_key, until_ms, reason, made_by, made_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (what, kind, value) DO UPDATE SET name_key = excluded.name_key, \
         until_ms = excluded.until_ms, reason = excluded.reason, made_by = excluded.made_by, \
         made_ms = excluded.made_ms",
        &[
            sanction.what.word().into(),
            kind.into(),
            value.into(),
            sanction.name_key.as_str().into(),
            int(until),
            sanction.reason.as_str().into(),
            sanction.made_by.as_str().into(),
            int(now_ms),
        ],
    )?;
    Ok(())
}

/// Lift what was meant for a name.
pub fn lift(what: What, name_key: &str) -> Answer<u64> {
    let sql = "DELETE FROM sanctions WHERE what = $1 AND name_key = $2";
    Ok(sql::execute(sql, &[what.word().into(), name_key.into()])?)
}

/// Count a track.
pub fn played(track: &str) -> Answer<()> {
    sql::execute(
        "INSERT INTO plays (track, plays) VALUES ($1, 1) \
         ON CONFLICT (track) DO UPDATE SET plays = plays.plays + 1",
        &[track.into()],
    )?;
    Ok(())
}

/// The key of the hash of addresses: the one that there is, else this one.
pub fn origin_key(new: &str) -> Answer<String> {
    let sql = "INSERT INTO origin_key (id, value) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    sql::execute(sql, &[new.into()])?;
    let rows = sql::query("SELECT value FROM origin_key WHERE id = 1", &[])?;
    Ok(rows.first().map_or_else(|| Ok(new.to_owned()), |row| row.get("value"))?)
}
