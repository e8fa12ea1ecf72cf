//! Reading without a group, for those who look at a topic: consumers that take whatever partition
//! is asked for, kept for a while so that the next read goes on where the last ended.
//!
//! A consumer can read a partition from one place at a time. So there is one for all partitions,
//! and another for each further reader of the same partition.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    super::{Batch, Error, Limit, Partition, Result},
    clients::{ANSWER, Clients, blocking},
    health::{Ears, pass_over},
    places,
    tap::{Stream, Tap},
};

/// Reads at a time; more wait.
const READS: usize = 64;
/// A place that nobody reads on from is kept for so long.
const KEPT: Duration = Duration::from_secs(30);
/// Records before the end of a partition come within this time, where there are any.
const SETTLE: Duration = Duration::from_secs(2);
/// How often places are looked at for that.
const LOOK: Duration = Duration::from_secs(10);

/// The consumers, and the places where reads have ended.
pub struct Reading {
    clients: Arc<Clients>,
    shelves: Arc<Shelves>,
    turns: Semaphore,
}

#[derive(Default)]
struct Shelves(Mutex<Vec<Shelf>>);

/// A consumer with the partitions it has.
struct Shelf {
    consumer: Arc<BaseConsumer<Ears>>,
    places: HashMap<Partition, Slot>,
}

enum Slot {
    /// Somebody reads it.
    Taken,
    /// It can be read on.
    Free(Stream<Ears>, Instant),
}

/// A stream on loan; it goes back when the read ends, also early.
struct Loan {
    shelves: Arc<Shelves>,
    consumer: Arc<BaseConsumer<Ears>>,
    place: Partition,
    stream: Option<Stream<Ears>>,
}

impl Reading {
    /// No consumers yet.
    pub fn new(clients: Arc<Clients>) -> Self {
        Self { clients, shelves: Arc::default(), turns: Semaphore::new(READS) }
    }

    /// Give up places that nobody reads on from, now and then, for ever.
    pub async fn run(&self) {
        loop {
            sleep(LOOK).await;
            let old = self.shelves.clear(Some(KEPT));
            tokio::task::spawn_blocking(move || old.into_iter().for_each(Gone::end));
        }
    }

    /// Give up everything.
    pub async fn close(&self) {
        self.turns.close();
        let all = self.shelves.clear(None);
        let ended = tokio::task::spawn_blocking(move || all.into_iter().for_each(Gone::end));
        if let Err(error) = ended.await {
            tracing::error!(%error, "a reader did not end cleanly");
        }
    }

    /// Read a partition that exists from an offset on.
    pub async fn read(&self, place: Partition, from: u64, limit: Limit) -> Result<Batch> {
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| Error::Unavailable("it is closed".into()))?;
        let mut loan = match self.shelves.borrow(&place, from) {
            Some(loan) => loan,
            None => self.open(place.clone(), from).await?,
        };
        pass_over(&loan.consumer);
        let Some(stream) = &mut loan.stream else {
            return Err(Error::Unavailable("a reader is gone".into()));
        };
        let deadline = Instant::now() + limit.wait;
        let mut ended = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = if ended.is_some() { left.min(SETTLE) } else { left };
            let batch = stream.next(Limit { wait, ..limit }).await?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            let nothing = || Ok(Batch::new(&place.topic, place.partition, from, 0));
            if Instant::now() >= deadline {
                return nothing();
            }
            // What was asked for may lie before the end and hold nothing but the ends of
            // transactions: there is nothing to wait for in that. Or it came only now.
            match self.end(&loan.consumer, &place).await? {
                end if end > from && ended == Some(end) => return nothing(),
                end => ended = (end > from).then_some(end),
            }
        }
    }

    async fn end(&self, consumer: &Arc<BaseConsumer<Ears>>, place: &Partition) -> Result<u64> {
        let (consumer, place) = (Arc::clone(consumer), place.clone());
        let health = Arc::clone(&self.clients.health);
        blocking(move || {
            let ranges = places::ranges(&*consumer, std::slice::from_ref(&place), ANSWER);
            let ranges = ranges.map_err(|error| health.failed("the end is not known", &error))?;
            Ok(ranges.first().map_or(0, |range| range.end))
        })
        .await
    }

    /// Have a consumer take a partition.
    async fn open(&self, place: Partition, from: u64) -> Result<Loan> {
        let reserved = self.shelves.reserve(&place);
        let (clients, shelves) = (Arc::clone(&self.clients), Arc::clone(&self.shelves));
        blocking(move || {
            let failed = |error| clients.health.failed("a partition is not read", &error);
            let mut loan = match reserved {
                Some(consumer) => Loan { shelves, consumer, place: place.clone(), stream: None },
                None => {
                    let ears = Ears::new("readers", &clients.health);
                    let made: KafkaResult<BaseConsumer<_>> =
                        clients.reader().create_with_context(ears);
                    let consumer = Arc::new(made.map_err(failed)?);
                    shelves.add(&consumer, &place);
                    Loan { shelves, consumer, place: place.clone(), stream: None }
                }
            };
            let places = std::slice::from_ref(&place);
            let ranges = places::ranges(&*loan.consumer, places, ANSWER).map_err(failed)?;
            let range = ranges.first().copied();
            // Beyond the end the cluster would begin again at the start.
            let start = range.map_or(from, |range| from.clamp(range.start, range.end));
            let tap = Tap::open(&loan.consumer, place.clone())?;
            let list = places::list([(place, places::at(start))]).map_err(failed)?;
            loan.consumer.incremental_assign(&list).map_err(failed)?;
            loan.stream = Some(Stream::new(tap, start).from(from));
            Ok(loan)
        })
        .await
    }
}

