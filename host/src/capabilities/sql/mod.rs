//! `sql`: the plugin's own database, `trellis:storage/sql`.
//!
//! The migrations of a generation are applied while it is prepared, so before any of its code
//! runs. What a call leaves open is rolled back: at its end by the runtime, after a trap by the
//! drop of the store.
//!
//! While a consumer under `exactly-once-sql` handles a batch, its trigger opens a transaction
//! here: the statements of the call run in it, and it commits together with the offset. It takes
//! the writer of the database at the first statement only, so that the batches of other
//! partitions are worked on meanwhile.

use std::{mem, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::backends::{
    Backends,
    sql::{self, Database, Databases, Error, Place, Result, Rows, Statement, Transaction},
};

mod host;
mod migrations;
#[cfg(test)]
mod tests;

pub use crate::backends::sql::Migration;
pub use migrations::{Migrations, Unreadable};

/// The capability: all plugins' databases.
pub struct Sql {
    databases: Arc<dyn Databases>,
}

/// `[needs.sql]`. The operator grants it by the presence of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The plugin's migrations. The operator's are not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,
    /// Queries outside of transactions may be answered without the latest changes, by a server
    /// that follows, where there is one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale_reads: bool,
}

/// What a generation has: its database, migrated.
pub struct Prepared {
    database: Arc<dyn Database>,
    stale_reads: bool,
}

/// One store's part of the database.
pub struct Instance {
    prepared: Arc<Prepared>,
    open: Open,
    /// Counts the transactions that the guest has begun; the last one may be open.
    begun: u64,
    /// The guest has [`Self::begun`] open: all of a transaction, or the savepoint in a batch.
    guest: bool,
    /// What the database failed with in this call, through no fault of the guest's.
    trouble: Option<Error>,
    /// A statement of the guest's runs, or was given up.
    waiting: bool,
}

/// What is open.
enum Open {
    Nothing,
    /// The guest's own transaction.
    Guest(Box<dyn Transaction>),
    /// A batch that has not used the database yet.
    Batch,
    /// A batch that has.
    Begun(Box<dyn Transaction>),
    /// The database gave the batch's transaction up: nothing further may run.
    Lost,
}

impl Instance {
    /// Forget the trouble of earlier calls.
    pub fn begin_call(&mut self) {
        (self.trouble, self.waiting) = (None, false);
    }

    /// What the database failed with in this call, if that was no fault of the guest's: it was
    /// away, two transactions met, or a server did not answer before the call's time was over.
    pub fn trouble(&self) -> Option<Error> {
        let on_a_server = self.prepared.database.dialect() == sql::Dialect::Postgres;
        if self.waiting && on_a_server {
            return Some(Error::Unavailable("it did not answer in time".into()));
        }
        self.trouble.clone()
    }

    fn note<T>(&mut self, outcome: Result<T>) -> Result<T> {
        self.waiting = false;
        if let Err(error @ (Error::Unavailable(_) | Error::Conflict)) = &outcome {
            self.trouble.get_or_insert_with(|| error.clone());
        }
        outcome
    }

    /// Run what follows in one transaction until [`Self::commit_batch`] or
    /// [`Self::rollback_batch`].
    pub fn begin_batch(&mut self) {
        self.open = Open::Batch;
        self.guest = false;
    }

