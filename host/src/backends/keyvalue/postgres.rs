//! Key-value stores in PostgreSQL: one table in the schema `trellis`, which only the host's own
//! role may enter.
//!
//! A key is found by its digest, since an index takes no key of 4 KiB, and listed by its first
//! bytes. What reads before it writes is one statement, so that no other host comes in between;
//! statements over many keys take them in one order, so that two of them wait for one another and do
//! not meet. Dropping a future may leave its statement running to its end.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    TryStreamExt,
    future::{BoxFuture, FutureExt},
};
use sqlx::{
    Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    Cursor, Error, KeyValue, MAX_BYTES, MAX_KEY, MAX_KEYS, Namespace, Page, Result, Store, Swap,
};
use crate::backends::postgres::{Failure, Server, is_double};

/// The most keys a page really has.
const PAGE: i64 = 1000;
/// How often a statement runs again that met another one.
const AGAIN: u32 = 10;

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS trellis.keyvalue (
        plugin TEXT NOT NULL, store TEXT NOT NULL, digest BYTEA NOT NULL,
        key BYTEA NOT NULL, value BYTEA NOT NULL, PRIMARY KEY (plugin, store, digest));
    CREATE INDEX IF NOT EXISTS keyvalue_listing
        ON trellis.keyvalue (plugin, store, substring(key FROM 1 FOR 512))";

const GET: &str = "
    SELECT wanted.place, known.value
    FROM unnest($3::BYTEA[]) WITH ORDINALITY AS wanted (digest, place)
    JOIN trellis.keyvalue AS known
        ON known.plugin = $1 AND known.store = $2 AND known.digest = wanted.digest";

const SET: &str = "
    INSERT INTO trellis.keyvalue (plugin, store, digest, key, value)
    SELECT $1, $2, * FROM unnest($3::BYTEA[], $4::BYTEA[], $5::BYTEA[])
    ON CONFLICT (plugin, store, digest) DO UPDATE SET value = excluded.value";

const DELETE: &str = "
    DELETE FROM trellis.keyvalue WHERE plugin = $1 AND store = $2 AND digest IN (
        SELECT digest FROM trellis.keyvalue
        WHERE plugin = $1 AND store = $2 AND digest = ANY($3) ORDER BY digest FOR UPDATE)";

const KEYS: &str = "
    SELECT key FROM trellis.keyvalue
    WHERE plugin = $1 AND store = $2
        AND substring(key FROM 1 FOR 512) >= substring($3 FROM 1 FOR 512) AND key > $3
    ORDER BY substring(key FROM 1 FOR 512), key LIMIT $4 OFFSET $5";

/// The same without a key to begin behind: the empty key is one, too.
const FIRST_KEYS: &str = "
    SELECT key FROM trellis.keyvalue WHERE plugin = $1 AND store = $2
    ORDER BY substring(key FROM 1 FOR 512), key LIMIT $3 OFFSET $4";

/// Changes nothing and answers nothing where the value is no number. The order of the conditions
/// is the order in which they are looked at.
const ADD: &str = "
    INSERT INTO trellis.keyvalue AS known (plugin, store, digest, key, value)
    VALUES ($1, $2, $3, $4, convert_to($5::TEXT, 'UTF8'))
    ON CONFLICT (plugin, store, digest) DO UPDATE SET value = convert_to(
        (convert_from(known.value, 'UTF8')::BIGINT + $5::BIGINT)::TEXT, 'UTF8')
    WHERE CASE
        WHEN length(known.value) > 64 THEN FALSE
        WHEN encode(known.value, 'escape') !~ '^[+-]?[0-9]+$' THEN FALSE
        ELSE convert_from(known.value, 'UTF8')::NUMERIC
            BETWEEN -9223372036854775808 AND 9223372036854775807 END
    RETURNING convert_from(value, 'UTF8')::BIGINT";

const ADD_KEY: &str = "
    INSERT INTO trellis.keyvalue (plugin, store, digest, key, value) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (plugin, store, digest) DO NOTHING";

const REPLACE: &str = "
    UPDATE trellis.keyvalue SET value = $5
    WHERE plugin = $1 AND store = $2 AND digest = $3 AND value = $4";

/// The stores.
pub struct Postgres {
    server: Arc<Server>,
}

impl Postgres {
    /// Keep the stores in a server, in a table that is made when it is missing.
    ///
    /// # Errors
    /// When the server refuses to make it.
    pub async fn open(server: Arc<Server>) -> anyhow::Result<Self> {
        let mut again = 0;
        loop {
            match sqlx::raw_sql(TABLE).execute(server.own()).await {
                // Another host that starts makes it at the same time.
                Err(error) if again < AGAIN && is_double(&error) => again += 1,
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(Self { server }),
            }
        }
    }
}

