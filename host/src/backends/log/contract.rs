//! What every log must do, as tests. An implementation brings a [`Subject`] and runs them all
//! with `promises!`. Names are new in each test, so that a server can be shared and kept.

#![allow(clippy::unwrap_used)]

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{
    Batch, Change, Error, Limit, Log, Member, Outgoing, Partition, Position, Reader, Result, Start,
    Subscription, TopicSettings,
};

mod groups;
mod offsets;
mod records;

pub use groups::*;
pub use offsets::*;
pub use records::*;

/// A log under test.
pub trait Subject: Sized + Send {
    /// The log.
    fn log(&self) -> &dyn Log;

    /// The same log after everybody who used it was killed, as far as that can be played.
    fn restarted(self) -> impl Future<Output = Self>;
}

/// Make a test of each promise; `$open` is a future of a [`Subject`].
macro_rules! promises {
    ($open:expr) => {
        $crate::backends::log::contract::promises! { $open;
            a_record_comes_back_as_it_was_sent, records_of_one_call_keep_their_order,
            what_is_handed_over_is_written_in_order_whoever_waits_for_it,
            a_key_always_goes_to_the_partition_of_kafkas_partitioner,
            records_without_a_key_use_all_partitions, every_record_is_answered_on_its_own,
            a_record_that_no_log_can_take_is_refused_alone,
            concurrent_producers_get_offsets_without_gaps, a_read_waits_for_the_first_record,
            a_read_without_records_ends_with_its_wait, limits_cut_a_batch_without_losing_records,
            topics_are_listed_and_made_once, bad_topics_are_refused,
            what_was_acknowledged_survives_a_restart, a_group_goes_on_where_it_committed,
            what_was_not_committed_comes_again, outputs_and_offset_are_committed_together,
            a_refused_output_commits_nothing,
            commits_keep_their_order_while_reading_goes_on, a_second_member_takes_its_share,
            a_member_that_leaves_hands_its_partitions_on, an_old_reader_is_fenced,
            a_topic_that_appears_later_is_taken_up,
            every_record_is_relayed_once_while_members_come_and_go, latest_does_not_move_with_the_end,
            a_group_starts_at_a_time, replay_moves_a_group_that_does_not_run,
            lag_counts_what_is_not_committed, a_reader_knows_what_its_group_has_committed,
        }
    };
    ($open:expr; $($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            $crate::backends::log::contract::$promise($open.await).await;
        })*
    };
}
pub(crate) use promises;

/// Long enough for everything that is to happen, so a test waits this long only to fail.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for what must not happen to have happened.
const MOMENT: Duration = Duration::from_millis(300);

fn unique(name: &str) -> Arc<str> {
    format!("{name}-{:016x}", fastrand::u64(..)).into()
}

/// A topic that keeps everything: tests write records of long ago.
async fn topic(log: &dyn Log, partitions: u32) -> Arc<str> {
    let name = unique("topic");
    let settings = TopicSettings { partitions, retention_ms: None, ..TopicSettings::default() };
    log.create(&name, settings).await.unwrap();
    name
}

fn record(topic: &Arc<str>, partition: u32, value: &str) -> Outgoing {
    let record = Outgoing::new(Arc::clone(topic), None, Some(value.as_bytes()), &[]);
    Outgoing { partition: Some(partition), ..record }
}

/// Write values to a partition in one call.
async fn send(log: &dyn Log, topic: &Arc<str>, partition: u32, values: &[&str]) -> Vec<Position> {
    let records = values.iter().map(|value| record(topic, partition, value)).collect();
    log.produce(records).await.into_iter().map(Result::unwrap).collect()
}

fn place(topic: &Arc<str>, partition: u32) -> Partition {
    Partition { topic: Arc::clone(topic), partition }
}

fn limit(records: u32) -> Limit {
    Limit { records, bytes: 1 << 20, wait: PATIENCE }
}

fn at_once(records: u32) -> Limit {
    Limit { wait: Duration::ZERO, ..limit(records) }
}

fn within(wait: Duration) -> Limit {
    Limit { wait, ..limit(100) }
}

fn values(batch: &Batch) -> Vec<String> {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    batch.records().map(|record| text(record.tail.value())).collect()
}

/// Read a partition from the start until it has so many records, after which nothing comes.
async fn read_all(log: &dyn Log, topic: &Arc<str>, partition: u32, count: usize) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), 0);
    while all.len() < count {
        let batch = log.read(place(topic, partition), next, limit(1000)).await.unwrap();
        assert!(!batch.is_empty(), "only {} of {count} records came", all.len());
        all.extend(values(&batch));
        next = batch.next;
    }
    let more = log.read(place(topic, partition), next, within(MOMENT)).await.unwrap();
    assert!(more.is_empty(), "{} records too many came", more.count);
    all
}

async fn join(log: &dyn Log, group: &Arc<str>, topic: &Arc<str>, start: Start) -> Box<dyn Member> {
    let subscription =
        Subscription { group: Arc::clone(group), topics: vec![Arc::clone(topic)], start };
    log.join(subscription).await.unwrap()
}

async fn change(member: &mut dyn Member) -> Change {
    tokio::time::timeout(PATIENCE, member.next())
        .await
        .expect("the member is told nothing")
        .unwrap()
}

/// Wait until a member was given so many partitions.
async fn assigned(member: &mut dyn Member, count: usize) -> Vec<Box<dyn Reader>> {
    let mut readers = Vec::new();
    while readers.len() < count {
        match change(member).await {
            Change::Assigned(more) => readers.extend(more),
            Change::Revoked { .. } => panic!("nothing was to be revoked"),
        }
    }
    assert_eq!(readers.len(), count);
    readers.sort_by_key(|reader| reader.partition().partition);
    readers
}

/// Join alone and get the only partition.
async fn read_as(
    log: &dyn Log,
    group: &Arc<str>,
    topic: &Arc<str>,
    start: Start,
) -> (Box<dyn Member>, Box<dyn Reader>) {
    let mut member = join(log, group, topic, start).await;
    let reader = assigned(&mut *member, 1).await.remove(0);
    (member, reader)
}