    /// The next offset that `group` has not finished in the database, if it ever committed.
    pub async fn offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: u32,
    ) -> Result<Option<u64>> {
        self.prepared.database.offset(Place { group, topic, partition }).await
    }

    /// Put the place of `group` at `next`, wherever it was.
    pub async fn put_offset(
        &mut self,
        group: &str,
        topic: &str,
        partition: u32,
        next: u64,
    ) -> Result<()> {
        self.prepared.database.put_offset(Place { group, topic, partition }, next).await
    }

    /// Store that the records from `from` up to before `next` are finished and commit all of the
    /// batch. After an error nothing of it is in the database, but for [`Error::Unavailable`]:
    /// ask for the offset before it is handled again. [`Error::Conflict`]: another member has
    /// finished some of these records.
    pub async fn commit_batch(
        &mut self,
        group: &str,
        topic: &str,
        partition: u32,
        from: u64,
        next: u64,
    ) -> Result<()> {
        self.undo_savepoint().await?;
        self.batch_transaction().await?;
        let Open::Begun(mut transaction) = mem::replace(&mut self.open, Open::Nothing) else {
            return Err(Error::Finished);
        };
        transaction.store_offset(Place { group, topic, partition }, from, next).await?;
        transaction.commit().await
    }

    /// Forget what the batch did.
    pub async fn rollback_batch(&mut self) -> Result<()> {
        self.guest = false;
        match mem::replace(&mut self.open, Open::Nothing) {
            Open::Begun(transaction) => transaction.rollback().await,
            _ => Ok(()),
        }
    }

    /// Roll back the transaction the guest left open. The batch stays, it is its trigger's.
    fn end_call(&mut self) {
        if let Open::Guest(_) = self.open {
            self.open = Open::Nothing;
            self.guest = false;
        }
    }

    /// The transaction of the batch, begun now if need be.
    async fn batch_transaction(&mut self) -> Result<()> {
        if let Open::Batch = self.open {
            // Lost, should this future be dropped or the database refuse.
            self.open = Open::Lost;
            self.open = Open::Begun(self.prepared.database.begin().await?);
        }
        Ok(())
    }

    /// Undo the savepoint that the guest left open in the batch.
    async fn undo_savepoint(&mut self) -> Result<()> {
        if let (true, Open::Begun(transaction)) = (self.guest, &mut self.open) {
            self.guest = false;
            transaction.rollback_to_savepoint().await?;
        }
        Ok(())
    }

    /// Where a statement outside of the guest's transactions runs: in the batch if there is one.
    async fn place(&mut self) -> Result<Target<'_>> {
        self.batch_transaction().await?;
        match &mut self.open {
            Open::Nothing => Ok(Target::Database(&*self.prepared.database)),
            Open::Begun(transaction) => Ok(Target::Transaction(&mut **transaction)),
            Open::Guest(_) => Err(Error::Invalid(
                "a transaction is open in this call; use it, or end it first".into(),
            )),
            Open::Batch | Open::Lost => Err(Error::Finished),
        }
    }

    async fn query(&mut self, statement: Statement) -> Result<Rows> {
        self.waiting = true;
        let outcome = self.query_now(statement).await;
        self.note(outcome)
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64> {
        self.waiting = true;
        let outcome = self.execute_now(statement).await;
        self.note(outcome)
    }

    async fn batch(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>> {
        self.waiting = true;
        let outcome = self.batch_now(statements).await;
        self.note(outcome)
    }

    async fn begin(&mut self) -> Result<u64> {
        self.waiting = true;
        let outcome = self.begin_now().await;
        self.note(outcome)
    }

    /// Run a statement in the guest's transaction of this number.
    async fn query_in(&mut self, number: u64, statement: Statement) -> Result<Rows> {
        let open = self.transaction(number)?;
        let outcome = open.query(statement).await;
        self.note(outcome)
    }

    /// The same for a statement that changes rows.
    async fn execute_in(&mut self, number: u64, statement: Statement) -> Result<u64> {
        let open = self.transaction(number)?;
        let outcome = open.execute(statement).await;
        self.note(outcome)
    }

    async fn end(&mut self, number: u64, commit: bool) -> Result<()> {
        let outcome = self.end_now(number, commit).await;
        self.note(outcome)
    }

    async fn query_now(&mut self, statement: Statement) -> Result<Rows> {
        let stale_reads = self.prepared.stale_reads;
        match self.place().await? {
            Target::Database(database) if stale_reads => database.query_behind(statement).await,
            Target::Database(database) => database.query(statement).await,
            Target::Transaction(transaction) => transaction.query(statement).await,
        }
    }

    async fn execute_now(&mut self, statement: Statement) -> Result<u64> {
        match self.place().await? {
            Target::Database(database) => database.execute(statement).await,
            Target::Transaction(transaction) => transaction.execute(statement).await,
        }
    }

    async fn batch_now(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>> {
        match self.place().await? {
            Target::Database(database) => database.batch(statements).await,
            Target::Transaction(transaction) => transaction.batch(statements).await,
        }
    }

    /// Open the guest's transaction, a savepoint in a batch; its number.
    async fn begin_now(&mut self) -> Result<u64> {
        if self.guest {
            return Err(Error::Invalid("a transaction is open already; end it first".into()));
        }
        self.batch_transaction().await?;
        match &mut self.open {
            Open::Begun(transaction) => transaction.savepoint().await?,
            Open::Nothing => self.open = Open::Guest(self.prepared.database.begin().await?),
            _ => return Err(Error::Finished),
        }
        self.guest = true;
        self.begun += 1;
        Ok(self.begun)
    }

    /// The guest's transaction of this number, while it is open.
    fn transaction(&mut self, number: u64) -> Result<&mut dyn Transaction> {
        match &mut self.open {
            Open::Guest(transaction) | Open::Begun(transaction)
                if self.guest && self.begun == number =>
            {
                self.waiting = true;
                Ok(&mut **transaction)
            }
            _ => Err(Error::Finished),
        }
    }

    async fn end_now(&mut self, number: u64, commit: bool) -> Result<()> {
        self.transaction(number)?;
        self.guest = false;
        if let Open::Begun(batch) = &mut self.open {
            return if commit {
                batch.release().await
            } else {
                batch.rollback_to_savepoint().await
            };
        }
        let Open::Guest(transaction) = mem::replace(&mut self.open, Open::Nothing) else {
            return Err(Error::Finished);
        };
        if commit { transaction.commit().await } else { transaction.rollback().await }
    }
}

enum Target<'a> {
    Database(&'a dyn Database),
    Transaction(&'a mut dyn Transaction),
}

impl Capability for Sql {
    const NAME: &'static str = "sql";
    const INTERFACES: &'static [&'static str] = &[host::INTERFACE];
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { databases: backends.sql.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        host::link(linker)
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        let database = self.databases.open(&plugin.name).await?;
        if let Some(migrations) = &grant.migrations {
            // The manifest's loader has put the texts, or the full path, in place.
            let all = migrations.inline(Path::new("/"))?;
            database.migrate(&migrations::spoken(all, database.dialect())).await?;
        }
        Ok(Prepared { database, stale_reads: grant.stale_reads })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance {
            prepared: prepared.clone(),
            open: Open::Nothing,
            begun: 0,
            guest: false,
            trouble: None,
            waiting: false,
        }
    }

    fn end_call(instance: &mut Instance) {
        instance.end_call();
    }
}
