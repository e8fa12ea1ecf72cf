//! The log in an Apache Kafka cluster, through librdkafka.
//!
//! Callers come in through [`Kafka`]. What waits for the cluster waits in librdkafka's threads, in
//! a task of its own, or on a thread that may block, never on one that serves.
//!
//! ```text
//! produce ─▶ catalog (where) ─▶ producer ───────────────▶ ┌─────────┐
//!                                                         │         │
//! join ─▶ driver (one a member) ─▶ tap (one a partition) ◀┤ cluster │
//!            │ commits               └▶ batch ─▶ reader    │         │
//!            └────────────────────── session ────────────▶ └─────────┘
//!                                    outputs and offset, both or neither
//! ```
//! Durable means acknowledged by all in-sync replicas. Readers see only what is committed. The
//! offsets of records have gaps where transactions ended, so a lag may count a few that are none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, join3, ready};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Error, Held, Lag, Landing, Limit, Log, Member, Outgoing, Partition, Range, Result,
    Start, Subscription, Topic, TopicSettings, settings::kafka::Settings,
};

mod catalog;
mod clients;
mod commits;
mod driver;
mod entry;
mod group;
mod groups;
mod health;
mod member;
mod packing;
mod places;
mod producer;
mod reading;
mod session;
mod step;
mod taking;
mod tap;
#[cfg(test)]
mod tests;

use catalog::Catalog;
use clients::{Clients, blocking};
use driver::Driver;
use groups::{Groups, Seat};
use member::KafkaMember;
use producer::Producer;
use reading::Reading;

/// How long the end waits for records on their way, and for groups to be left.
const LAST: Duration = Duration::from_secs(10);

/// A log in a cluster.
pub struct Kafka {
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    producer: Producer,
    reading: Arc<Reading>,
    groups: Arc<Groups>,
    revoke_deadline: Duration,
    closed: CancellationToken,
    members: AtomicU64,
    housework: AbortHandle,
}

impl Kafka {
    /// Connect to a cluster. One that cannot be reached now is no error: it is looked for until
    /// it is there, and what needs it meanwhile answers [`Error::Unavailable`].
    ///
    /// A member of a group that does not let partitions go within `revoke_deadline` loses them.
    ///
    /// # Errors
    /// When the password cannot be read, the settings make no client, or the cluster does not let
    /// the host in.
    pub async fn open(settings: Settings, revoke_deadline: Duration) -> anyhow::Result<Self> {
        let clients = Arc::new(Clients::new(settings).await?);
        let catalog = {
            let clients = Arc::clone(&clients);
            Arc::new(blocking(move || Catalog::new(clients)).await?)
        };
        if let Err(error) = catalog.topics().await {
            if let Some(reason) = clients.health.locked_out() {
                anyhow::bail!("the Kafka cluster does not let the host in: {reason}");
            }
            tracing::warn!(%error, "the Kafka cluster does not answer; it is looked for");
        }
        let reading = Arc::new(Reading::new(Arc::clone(&clients)));
        let groups = Arc::new(Groups::new(Arc::clone(&clients)));
        let housework = {
            let (catalog, reading) = (Arc::clone(&catalog), Arc::clone(&reading));
            let groups = Arc::clone(&groups);
            tokio::spawn(async move { join3(catalog.run(), reading.run(), groups.run()).await })
        };
        Ok(Self {
            producer: Producer::new(Arc::clone(&clients), Arc::clone(&catalog)),
            clients,
            catalog,
            reading,
            groups,
            revoke_deadline,
            closed: CancellationToken::new(),
            members: AtomicU64::new(0),
            housework: housework.abort_handle(),
        })
    }

    fn check_open(&self) -> Result<()> {
        match self.closed.is_cancelled() {
            true => Err(Error::Unavailable("it is closed".into())),
            false => Ok(()),
        }
    }

