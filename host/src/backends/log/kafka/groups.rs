//! All groups as the cluster knows them: how far each is, and moving one that does not run.
//!
//! The cluster answers for a group only to a client of that group: one is made, and kept for a
//! while.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Buf;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaResult, RDKafkaErrorCode},
    groups::GroupInfo,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Error, Lag, Partition, Range, Result, Start, Topic},
    clients::{ANSWER, Clients, blocking},
    commits::Request,
    health::{Ears, pass_over},
    places,
};

/// The name of the client that belongs to no group.
const ASKER: &str = "trellis-readers";
/// A client of a group that nobody asks for is kept for so long.
const KEPT: Duration = Duration::from_secs(60);
/// How often clients are looked at for that.
const LOOK: Duration = Duration::from_secs(10);

/// The groups, and those who speak for them.
pub struct Groups {
    clients: Arc<Clients>,
    members: Mutex<HashMap<u64, Seat>>,
    /// Counts members that came or left.
    changes: watch::Sender<u64>,
    spokesmen: Mutex<Spokesmen>,
}

/// A client of each group, and when it was asked last.
type Spokesmen = HashMap<Arc<str>, (Arc<BaseConsumer<Ears>>, Instant)>;

/// A member of this host.
pub struct Seat {
    /// Its group.
    pub group: Arc<str>,
    /// What it reads.
    pub topics: Vec<Arc<str>>,
    /// Where it takes offsets to commit.
    pub requests: mpsc::Sender<Request>,
    /// Cancelled when it is dropped, some time before the cluster knows.
    pub left: CancellationToken,
}

impl Groups {
    /// No members yet.
    pub fn new(clients: Arc<Clients>) -> Self {
        let (members, spokesmen) = (Mutex::default(), Mutex::default());
        Self { clients, members, changes: watch::Sender::new(0), spokesmen }
    }

    /// A member has come.
    pub fn seat(&self, number: u64, seat: Seat) {
        self.members().insert(number, seat);
        self.changes.send_modify(|count| *count += 1);
    }