impl KeyValue for Postgres {
    fn store(&self, namespace: Namespace<'_>) -> Arc<dyn Store> {
        // No plugin has such names.
        let (plugin, store) = match namespace {
            Namespace::Own { plugin, store } => (plugin, store),
            Namespace::Shared(store) => ("", store),
            Namespace::Host(store) => ("*", store),
        };
        let (plugin, store) = (plugin.to_owned(), store.to_owned());
        Arc::new(Room { server: self.server.clone(), plugin, store })
    }
}

/// One store.
struct Room {
    server: Arc<Server>,
    plugin: String,
    store: String,
}

fn digest(key: &str) -> Vec<u8> {
    blake3::hash(key.as_bytes()).as_bytes().to_vec()
}

fn check_key(key: &str) -> Result<()> {
    if key.len() > MAX_KEY { Err(Error::TooLarge) } else { Ok(()) }
}

/// What a failure of the server means to whoever asked.
fn failed(error: sqlx::Error) -> Error {
    match Failure::of(&error) {
        Failure::Unavailable(why) => Error::Unavailable(why.into()),
        other => {
            tracing::warn!(?other, "the key-value store failed");
            Error::Unavailable("it failed".into())
        }
    }
}

/// Run a statement again that met another one.
async fn patient<'a, T>(run: impl Fn() -> BoxFuture<'a, sqlx::Result<T>>) -> Result<T> {
    let mut again = 0;
    loop {
        match run().await {
            Err(error) if again < AGAIN && Failure::of(&error) == Failure::Conflict => again += 1,
            outcome => return outcome.map_err(failed),
        }
    }
}

impl Room {
    /// Run a statement; the rows it changed.
    async fn execute(&self, query: Query<'_, sqlx::Postgres, PgArguments>) -> sqlx::Result<u64> {
        let mut lent = self.server.lend().await?;
        let done = query.execute(&mut lent.connection).await?;
        lent.keep();
        Ok(done.rows_affected())
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        if keys.len() > MAX_KEYS {
            return Err(Error::TooLarge);
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        let digests: Vec<Vec<u8>> = keys.iter().map(|key| digest(key)).collect();
        let mut lent = self.server.lend().await.map_err(failed)?;
        let get = sqlx::query(GET).bind(&self.plugin).bind(&self.store).bind(digests);
        let mut rows = get.fetch(&mut lent.connection);
        let (mut values, mut bytes) = (vec![None; keys.len()], 0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let place: i64 = row.try_get(0).map_err(failed)?;
            let value: Vec<u8> = row.try_get(1).map_err(failed)?;
            bytes += value.len();
            if bytes > MAX_BYTES {
                return Err(Error::TooLarge);
            }
            let slot = usize::try_from(place - 1).ok().and_then(|place| values.get_mut(place));
            if let Some(slot) = slot {
                *slot = Some(Bytes::from(value));
            }
        }
        drop(rows);
        lent.keep();
        Ok(values)
    }

    async fn set(&self, pairs: Vec<(String, Bytes)>) -> Result<()> {
        let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        if pairs.len() > MAX_KEYS || bytes > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        // In one order, and of a key that comes twice the last.
        let mut sorted = std::collections::BTreeMap::new();
        for (key, value) in pairs {
            check_key(&key)?;
            sorted.insert(digest(&key), (key.into_bytes(), value.to_vec()));
        }
        let (digests, rest): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
        let (keys, values): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        let (digests, keys, values) = (&digests, &keys, &values);
        patient(|| {
            let set = sqlx::query(SET).bind(&self.plugin).bind(&self.store);
            self.execute(set.bind(digests).bind(keys).bind(values)).boxed()
        })
        .await
        .map(drop)
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let bytes: usize = keys.iter().map(String::len).sum();
        if keys.len() > MAX_KEYS || bytes > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        let digests: Vec<Vec<u8>> = keys.iter().map(|key| digest(key)).collect();
        let digests = &digests;
        patient(|| {
            let delete = sqlx::query(DELETE).bind(&self.plugin).bind(&self.store).bind(digests);
            self.execute(delete).boxed()
        })
        .await
        .map(drop)
    }

    async fn page(&self, from: Cursor) -> Result<Page> {
        let mut lent = self.server.lend().await.map_err(failed)?;
        let rows = match from {
            Cursor::After(key) => {
                let query = sqlx::query(KEYS).bind(&self.plugin).bind(&self.store);
                let query = query.bind(key.into_bytes()).bind(PAGE + 1).bind(0_i64);
                query.fetch_all(&mut lent.connection).await
            }
            from => {
                let skip = if let Cursor::Skip(count) = from { count } else { 0 };
                let skip = i64::try_from(skip).unwrap_or(i64::MAX);
                let query = sqlx::query(FIRST_KEYS).bind(&self.plugin).bind(&self.store);
                query.bind(PAGE + 1).bind(skip).fetch_all(&mut lent.connection).await
            }
        };
        let rows = rows.map_err(failed)?;
        lent.keep();
        let key = |row: &PgRow| -> Result<String> {
            let bytes: Vec<u8> = row.try_get(0).map_err(failed)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut keys: Vec<String> = rows.iter().map(key).collect::<Result<_>>()?;
        let more = keys.len() > PAGE as usize;
        keys.truncate(PAGE as usize);
        Ok(Page { keys, more })
    }

    async fn add(&self, key: String, delta: i64) -> Result<i64> {
        check_key(&key)?;
        let digest = digest(&key);
        let mut lent = self.server.lend().await.map_err(failed)?;
        let sum = sqlx::query(ADD)
            .bind(&self.plugin)
            .bind(&self.store)
            .bind(&digest)
            .bind(key.as_bytes())
            .bind(delta)
            .fetch_optional(&mut lent.connection)
            .await;
        if sum.is_ok() {
            lent.keep();
        }
        match sum {
            Ok(Some(row)) => row.try_get(0).map_err(failed),
            Ok(None) => Err(Error::NotANumber(key)),
            // The server's code for a number that does not fit.
            Err(error) if is_code(&error, "22003") => Err(Error::OutOfRange(key)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn swap(&self, key: String, expected: Option<Bytes>, value: Bytes) -> Result<Swap> {
        check_key(&key)?;
        if value.len() > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        let digest = digest(&key);
        loop {
            let statement = if expected.is_some() { REPLACE } else { ADD_KEY };
            let before = expected.as_deref().unwrap_or(key.as_bytes());
            let done = sqlx::query(statement)
                .bind(&self.plugin)
                .bind(&self.store)
                .bind(&digest)
                .bind(before)
                .bind(&value[..]);
            if self.execute(done).await.map_err(failed)? > 0 {
                return Ok(Swap::Done);
            }
            let now = self.get(std::slice::from_ref(&key)).await?.pop().flatten();
            // Unless it has become what was expected since.
            if now != expected {
                return Ok(Swap::Lost(now));
            }
        }
    }
}

fn is_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|found| found == code)
}

impl Store for Room {
    fn get_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        async move { self.get(&keys).await }.boxed()
    }

    fn set_many(&self, pairs: Vec<(String, Bytes)>) -> BoxFuture<'_, Result<()>> {
        self.set(pairs).boxed()
    }

    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>> {
        async move { self.delete(&keys).await }.boxed()
    }

    fn keys(&self, from: Cursor) -> BoxFuture<'_, Result<Page>> {
        self.page(from).boxed()
    }

