//! Offsets on their way: one request at a time for all partitions of a member, whatever comes
//! meanwhile shares the next.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    error::{KafkaResult, RDKafkaErrorCode},
};
use tokio::sync::oneshot;

use super::{
    super::{Error, Partition, Result},
    places,
};

/// Between two tries with an offset that the group was not ready for.
pub const AGAIN: Duration = Duration::from_millis(50);
/// How long an offset is tried again while the group changes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An offset to be committed.
pub struct Request {
    /// The partition.
    pub place: Partition,
    /// Everything before it is done.
    pub offset: u64,
    /// How it went.
    pub answer: oneshot::Sender<Result<()>>,
    /// When it was asked for.
    pub since: Instant,
}

/// The offsets of one member.
#[derive(Default)]
pub struct Commits {
    waiting: Vec<Request>,
    on_their_way: HashMap<Partition, Request>,
}

impl Commits {
    /// Take a request in.
    pub fn ask(&mut self, request: Request) {
        self.waiting.push(request);
    }

    /// What to send now, if the way is free.
    pub fn launch(&mut self) -> Option<TopicPartitionList> {
        if !self.on_their_way.is_empty() || self.waiting.is_empty() {
            return None;
        }
        for request in std::mem::take(&mut self.waiting) {
            match self.on_their_way.contains_key(&request.place) {
                // One of a partition follows the other.
                true => self.waiting.push(request),
                false => drop(self.on_their_way.insert(request.place.clone(), request)),
            }
        }
        let offsets = self.on_their_way.values();
        let offsets = offsets.map(|request| (request.place.clone(), places::at(request.offset)));
        places::list(offsets).ok()
    }

    /// What was sent has come back; answers whether some of it is to be sent again, a moment
    /// later. `is_mine` tells whether the member still has a partition.
    pub fn landed(
        &mut self,
        outcome: &KafkaResult<()>,
        is_mine: impl Fn(&Partition) -> bool,
    ) -> bool {
        let mut some_again = false;
        for (place, request) in std::mem::take(&mut self.on_their_way) {
            // An error of one of them is told for all: the same offset again is harmless.
            let Err(error) = outcome else {
                request.answer(Ok(()));
                continue;
            };
            let again = match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::FencedInstanceId
                    | RDKafkaErrorCode::AssignmentLost,
                ) if !is_mine(&place) => {
                    request.fenced();
                    continue;
                }
                Some(
                    RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::RebalanceInProgress
                    | RDKafkaErrorCode::AssignmentLost
                    | RDKafkaErrorCode::UnstableOffsetCommit
                    | RDKafkaErrorCode::CoordinatorLoadInProgress
                    | RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorNotAvailable
                    | RDKafkaErrorCode::WaitingForCoordinator
                    | RDKafkaErrorCode::BrokerTransportFailure,
                ) => request.since.elapsed() < PATIENCE,
                _ => false,
            };
            match again {
                true => self.waiting.push(request),
                false => request.failed(error.rdkafka_error_code()),
            }
            some_again |= again;
        }
        some_again
    }

    /// Answer what waits for partitions that were given away.
    pub fn forget(&mut self, is_mine: impl Fn(&Partition) -> bool) {
        for request in std::mem::take(&mut self.waiting) {
            match is_mine(&request.place) {
                true => self.waiting.push(request),
                false => request.fenced(),
            }
        }
    }

    /// Nothing comes back any more.
    pub fn end(&mut self) {
        let on_their_way = std::mem::take(&mut self.on_their_way).into_values();
        for request in on_their_way.chain(std::mem::take(&mut self.waiting)) {
            request.failed(None);
        }
    }
}

impl Request {
    // Whoever asked may have gone.

    fn answer(self, answer: Result<()>) {
        let _ = self.answer.send(answer);
    }

    fn fenced(self) {
        let Partition { topic, partition } = &self.place;
        let fenced = Error::Fenced { topic: topic.to_string(), partition: *partition };
        self.answer(Err(fenced));
    }

    fn failed(self, code: Option<RDKafkaErrorCode>) {
        let reason = match code {
            Some(code) => format!("an offset was not committed: {code}"),
            None => "an offset was not committed".to_owned(),
        };
        self.answer(Err(Error::Unavailable(reason)));
    }
}
