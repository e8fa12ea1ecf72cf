//! The three ways a batch becomes done.
//!
//! | delivery | around the call | what commits |
//! |---|---|---|
//! | `at-least-once` | nothing | the offset, after the call |
//! | `exactly-once-topics` | what it sends is kept back | what it sent and the offset, together |
//! | `exactly-once-sql` | one transaction of its database | the transaction, which holds the offset |

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    handler::{Fault, Handler, Verdict},
    table::{Bound, Table},
    traced::Traced,
};
use crate::{
    backends::{
        log::{Batch, Partition},
        sql,
    },
    capabilities,
    manifest::Delivery,
    plugins::Generation,
    runtime::{CallError, Lease, exports::consumer::Failure},
    world::World,
};

/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(100);

/// Hands batches of one partition to instances of the live generation.
pub struct Lent {
    bound: watch::Receiver<Bound>,
    partition: Partition,
    stop: CancellationToken,
    generation: u64,
}

impl Lent {
    /// The handler of one partition.
    pub fn new(
        bound: watch::Receiver<Bound>,
        partition: Partition,
        stop: CancellationToken,
    ) -> Self {
        Self { bound, partition, stop, generation: 0 }
    }

    /// An instance of the generation that is live now. Waiting for one is back-pressure, not an
    /// error.
    async fn lend(&mut self) -> Result<(Lease, Arc<Generation>), Fault> {
        loop {
            let generation = self.bound.borrow_and_update().generation.clone();
            let lent = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Fault::Stopped),
                lent = generation.lend() => lent,
            };
            match lent {
                Ok(mut lease) => {
                    self.generation = generation.number;
                    lease.renew();
                    return Ok((lease, generation));
                }
                Err(CallError::Gone { .. }) => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Err(Fault::Stopped),
                    _ = self.bound.changed() => {}
                    () = sleep(SWAP) => {}
                },
                Err(error) => {
                    generation.note(&error);
                    return Err(Fault::Host(error.to_string()));
                }
            }
        }
    }

    async fn consume(
        &self,
        lease: &mut Lease,
        generation: &Generation,
        batch: &Batch,
    ) -> Result<Result<(), Failure>, Fault> {
        let Partition { topic, partition } = &self.partition;
        let first = batch.first().unwrap_or(batch.next);
        let traced = Traced::begin(batch, &self.partition, &self.bound.borrow(), generation);
        lease.state().call.caused_by(&format!("{topic}/{partition}/{first}"), traced.trace());
        if let Some(database) = &mut lease.state().own.sql {
            database.begin_call();
        }
        let outcome = lease.consume(topic, *partition, batch.clone()).await;
        traced.end(&outcome);
        outcome.map_err(|error| {
            generation.note(&error);
            match trouble(lease) {
                Some(trouble) => trouble,
                None if error.is_fault() => Fault::Guest(error.to_string()),
                None => Fault::Host(error.to_string()),
            }
        })
    }

    /// Nothing around the call; the log commits after it.
    async fn at_least_once(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let (mut lease, generation) = self.lend().await?;
        let verdict = self.consume(&mut lease, &generation, batch).await?;
        Ok(judged(&mut lease, verdict)?.map(|()| Vec::new()))
    }

    /// What the call sends is kept back for the commit. After a trap it goes with the store.
    async fn once_to_topics(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let (mut lease, generation) = self.lend().await?;
        let Some(producer) = &mut lease.state().own.produce else {
            return Err(lacks(&generation, "produce"));
        };
        producer.begin_transaction();
        let verdict = self.consume(&mut lease, &generation, batch).await?;
        let sent = lease.state().own.produce.as_mut();
        let sent = sent.map(|producer| producer.take_transaction());
        Ok(judged(&mut lease, verdict)?.map(|()| sent.unwrap_or_default()))
    }

    /// One transaction of the plugin's database around the call. The instance is lent first and
    /// the transaction waits for the database's one writer then, in the same order as in every
    /// other call of the plugin, so that neither waits for the other for ever.
    async fn once_to_sql(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let (mut lease, generation) = self.lend().await?;
        database(&mut lease, &generation)?.begin_batch();
        let verdict = self.consume(&mut lease, &generation, batch).await?;
        let database = database(&mut lease, &generation)?;
        if let Err(failure) = verdict {
            database.rollback_batch().await.map_err(|error| Fault::Host(error.to_string()))?;
            return judged(&mut lease, Err(failure)).map(|verdict| verdict.map(|()| Vec::new()));
        }
        let from = batch.first().unwrap_or(batch.next);
        store(database, &self.table().group, &self.partition, from, batch.next).await?;
        Ok(Ok(Vec::new()))
    }
}