    /// A member has left.
    pub fn left(&self, number: u64) {
        self.members().remove(&number);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Wait until those members of the host that leave have left; of one group, or of all.
    pub async fn settled(&self, group: Option<&str>, patience: Duration) {
        let mut changes = self.changes.subscribe();
        let leaving = || {
            let of = |seat: &&Seat| {
                seat.left.is_cancelled() && group.is_none_or(|group| *seat.group == *group)
            };
            self.members().values().filter(of).count()
        };
        // Late ones are told of by whoever waits for them to have left.
        let _ = timeout(patience, changes.wait_for(|_| leaving() == 0)).await;
    }

    /// Give up clients that nobody asks for, now and then, for ever.
    pub async fn run(&self) {
        loop {
            sleep(LOOK).await;
            let mut old = Vec::new();
            self.spokesmen().retain(|_, (client, asked)| {
                let stays = asked.elapsed() < KEPT;
                if !stays {
                    old.push(Arc::clone(client));
                }
                stays
            });
            tokio::task::spawn_blocking(move || drop(old));
        }
    }

    /// Give up everything, once the members have left.
    pub async fn close(&self, patience: Duration) {
        self.settled(None, patience).await;
        let all = std::mem::take(&mut *self.spokesmen());
        let ended = tokio::task::spawn_blocking(move || drop(all)).await;
        if let Err(error) = ended {
            tracing::error!(%error, "a client did not end cleanly");
        }
    }

    /// Every group's place in every partition of these topics that it has committed in or reads.
    pub async fn lag(self: &Arc<Self>, topics: Vec<Topic>) -> Result<Vec<Lag>> {
        let groups = Arc::clone(self);
        blocking(move || groups.lag_now(&topics)).await
    }

    fn lag_now(&self, topics: &[Topic]) -> Result<Vec<Lag>> {
        let failed = |error| self.clients.health.failed("the groups are not known", &error);
        let all: Vec<Partition> = topics.iter().flat_map(partitions).collect();
        let asker = self.asker().map_err(failed)?;
        let listed = asker.fetch_group_list(None, ANSWER).map_err(failed)?;
        let mut found = Vec::new();
        for listed in listed.groups().iter().filter(|listed| is_of_consumers(listed)) {
            let (group, reads): (Arc<str>, _) = (listed.name().into(), reads(listed));
            let committed = self.committed(&group, &all)?;
            for (place, committed) in all.iter().zip(committed) {
                if committed.is_some() || reads.contains(place) {
                    found.push((Arc::clone(&group), place.clone(), committed));
                }
            }
        }
        let mut touched: Vec<Partition> = found.iter().map(|(_, place, _)| place.clone()).collect();
        touched.sort();
        touched.dedup();
        let ranges = places::ranges(&*asker, &touched, ANSWER).map_err(failed)?;
        let ranges: HashMap<_, _> = touched.into_iter().zip(ranges).collect();
        let lags = found.into_iter().filter_map(|(group, place, committed)| {
            let Range { start, end } = *ranges.get(&place)?;
            let done = committed.unwrap_or(start).max(start);
            let (Partition { topic, partition }, lag) = (place, end.saturating_sub(done));
            Some(Lag { group, topic, partition, committed, end, lag })
        });
        let mut lags: Vec<_> = lags.collect();
        lags.sort_by(|a, b| {
            (&a.group, &a.topic, a.partition).cmp(&(&b.group, &b.topic, b.partition))
        });
        Ok(lags)
    }

    /// Move a group in all partitions of a topic that none of its members reads.
    pub async fn replay(self: &Arc<Self>, group: &str, topic: Topic, to: Start) -> Result<()> {
        self.settled(Some(group), ANSWER).await;
        let groups = Arc::clone(self);
        let places: Vec<Partition> = partitions(&topic).collect();
        let asked = places.clone();
        let offsets = blocking(move || {
            let failed = |error| groups.clients.health.failed("the group is not moved", &error);
            let asker = groups.asker().map_err(failed)?;
            let ranges = places::ranges(&*asker, &asked, ANSWER).map_err(failed)?;
            places::starts(&*asker, &asked, &ranges, to, ANSWER).map_err(failed)
        });
        let offsets = places.into_iter().zip(offsets.await?);
        match self.member(group, &topic.name)? {
            Some(requests) => through_member(&requests, offsets).await,
            None => self.commit(group, offsets.collect()).await,
        }
    }

    /// Commit as nobody in particular, which the cluster takes only while the group is empty.
    async fn commit(self: &Arc<Self>, group: &str, offsets: Vec<(Partition, u64)>) -> Result<()> {
        let (groups, group) = (Arc::clone(self), group.to_owned());
        blocking(move || {
            let committed = groups.client(&group).and_then(|client| {
                let offsets =
                    offsets.into_iter().map(|(place, offset)| (place, places::at(offset)));
                client.commit(&places::list(offsets)?, CommitMode::Sync)
            });
            committed.map_err(|error| match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::RebalanceInProgress
                    | RDKafkaErrorCode::NonEmptyGroup,
                ) => Error::GroupBusy(group),
                _ => groups.clients.health.failed("the group is not moved", &error),
            })
        })
        .await
    }

    /// A member of the host that can commit for the group.
    fn member(&self, group: &str, topic: &str) -> Result<Option<mpsc::Sender<Request>>> {
        let members = self.members();
        let own =
            members.values().filter(|seat| *seat.group == *group && !seat.left.is_cancelled());
        let mut found = None;
        for seat in own {
            if seat.topics.iter().any(|own| **own == *topic) {
                return Err(Error::GroupBusy(group.to_owned()));
            }
            found = Some(seat.requests.clone());
        }
        Ok(found)
    }

    fn committed(&self, group: &Arc<str>, all: &[Partition]) -> Result<Vec<Option<u64>>> {
        let failed = |error| self.clients.health.failed("the groups are not known", &error);
        let deadline = Instant::now() + ANSWER;
        let client = self.client(group).map_err(failed)?;
        places::committed(&*client, all, deadline).map_err(failed)?.map_err(|_| {
            let held = format!("a transaction holds the offsets of group `{group}`");
            self.clients.health.unavailable(held)
        })
    }

    /// Asks which records there are.
    fn asker(&self) -> KafkaResult<Arc<BaseConsumer<Ears>>> {
        self.spokesman(ASKER, Clients::asker)
    }

    /// Asks for and moves the offsets of a group.
    fn client(&self, group: &str) -> KafkaResult<Arc<BaseConsumer<Ears>>> {
        self.spokesman(group, Clients::offsets)
    }

    fn spokesman(
        &self,
        group: &str,
        config: fn(&Clients, &str) -> ClientConfig,
    ) -> KafkaResult<Arc<BaseConsumer<Ears>>> {
        let mut spokesmen = self.spokesmen();
        if let Some((client, asked)) = spokesmen.get_mut(group) {
            *asked = Instant::now();
            pass_over(client);
            return Ok(Arc::clone(client));
        }
        let ears = Ears::new("offsets", &self.clients.health);
        let client: BaseConsumer<_> = config(&self.clients, group).create_with_context(ears)?;
        let client = Arc::new(client);
        spokesmen.insert(group.into(), (Arc::clone(&client), Instant::now()));
        Ok(client)
    }

    fn members(&self) -> MutexGuard<'_, HashMap<u64, Seat>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spokesmen(&self) -> MutexGuard<'_, Spokesmen> {
        self.spokesmen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Have a member commit, which reads other topics.
async fn through_member(
    requests: &mpsc::Sender<Request>,
    offsets: impl Iterator<Item = (Partition, u64)>,
) -> Result<()> {
    let gone = || Error::Unavailable("the member has left".into());
    for (place, offset) in offsets {
        let (answer, answered) = oneshot::channel();
        let request = Request { place, offset, answer, since: Instant::now() };
        requests.send(request).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())??;
    }
    Ok(())
}

