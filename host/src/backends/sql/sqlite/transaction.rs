//! An open transaction: it holds the writer until it ends.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use super::{
    connection::Connection,
    pool::{Pool, Writer},
};
use crate::backends::sql::{
    Error, MAX_STATEMENTS, Place, Result, Rows, Statement, Transaction, Value, text::Kind,
};

/// A transaction that has begun.
pub struct Open {
    pool: Arc<Pool>,
    /// `None` once it has ended, by its owner or because SQLite gave it up.
    writer: Option<Writer>,
    /// It has changed the schema.
    defines: bool,
    /// [`Transaction::savepoint`] was called and the mark still stands.
    marked: bool,
}

impl Open {
    /// Wait for the writer and begin.
    pub async fn begin(pool: &Arc<Pool>) -> Result<Self> {
        let mut writer = pool.writer().await?;
        // Held by this value from the start, so that a drop half way does not leave it open.
        writer.connection()?;
        let mut open =
            Self { pool: pool.clone(), writer: Some(writer), defines: false, marked: false };
        open.run("BEGIN IMMEDIATE").await?;
        Ok(open)
    }

    /// See [`Transaction::batch`]; without a mark to come back to.
    pub async fn batch(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>> {
        if statements.len() > MAX_STATEMENTS {
            return Err(Error::TooLarge);
        }
        let mut changed = Vec::with_capacity(statements.len());
        let mut rest = statements.into_iter().peekable();
        while let Some(first) = rest.next() {
            let text = self.pool.text(&first.sql)?;
            if text.kind != Kind::Write {
                changed.push(self.execute_one(first).await?);
                continue;
            }
            let mut run = vec![first.params];
            while let Some(next) = rest.next_if(|next| next.sql == first.sql) {
                run.push(next.params);
            }
            let outcome = self.connection()?.execute_all(&text, run, &mut changed).await;
            self.check(outcome).await?;
        }
        Ok(changed)
    }

    /// See [`Transaction::commit`].
    pub async fn commit(mut self) -> Result<()> {
        let outcome = self.run("COMMIT").await;
        if outcome.is_err() {
            self.give_up();
            return outcome;
        }
        if self.defines {
            self.pool.redefined();
        }
        self.writer = None;
        Ok(())
    }

    async fn execute_one(&mut self, statement: Statement) -> Result<u64> {
        let text = self.pool.text(&statement.sql)?;
        self.defines |= text.kind == Kind::Define;
        let connection = self.connection()?;
        let outcome = connection.execute(&text, statement.params).await;
        self.check(outcome).await
    }

    /// The connection, unless a statement of this transaction was cut off.
    fn connection(&mut self) -> Result<&mut Connection> {
        let connection = self.writer.as_mut().ok_or(Error::Finished)?.connection()?;
        if connection.is_sound() { Ok(connection) } else { Err(Error::Finished) }
    }

    /// Run a text of the host's own.
    async fn run(&mut self, sql: &'static str) -> Result<()> {
        let connection = self.connection()?;
        connection.run(sql, Vec::new()).await.map(drop)
    }

    /// After some errors SQLite has rolled the transaction back by itself (a full disk, `ON
    /// CONFLICT ROLLBACK`), and further statements would each commit alone: end it here too.
    async fn check<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            let inside = self.run("BEGIN").await.is_err_and(|error| match error {
                Error::Invalid(reason) => reason.contains("within a transaction"),
                _ => false,
            });
            if !inside {
                self.give_up();
            }
        }
        outcome
    }

    fn give_up(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.discard();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return writer.discard();
        };
        runtime.spawn(async move {
            let undone = match writer.connection() {
                Ok(connection) if connection.is_sound() => {
                    connection.run("ROLLBACK", Vec::new()).await.is_ok()
                }
                _ => false,
            };
            if !undone {
                writer.discard();
            }
        });
    }
}

impl Transaction for Open {
    fn query(&mut self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move {
            let text = self.pool.text(&statement.sql)?;
            self.defines |= text.kind == Kind::Define;
            let connection = self.connection()?;
            let outcome = connection.query(&text, statement.params).await;
            self.check(outcome).await
        }
        .boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        self.execute_one(statement).boxed()
    }

    fn batch(&mut self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>> {
        async move {
            self.run("SAVEPOINT _trellis_batch").await?;
            let outcome = Open::batch(self, statements).await;
            if outcome.is_err() && self.writer.is_some() {
                self.run("ROLLBACK TO _trellis_batch").await?;
            }
            if self.writer.is_some() {
                self.run("RELEASE _trellis_batch").await?;
            }
            outcome
        }
        .boxed()
    }

    fn savepoint(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.release().await?;
            self.run("SAVEPOINT _trellis_mark").await?;
            self.marked = true;
            Ok(())
        }
        .boxed()
    }

    fn release(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.marked {
                self.run("RELEASE _trellis_mark").await?;
                self.marked = false;
            }
            Ok(())
        }
        .boxed()
    }

    fn rollback_to_savepoint(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.marked {
                self.run("ROLLBACK TO _trellis_mark").await?;
                self.release().await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn store_offset<'a>(
        &'a mut self,
        place: Place<'a>,
        from: u64,
        next: u64,
    ) -> BoxFuture<'a, Result<()>> {
        async move {
            let params = [Value::Integer(from as i64), Value::Integer(next as i64)];
            let connection = self.connection()?;
            let outcome = connection
                .run(
                    "INSERT INTO main._trellis_offsets (consumer_group, topic, partition, next_offset)
                     VALUES ($1, $2, $3, $5)
                     ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset
                     WHERE next_offset <= $4
                     RETURNING 1",
                    key(place).into_iter().chain(params).collect(),
                )
                .await;
            let stored = self.check(outcome).await?;
            if stored.is_empty() { Err(Error::Conflict) } else { Ok(()) }
        }
        .boxed()
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Open::commit(*self).boxed()
    }

    fn rollback(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        async move {
            if self.run("ROLLBACK").await.is_err() {
                self.give_up();
            }
            self.writer = None;
            Ok(())
        }
        .boxed()
    }
}

/// The key of a place in the table of offsets.
pub fn key(place: Place<'_>) -> [Value; 3] {
    [
        Value::Text(place.group.to_owned()),
        Value::Text(place.topic.to_owned()),
        Value::Integer(place.partition.into()),
    ]
}
