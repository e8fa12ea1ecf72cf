//! The three ways a batch becomes done.
//!
//! | delivery | around the call | what commits |
//! |---|---|---|
//! | `at-least-once` | nothing | the offset, after the call |
//! | `exactly-once-topics` | what it sends is kept back | what it sent and the offset, together |
//! | `exactly-once-sql` | one transaction of its database | the transaction, which holds the offset |

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    handler::{Fault, Handler, Verdict},
    table::{Bound, Table},
};
use crate::{
    backends::log::{Batch, Partition},
    manifest::Delivery,
    plugins::Generation,
    runtime::{CallError, Lease, exports::consumer::Failure},
};

/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(100);

/// Hands batches of one partition to instances of the live generation.
pub struct Lent {
    bound: watch::Receiver<Bound>,
    partition: Partition,
    turn: Arc<Mutex<()>>,
    stop: CancellationToken,
    generation: u64,
}

impl Lent {
    /// The handler of one partition; `turn` is shared by all partitions of the table.
    pub fn new(
        bound: watch::Receiver<Bound>,
        partition: Partition,
        turn: Arc<Mutex<()>>,
        stop: CancellationToken,
    ) -> Self {
        Self { bound, partition, turn, stop, generation: 0 }
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
                Err(error) => return Err(Fault::Host(error.to_string())),
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
        let first = batch.records().next().map_or(batch.next, |record| record.offset);
        lease.state().call.cause = format!("{topic}/{partition}/{first}").into();
        let outcome = lease.consume(topic, *partition, batch.clone()).await;
        outcome.map_err(|error| {
            generation.note(&error);
            match error.is_fault() {
                true => Fault::Guest(error.to_string()),
                false => Fault::Host(error.to_string()),
            }
        })
    }

    /// Nothing around the call; the log commits after it.
    async fn at_least_once(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let (mut lease, generation) = self.lend().await?;
        let verdict = self.consume(&mut lease, &generation, batch).await?;
        Ok(verdict.map(|()| Vec::new()))
    }

    /// What the call sends is kept back for the commit. After a trap it goes with the store.
    async fn to_topics(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let (mut lease, generation) = self.lend().await?;
        let Some(producer) = &mut lease.state().own.produce else {
            return Err(lacks(&generation, "produce"));
        };
        producer.begin();
        let verdict = self.consume(&mut lease, &generation, batch).await?;
        let sent = lease.state().own.produce.as_mut().map(|producer| producer.take());
        Ok(verdict.map(|()| sent.unwrap_or_default()))
    }
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

    async fn handle(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        let delivery = self.bound.borrow().table.consume.delivery;
        match delivery {
            Delivery::AtLeastOnce => self.at_least_once(batch).await,
            Delivery::ExactlyOnceTopics => self.to_topics(batch).await,
            Delivery::ExactlyOnceSql => Err(lacks(&self.bound.borrow().generation, "sql")),
        }
    }

    async fn place(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn pass(&mut self, _next: u64) -> Result<(), Fault> {
        Ok(())
    }
}