/// A failure, unless the database failed first: that is no message's fault, and none goes to the
/// dead letters for it.
fn judged(lease: &mut Lease, verdict: Result<(), Failure>) -> Result<Result<(), Failure>, Fault> {
    match (&verdict, trouble(lease)) {
        (Err(_), Some(trouble)) => Err(trouble),
        _ => Ok(verdict),
    }
}

fn trouble(lease: &mut Lease) -> Option<Fault> {
    let error = lease.state().own.sql.as_ref()?.trouble()?;
    Some(Fault::Host(error.to_string()))
}

/// Commit the open transaction with the offset. Where its end is open the database tells how far
/// it is: no batch counts twice, also when another member had this partition meanwhile.
pub async fn store(
    database: &mut capabilities::sql::Instance,
    group: &str,
    partition: &Partition,
    from: u64,
    next: u64,
) -> Result<(), Fault> {
    let Partition { topic, partition } = partition;
    let error = match database.commit_batch(group, topic, *partition, from, next).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let host = |error: sql::Error| Fault::Host(error.to_string());
    database.rollback_batch().await.map_err(host)?;
    match error {
        sql::Error::Unavailable(_) | sql::Error::Conflict => {
            let offset = database.offset(group, topic, *partition).await;
            match offset.map_err(host)? {
                Some(offset) if offset == next => Ok(()),
                Some(offset) if offset > from => Err(Fault::Moved(offset)),
                _ => Err(host(error)),
            }
        }
        // A constraint that is checked at the end, or a transaction the guest lost.
        error => Err(Fault::Guest(error.to_string())),
    }
}

/// The plugin's database, which the manifest must ask for.
fn database<'a>(
    lease: &'a mut Lease,
    generation: &Generation,
) -> Result<&'a mut capabilities::sql::Instance, Fault> {
    lease.state().own.sql.as_mut().ok_or_else(|| lacks(generation, "sql"))
}

fn lacks(generation: &Generation, capability: &str) -> Fault {
    let plugin = &generation.plugin;
    Fault::Host(format!("plugin `{plugin}` has no `{capability}`; add `[needs.{capability}]`"))
}

impl Handler for Lent {
    fn table(&self) -> Arc<Table> {
        self.bound.borrow().table.clone()
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn world(&self) -> World {
        self.bound.borrow().generation.world().clone()
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let delivery = self.bound.borrow().table.consume.delivery;
        match delivery {
            Delivery::AtLeastOnce => self.at_least_once(batch).await,
            Delivery::ExactlyOnceTopics => self.once_to_topics(batch).await,
            Delivery::ExactlyOnceSql => self.once_to_sql(batch).await,
        }
    }

    async fn place(&mut self) -> Result<Option<u64>, Fault> {
        let table = self.table();
        if table.consume.delivery != Delivery::ExactlyOnceSql {
            return Ok(None);
        }
        let (mut lease, generation) = self.lend().await?;
        let database = database(&mut lease, &generation)?;
        let Partition { topic, partition } = &self.partition;
        let offset = database.offset(&table.group, topic, *partition).await;
        offset.map_err(|error| Fault::Host(error.to_string()))
    }

    async fn pass(&mut self, from: u64, next: u64) -> Result<(), Fault> {
        if self.table().consume.delivery != Delivery::ExactlyOnceSql {
            return Ok(());
        }
        let (mut lease, generation) = self.lend().await?;
        let database = database(&mut lease, &generation)?;
        database.begin_batch();
        store(database, &self.table().group, &self.partition, from, next).await
    }

    async fn put(&mut self, next: u64) -> Result<(), Fault> {
        let table = self.table();
        if table.consume.delivery != Delivery::ExactlyOnceSql {
            return Ok(());
        }
        let (mut lease, generation) = self.lend().await?;
        let database = database(&mut lease, &generation)?;
        let Partition { topic, partition } = &self.partition;
        let put = database.put_offset(&table.group, topic, *partition, next).await;
        put.map_err(|error| Fault::Host(error.to_string()))
    }
}