fn partitions(topic: &Topic) -> impl Iterator<Item = Partition> {
    let name = Arc::clone(&topic.name);
    (0..topic.partitions).map(move |partition| Partition { topic: Arc::clone(&name), partition })
}

/// Whether offsets are committed in it; other protocols use groups for other things.
fn is_of_consumers(group: &GroupInfo) -> bool {
    matches!(group.protocol_type(), "consumer" | "")
}

/// What the members of a group read.
fn reads(group: &GroupInfo) -> BTreeSet<Partition> {
    let assignments = group.members().iter().filter_map(|member| member.assignment());
    assignments.flat_map(|bytes| assigned(bytes).unwrap_or_default()).collect()
}

/// The partitions of an assignment as consumers write it: a version, and for each topic its name
/// and the numbers of its partitions.
fn assigned(mut bytes: &[u8]) -> Option<Vec<Partition>> {
    let mut found = Vec::new();
    bytes.try_get_i16().ok()?;
    for _ in 0..bytes.try_get_i32().ok()? {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        let (name, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        for _ in 0..bytes.try_get_i32().ok()? {
            let partition = u32::try_from(bytes.try_get_i32().ok()?).ok()?;
            found.push(Partition { topic: Arc::clone(&topic), partition });
        }
    }
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_consumers_write_it() {
        let bytes = b"\0\x01\0\0\0\x01\0\x02ab\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\0";
        let place = |partition| Partition { topic: "ab".into(), partition };
        assert_eq!(assigned(bytes).unwrap(), [place(0), place(5)]);
        assert_eq!(assigned(&bytes[..9]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_assignment_is_read_without_a_panic(bytes: Vec<u8>) {
            let _ = assigned(&bytes);
        }
    }
}
