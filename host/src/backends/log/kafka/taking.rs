//! Taking partitions over: where the group is in each, and having them fetched from there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::{
    super::{Partition, Result, Start},
    catalog::Catalog,
    clients::{ANSWER, Clients},
    group::Happenings,
    places,
    session::Session,
    tap::Tap,
};

/// An offset that a transaction holds for longer than this is held by one that nobody will end.
const HELD: Duration = Duration::from_millis(500);

/// A partition that was taken over.
pub struct Placement {
    /// Where its messages come out.
    pub tap: Arc<Tap<Happenings>>,
    /// The first of them.
    pub position: u64,
    /// Its transactions.
    pub session: Session,
}

/// Takes partitions over. Waits for the cluster.
pub struct Taking {
    /// Where sessions get their clients.
    pub clients: Arc<Clients>,
    /// Where their outputs go.
    pub catalog: Arc<Catalog>,
    /// The member's consumer.
    pub consumer: Arc<BaseConsumer<Happenings>>,
    /// How many partitions each topic had when the member joined: what came later is read from
    /// its start, because everything in it is newer.
    pub known: Arc<HashMap<Arc<str>, u32>>,
    /// The member's group.
    pub group: Arc<str>,
    /// Where it starts in a partition without a committed offset.
    pub start: Start,
}

impl Taking {
    /// From where the group is in each, have the consumer fetch them.
    pub fn take(self, places: &[Partition]) -> Result<Vec<Placement>> {
        let mut sessions = self.sessions(places);
        let committed = self.committed(places, &mut sessions)?;
        let failed = |error| self.clients.health.failed("a partition is not taken over", &error);
        let ranges = places::ranges(&*self.consumer, places, ANSWER).map_err(failed)?;
        let starts =
            places::starts(&*self.consumer, places, &ranges, self.start, ANSWER).map_err(failed)?;
        let (mut positions, mut keep) = (Vec::new(), Vec::new());
        for (index, place) in places.iter().enumerate() {
            let range = ranges[index];
            positions.push(match committed[index] {
                // It may lie beyond the end; waiting there would miss what comes before it.
                Some(offset) => offset.clamp(range.start, range.end),
                None if self.start == Start::Earliest || self.is_new(place) => range.start,
                None => {
                    keep.push((place.clone(), places::at(starts[index])));
                    starts[index]
                }
            });
        }
        if !keep.is_empty() {
            // So that the next member does not start at a later end.
            let list = places::list(keep).map_err(failed)?;
            self.consumer.commit(&list, CommitMode::Sync).map_err(failed)?;
        }
        let taps: Result<Vec<_>> =
            places.iter().map(|place| Tap::open(&self.consumer, place.clone())).collect();
        let taps = taps?;
        let from = places.iter().zip(&positions);
        let from = from.map(|(place, position)| (place.clone(), places::at(*position)));
        let list = places::list(from).map_err(failed)?;
        self.consumer.incremental_assign(&list).map_err(failed)?;
        let placements = taps.into_iter().zip(positions).zip(sessions);
        Ok(placements
            .map(|((tap, position), session)| Placement { tap, position, session })
            .collect())
    }

    fn sessions(&self, places: &[Partition]) -> Vec<Session> {
        let session = |place| Session::new(&self.clients, &self.catalog, &self.group, place);
        places.iter().map(session).collect()
    }

    /// Whether a partition was not there when the member joined.
    fn is_new(&self, place: &Partition) -> bool {
        place.partition >= self.known.get(&place.topic).copied().unwrap_or(0)
    }

    /// Where the group is; transactions that a dead member left open are ended for that.
    fn committed(
        &self,
        places: &[Partition],
        sessions: &mut [Session],
    ) -> Result<Vec<Option<u64>>> {
        let failed =
            |error| self.clients.health.failed("the group's offsets are not known", &error);
        let ask = |patience| {
            places::committed(&*self.consumer, places, Instant::now() + patience).map_err(failed)
        };
        let held = match ask(HELD)? {
            Ok(offsets) => return Ok(offsets),
            Err(held) => held,
        };
        for (place, session) in places.iter().zip(sessions) {
            if held.contains(place) {
                session.settle()?;
            }
        }
        ask(ANSWER)?.map_err(|_| {
            let held = "a transaction of another member holds the group's offsets";
            self.clients.health.unavailable(held)
        })
    }
}
