//! Offsets as the cluster tells them: what is kept, what was committed, where a start is. All of
//! it waits for the cluster, on a thread that may.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

use super::super::{Partition, Range, Start};

/// Between two questions that a moment ago had no answer yet.
const AGAIN: Duration = Duration::from_millis(20);

/// Ask again, until `deadline`, while the answer is only that a partition has a new leader, or that
/// one of a new topic does not know yet that it leads.
pub fn patiently<T>(deadline: Instant, mut ask: impl FnMut() -> KafkaResult<T>) -> KafkaResult<T> {
    loop {
        match ask() {
            Err(error) if is_unled(&error) && Instant::now() < deadline => {
                std::thread::sleep(AGAIN);
            }
            answer => return answer,
        }
    }
}

/// Partitions with an offset each, as librdkafka takes them.
pub fn list(
    places: impl IntoIterator<Item = (Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        list.add_partition_offset(&place.topic, place.partition as i32, offset)?;
    }
    Ok(list)
}

/// A place in a partition.
pub fn at(offset: u64) -> Offset {
    Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX))
}

/// The partitions of a list.
pub fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    let partition = |number: i32| u32::try_from(number).unwrap_or_default();
    elements
        .iter()
        .map(|one| Partition { topic: one.topic().into(), partition: partition(one.partition()) })
        .collect()
}

/// Which records each partition keeps. The end is that of what can be read: a transaction that is
/// not over lies beyond it.
pub fn ranges<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Partition],
    patience: Duration,
) -> KafkaResult<Vec<Range>> {
    let starts = offsets(consumer, places, Offset::Beginning, patience)?;
    let ends = offsets(consumer, places, Offset::End, patience)?;
    let ranges = starts.into_iter().zip(ends).map(|(start, end)| {
        let (start, end) = (start.unwrap_or(0), end.unwrap_or(0));
        Range { start: start.min(end), end }
    });
    Ok(ranges.collect())
}

/// The offset that each partition has at the beginning, at the end or at a time; `None` where
/// nothing is as late as that.
pub fn offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Partition],
    which: Offset,
    patience: Duration,
) -> KafkaResult<Vec<Option<u64>>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    patiently(Instant::now() + patience, || ask_for_offsets(consumer, places, which, patience))
}

fn ask_for_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Partition],
    which: Offset,
    patience: Duration,
) -> KafkaResult<Vec<Option<u64>>> {
    let asked = list(places.iter().map(|place| (place.clone(), which)))?;
    let answers = consumer.offsets_for_times(asked, patience)?;
    places
        .iter()
        .map(|place| {
            let found = answers.find_partition(&place.topic, place.partition as i32);
            let found = found.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
            found.error()?;
            Ok(match found.offset() {
                Offset::Offset(offset) => u64::try_from(offset).ok(),
                _ => None,
            })
        })
        .collect()
}

/// What the consumer's group has committed in each partition. An offset that a transaction holds
/// is waited for; `Err` with the partitions it may be once `deadline` has passed.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Partition],
    deadline: Instant,
) -> KafkaResult<Result<Vec<Option<u64>>, Vec<Partition>>> {
    if places.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let asked = list(places.iter().map(|place| (place.clone(), Offset::Invalid)))?;
        let answers = match consumer.committed_offsets(asked, left) {
            // librdkafka, too, waits for what a transaction holds, and does not tell which it is.
            Err(error) if is_late(&error) => return Ok(Err(places.to_vec())),
            answers => answers?,
        };
        let (mut offsets, mut unstable) = (Vec::new(), Vec::new());
        for place in places {
            let found = answers.find_partition(&place.topic, place.partition as i32);
            let found = found.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
            match found.error() {
                Ok(()) => offsets.push(match found.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                }),
                Err(error) if is_unstable(&error) => unstable.push(place.clone()),
                Err(error) => return Err(error),
            }
        }
        if unstable.is_empty() {
            return Ok(Ok(offsets));
        }
        if Instant::now() >= deadline {
            return Ok(Err(unstable));
        }
        std::thread::sleep(AGAIN);
    }
}

fn is_unled(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::OffsetNotAvailable
        )
    )
}

fn is_late(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
}

fn is_unstable(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnstableOffsetCommit)
}

/// The offsets of a start within what each partition keeps.
pub fn starts<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &[Partition],
    ranges: &[Range],
    start: Start,
    patience: Duration,
) -> KafkaResult<Vec<u64>> {
    let each = |place: &dyn Fn(&Range) -> u64| ranges.iter().map(place).collect();
    Ok(match start {
        Start::Earliest => each(&|range| range.start),
        Start::Latest => each(&|range| range.end),
        Start::Offset(offset) => each(&|range| offset.clamp(range.start, range.end)),
        Start::Time(time) => {
            let times = offsets(consumer, places, Offset::Offset(time.max(0)), patience)?;
            let clamped = times.into_iter().zip(ranges);
            clamped
                .map(|(offset, range)| offset.unwrap_or(range.end).clamp(range.start, range.end))
                .collect()
        }
    })
}