    async fn take_over(&self, records: Vec<Outgoing>, held: Held) -> Landing {
        if let Err(error) = self.check_open() {
            return ready(records.iter().map(|_| Err(error.clone())).collect()).boxed();
        }
        let mut accepted = Vec::with_capacity(records.len());
        let mut answers = Vec::with_capacity(records.len());
        for placed in self.catalog.place(records).await {
            // Accepted records are answered below.
            answers.push(placed.map(|placed| accepted.push(placed)));
        }
        let sent = self.producer.send(accepted, held).await;
        async move {
            let mut written = sent.await.into_iter();
            let mut next = || written.next().unwrap_or_else(|| Err(producer::lost()));
            answers.into_iter().map(|answer| answer.and_then(|()| next())).collect()
        }
        .boxed()
    }

    async fn join_group(&self, subscription: Subscription) -> Result<KafkaMember> {
        self.check_open()?;
        let group = Arc::clone(&subscription.group);
        if group.is_empty() || group.len() > 249 || group.contains('\0') {
            return Err(Error::InvalidTopic(format!(
                "`{group}` cannot be a group; use 1 to 249 bytes"
            )));
        }
        // What is there now, for those who read only what comes later.
        self.catalog.topics().await?;
        let topics = subscription.topics.clone();
        let (clients, catalog) = (Arc::clone(&self.clients), Arc::clone(&self.catalog));
        let (deadline, left) = (self.revoke_deadline, self.closed.child_token());
        let leave = left.clone();
        let driver =
            blocking(move || Driver::new(clients, catalog, subscription, deadline, left)).await?;
        let member = KafkaMember::new(driver.outbox(), leave.clone());
        let number = self.members.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { group, topics, requests: driver.requests(), left: leave.clone() };
        self.groups.seat(number, seat);
        let groups = Arc::clone(&self.groups);
        tokio::spawn(async move {
            driver.run().await;
            groups.left(number);
        });
        Ok(member)
    }

    async fn range_of(&self, place: Partition) -> Result<Range> {
        self.catalog.partition(&place.topic, place.partition).await?;
        self.catalog.range(place).await
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.housework.abort();
        self.closed.cancel();
    }
}

impl Log for Kafka {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<Topic>>> {
        self.catalog.topics().boxed()
    }

    fn create(&self, topic: &str, settings: TopicSettings) -> BoxFuture<'_, Result<()>> {
        let topic = topic.to_owned();
        async move { self.catalog.create(&topic, &settings).await }.boxed()
    }

    fn hand_over(&self, records: Vec<Outgoing>, held: Held) -> BoxFuture<'_, Landing> {
        self.take_over(records, held).boxed()
    }

    fn read(&self, partition: Partition, from: u64, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        async move {
            self.catalog.partition(&partition.topic, partition.partition).await?;
            self.reading.read(partition, from, limit).await
        }
        .boxed()
    }

    fn range(&self, partition: Partition) -> BoxFuture<'_, Result<Range>> {
        self.range_of(partition).boxed()
    }

    fn first_at(&self, partition: Partition, time_ms: i64) -> BoxFuture<'_, Result<u64>> {
        async move {
            self.catalog.partition(&partition.topic, partition.partition).await?;
            self.catalog.first_at(partition, time_ms).await
        }
        .boxed()
    }

    fn join(&self, subscription: Subscription) -> BoxFuture<'_, Result<Box<dyn Member>>> {
        async move { Ok(Box::new(self.join_group(subscription).await?) as Box<dyn Member>) }.boxed()
    }

    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>>> {
        async move { self.groups.lag(self.catalog.topics().await?).await }.boxed()
    }

    fn replay(&self, group: &str, topic: &str, to: Start) -> BoxFuture<'_, Result<()>> {
        let (group, topic) = (group.to_owned(), topic.to_owned());
        async move {
            let topic = self.catalog.topic(&topic).await?;
            self.groups.replay(&group, topic, to).await
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.closed.cancel();
            self.housework.abort();
            self.groups.close(LAST).await;
            self.producer.close(LAST).await;
            self.reading.close().await;
        }
        .boxed()
    }
}
