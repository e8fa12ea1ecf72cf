//! One plugin's file as its database.

use std::{path::PathBuf, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt};

use super::{
    migrate,
    pool::Pool,
    transaction::{Open, key},
};
use crate::backends::sql::{
    Database, Dialect, Migration, MigrationError, Place, Result, Rows, Settings, Statement,
    Transaction, Value, text::Kind,
};

/// An open database.
pub struct File {
    pool: Arc<Pool>,
}

impl File {
    /// Open the file, creating it when it is missing.
    pub async fn open(path: PathBuf, settings: &Settings) -> Result<Arc<Self>> {
        let pool = Pool::new(path, settings);
        let mut writer = pool.writer().await?;
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
        Ok(Arc::new(Self { pool }))
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
        migrate::migrate(&self.pool, migrations).boxed()
    }

    fn query(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move {
            let text = self.pool.text(&statement.sql)?;
            if text.kind == Kind::Read {
                return self.pool.reader().await?.query(&text, statement.params).await;
            }
            let mut writer = self.pool.writer().await?;
            let rows = writer.connection()?.query(&text, statement.params).await?;
            if text.kind == Kind::Define {
                self.pool.redefined();
            }
            Ok(rows)
        }
        .boxed()
    }

    fn execute(&self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        async move {
            let text = self.pool.text(&statement.sql)?;
            let mut writer = self.pool.writer().await?;
            let changed = writer.connection()?.execute(&text, statement.params).await?;
            if text.kind == Kind::Define {
                self.pool.redefined();
            }
            Ok(changed)
        }
        .boxed()
    }

    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>> {
        async move {
            let mut open = Open::begin(&self.pool).await?;
            let changed = open.batch(statements).await?;
            open.commit().await?;
            Ok(changed)
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Transaction>>> {
        async move { Ok(Box::new(Open::begin(&self.pool).await?) as Box<dyn Transaction>) }.boxed()
    }

    fn offset<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Option<u64>>> {
        async move {
            // Through the writer, behind every commit that is under way.
            let mut writer = self.pool.writer().await?;
            let rows = writer
                .connection()?
                .run(
                    "SELECT next_offset FROM main._trellis_offsets
                     WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                    key(place).into(),
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
            let mut writer = self.pool.writer().await?;
            let mut params = key(place).to_vec();
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