impl Shelves {
    fn lock(&self) -> MutexGuard<'_, Vec<Shelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream that nobody reads, best one that stands where it is wanted.
    fn borrow(self: &Arc<Self>, place: &Partition, from: u64) -> Option<Loan> {
        let mut shelves = self.lock();
        let distance = |shelf: &Shelf| match shelf.places.get(place) {
            Some(Slot::Free(stream, _)) => Some(stream.position().abs_diff(from)),
            Some(Slot::Taken) | None => None,
        };
        let near = shelves.iter().enumerate();
        let near = near.filter_map(|(index, shelf)| Some((distance(shelf)?, index))).min()?;
        let shelf = shelves.get_mut(near.1)?;
        let Some(Slot::Free(mut stream, _)) = shelf.places.insert(place.clone(), Slot::Taken)
        else {
            return None;
        };
        if stream.position() != from {
            stream.seek(from);
        }
        Some(Loan {
            shelves: Arc::clone(self),
            consumer: Arc::clone(&shelf.consumer),
            place: place.clone(),
            stream: Some(stream.from(from)),
        })
    }

    /// A consumer that does not have the partition, which it is to take.
    fn reserve(&self, place: &Partition) -> Option<Arc<BaseConsumer<Ears>>> {
        let mut shelves = self.lock();
        let shelf = shelves.iter_mut().find(|shelf| !shelf.places.contains_key(place))?;
        shelf.places.insert(place.clone(), Slot::Taken);
        Some(Arc::clone(&shelf.consumer))
    }

    fn add(&self, consumer: &Arc<BaseConsumer<Ears>>, place: &Partition) {
        let places = HashMap::from([(place.clone(), Slot::Taken)]);
        self.lock().push(Shelf { consumer: Arc::clone(consumer), places });
    }

    /// Take out what was not read for so long, or everything.
    fn clear(&self, kept: Option<Duration>) -> Vec<Gone> {
        let mut gone = Vec::new();
        let mut shelves = self.lock();
        for shelf in &mut *shelves {
            shelf.places.retain(|place, slot| match slot {
                Slot::Free(stream, since) if kept.is_none_or(|kept| since.elapsed() > kept) => {
                    stream.tap().shut();
                    gone.push(Gone {
                        consumer: Arc::clone(&shelf.consumer),
                        place: Some(place.clone()),
                    });
                    false
                }
                _ => true,
            });
        }
        shelves.retain(|shelf| {
            let stays = !shelf.places.is_empty();
            if !stays {
                gone.push(Gone { consumer: Arc::clone(&shelf.consumer), place: None });
            }
            stays
        });
        gone
    }
}

/// What a consumer gives up, where that may wait: a partition, or itself.
struct Gone {
    consumer: Arc<BaseConsumer<Ears>>,
    place: Option<Partition>,
}

impl Gone {
    fn end(self) {
        let Some(place) = self.place else { return };
        let list = places::list([(place, rdkafka::Offset::Invalid)]);
        if let Err(error) = list.and_then(|list| self.consumer.incremental_unassign(&list)) {
            tracing::debug!(%error, "a partition is not given up");
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.iter_mut().find(|shelf| Arc::ptr_eq(&shelf.consumer, &self.consumer));
        let Some(shelf) = shelf else { return };
        match self.stream.take() {
            Some(stream) => {
                let free = Slot::Free(stream, Instant::now());
                shelf.places.insert(self.place.clone(), free);
            }
            None => drop(shelf.places.remove(&self.place)),
        }
    }
}
