//! An open transaction.
//!
//! One of a plugin runs at a time, on all hosts, as on SQLite: each takes the lock of the table
//! `_trellis_turn` first. So what a transaction has read is still true when it writes, and no two
//! meet half way; only statements outside of transactions may come in between, which
//! `REPEATABLE READ` answers with a conflict instead of losing one of the two. An error aborts all of
//! a transaction in PostgreSQL, so each step stands behind a savepoint to come back to.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};

use super::{
    pool::{Room, Taken},
    schema::Tables,
};
use crate::backends::sql::{
    Error, MAX_STATEMENTS, Place, Result, Rows, Statement, Transaction, Value, text::Kind,
};

/// A transaction that has begun.
pub struct Open {
    room: Arc<Room>,
    tables: Arc<Tables>,
    /// `None` once it has ended, by its owner or because it was lost.
    taken: Option<Taken>,
    /// It has changed the schema.
    defines: bool,
    /// [`Transaction::savepoint`] was called and the mark still stands.
    marked: bool,
    /// Where the savepoint of the steps stands.
    step: Step,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// There is none.
    None,
    /// Behind everything that happened.
    Fresh,
    /// In front of the last step.
    Used,
}

impl Open {
    /// Wait for its turn and begin.
    pub async fn begin(room: &Arc<Room>, tables: &Arc<Tables>) -> Result<Self> {
        // Those of this host wait here, in order, with no connection of theirs.
        let lock = tables.turn.clone().lock_owned().await;
        let mut taken = room.take().await?;
        taken.keep(lock);
        taken.inside(true);
        // The lock comes before the first look at the data.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE {} IN EXCLUSIVE MODE; \
             SAVEPOINT _trellis_step",
            tables.turns
        );
        taken.connection()?.run(&begin).await.map_err(|error| match error {
            Error::CutOff => Error::Unavailable("its turn did not come in time".into()),
            other => other,
        })?;
        let (room, tables) = (room.clone(), tables.clone());
        let taken = Some(taken);
        Ok(Self { room, tables, taken, defines: false, marked: false, step: Step::Fresh })
    }

    /// See [`Transaction::batch`].
    pub async fn batch(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>> {
        if statements.len() > MAX_STATEMENTS {
            return Err(Error::TooLarge);
        }
        self.before_step().await?;
        let outcome = self.all_of(statements).await;
        self.after_step(outcome).await
    }

    async fn all_of(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>> {
        let mut changed = Vec::with_capacity(statements.len());
        for statement in statements {
            changed.push(self.execute_inside(statement).await?);
        }
        Ok(changed)
    }

    async fn execute_inside(&mut self, statement: Statement) -> Result<u64> {
        let text = self.room.text(&statement.sql)?;
        self.defines |= text.kind == Kind::Define;
        let room = self.room.clone();
        let connection = self.taken.as_mut().ok_or(Error::Finished)?.connection()?;
        let plan = room.plan(&text, connection).await?;
        connection.execute(&plan, statement.params).await
    }

    async fn query_inside(&mut self, statement: Statement) -> Result<Rows> {
        let text = self.room.text(&statement.sql)?;
        self.defines |= text.kind == Kind::Define;
        let room = self.room.clone();
        let connection = self.taken.as_mut().ok_or(Error::Finished)?.connection()?;
        let plan = room.plan(&text, connection).await?;
        connection.query(&plan, statement.params).await
    }

    /// Run texts of the host's own.
    async fn run(&mut self, sql: &str) -> Result<()> {
        let outcome = self.sound()?.connection()?.run(sql).await;
        if outcome.is_err() {
            // In what state it is would be a guess.
            self.taken = None;
        }
        outcome
    }

    /// The connection, unless a statement of this transaction was cut off.
    fn sound(&mut self) -> Result<&mut Taken> {
        let taken = self.taken.as_mut().ok_or(Error::Finished)?;
        if taken.connection()?.is_sound() { Ok(taken) } else { Err(Error::Finished) }
    }

    async fn before_step(&mut self) -> Result<()> {
        match self.step {
            Step::None => self.run("SAVEPOINT _trellis_step").await?,
            Step::Fresh => drop(self.sound()?),
            Step::Used => {
                self.run("RELEASE SAVEPOINT _trellis_step; SAVEPOINT _trellis_step").await?;
            }
        }
        self.step = Step::Used;
        Ok(())
    }

    /// After an error the transaction is as it was before the step, or it has ended.
    async fn after_step<T>(&mut self, outcome: Result<T>) -> Result<T> {
        const BACK: &str = "ROLLBACK TO SAVEPOINT _trellis_step";
        let Err(error) = &outcome else { return outcome };
        let Some(taken) = &mut self.taken else { return outcome };
        let back = match (taken.connection()?.is_sound(), error) {
            (true, _) => taken.connection()?.run(BACK).await,
            // Rows are left that nobody reads.
            (false, Error::TooLarge | Error::Invalid(_)) => taken.cancel(BACK).await,
            (false, _) => Err(Error::Finished),
        };
        match back {
            Ok(()) => self.step = Step::Fresh,
            Err(_) => self.taken = None,
        }
        outcome
    }

    /// End it in one of two ways. What the server answers to that ends it, an error too.
    async fn close(&mut self, sql: &str) -> Result<()> {
        let taken = self.sound()?;
        let outcome = taken.connection()?.run(sql).await;
        let inside = !taken.connection()?.is_sound();
        taken.inside(inside);
        outcome
    }

    /// See [`Transaction::commit`].
    pub async fn commit(mut self) -> Result<()> {
        self.close("COMMIT").await?;
        if self.defines {
            self.room.redefined();
        }
        Ok(())
    }
}

impl Transaction for Open {
    fn query(&mut self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move {
            self.before_step().await?;
            let outcome = self.query_inside(statement).await;
            self.after_step(outcome).await
        }
        .boxed()
    }

    fn execute(&mut self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        async move {
            self.before_step().await?;
            let outcome = self.execute_inside(statement).await;
            self.after_step(outcome).await
        }
        .boxed()
    }

    fn batch(&mut self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>> {
        Open::batch(self, statements).boxed()
    }

    fn savepoint(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.release().await?;
            if self.step != Step::None {
                self.run("RELEASE SAVEPOINT _trellis_step").await?;
                self.step = Step::None;
            }
            self.run("SAVEPOINT _trellis_mark").await?;
            self.marked = true;
            Ok(())
        }
        .boxed()
    }

    fn release(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.marked {
                self.run("RELEASE SAVEPOINT _trellis_mark").await?;
                // It stood behind the mark.
                (self.marked, self.step) = (false, Step::None);
            }
            Ok(())
        }
        .boxed()
    }

    fn rollback_to_savepoint(&mut self) -> BoxFuture<'_, Result<()>> {
        async move {
            if self.marked {
                self.run("ROLLBACK TO SAVEPOINT _trellis_mark").await?;
                self.step = Step::None;
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
            self.before_step().await?;
            let mut params = key(place).to_vec();
            params.extend([Value::Integer(from as i64), Value::Integer(next as i64)]);
            let sql = format!(
                "INSERT INTO {} AS known (consumer_group, topic, partition, next_offset)
                 VALUES ($1, $2, $3, $5)
                 ON CONFLICT (consumer_group, topic, partition)
                 DO UPDATE SET next_offset = excluded.next_offset WHERE known.next_offset <= $4
                 RETURNING 1",
                self.tables.offsets
            );
            let outcome = self.sound()?.connection()?.ask(&sql, params).await;
            let stored = self.after_step(outcome).await?;
            if stored.is_empty() { Err(Error::Conflict) } else { Ok(()) }
        }
        .boxed()
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Open::commit(*self).boxed()
    }

    fn rollback(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        async move {
            // A connection that fails here is closed, and the server forgets them all the same.
            let _ = self.close("ROLLBACK").await;
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