    fn increment(&self, key: String, delta: i64) -> BoxFuture<'_, Result<i64>> {
        self.add(key, delta).boxed()
    }

    fn compare_and_swap(
        &self,
        key: String,
        expected: Option<Bytes>,
        value: Bytes,
    ) -> BoxFuture<'_, Result<Swap>> {
        self.swap(key, expected, value).boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;
    use crate::backends::postgres::testing;

    async fn open(directory: &Path) -> Arc<dyn KeyValue> {
        Arc::new(Postgres::open(testing::server(directory).await).await.unwrap())
    }

    super::super::contract::contract!(super::open);

    #[tokio::test]
    async fn keys_that_begin_alike_are_told_apart_and_listed_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await.store(Namespace::Shared("s"));
        let mut keys: Vec<String> =
            ["a", "b", "aa"].iter().map(|end| format!("{}{end}", "k".repeat(4000))).collect();
        keys.push(String::new());
        let pairs = keys.iter().map(|key| (key.clone(), Bytes::from(key.clone()))).collect();
        store.set_many(pairs).await.unwrap();
        keys.sort();
        let all = store.keys(Cursor::First).await.unwrap();
        assert_eq!((&all.keys, all.more), (&keys, false));
        let behind = store.keys(Cursor::After(keys[2].clone())).await.unwrap();
        assert_eq!(behind.keys, keys[3..]);
        let values = store.get_many(vec![keys[3].clone(), keys[1].clone()]).await.unwrap();
        assert_eq!(values, [Some(Bytes::from(keys[3].clone())), Some(keys[1].clone().into())]);
    }

    #[tokio::test]
    async fn what_looks_like_a_number_to_the_server_alone_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await.store(Namespace::Shared("s"));
        for text in [" 5", "0x1F", "1_000", "1e3", "", "99999999999999999999", "5\n", "\u{0}", "ü"]
        {
            store.set_many(vec![("n".into(), Bytes::from(text))]).await.unwrap();
            let refused = store.increment("n".into(), 1).await;
            assert_eq!(refused, Err(Error::NotANumber("n".into())), "{text:?}");
        }
        store.set_many(vec![("n".into(), Bytes::from("+5"))]).await.unwrap();
        assert_eq!(store.increment("n".into(), -6).await, Ok(-1));
    }
}
