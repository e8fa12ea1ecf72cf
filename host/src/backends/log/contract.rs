//! What every log must do, as tests. An implementation brings a [`Subject`] and runs them all
//! with `promises!`. Names are new in each test, so that a server can be shared and kept.

#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{
    Batch, Change, Error, Limit, Log, Member, Outgoing, Partition, Position, Reader, Start,
    Subscription, TopicSettings,
};

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
            a_key_always_goes_to_the_partition_of_kafkas_partitioner,
            records_without_a_key_use_all_partitions, every_record_is_answered_on_its_own,
            concurrent_producers_get_offsets_without_gaps, a_read_waits_for_the_first_record,
            a_read_without_records_ends_with_its_wait, limits_cut_a_batch_without_losing_records,
            topics_are_listed_and_made_once, bad_topics_are_refused,
            what_was_acknowledged_survives_a_restart, a_group_goes_on_where_it_committed,
            what_was_not_committed_comes_again, outputs_and_offset_are_committed_together,
            a_refused_output_commits_nothing,
            commits_keep_their_order_while_reading_goes_on, a_second_member_takes_its_share,
            a_member_that_leaves_hands_its_partitions_on, an_old_reader_is_fenced,
            a_topic_that_appears_later_is_taken_up, latest_does_not_move_with_the_end,
            a_group_starts_at_a_time, replay_moves_a_group_that_does_not_run,
            lag_counts_what_is_not_committed,
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
const PATIENCE: Duration = Duration::from_secs(30);

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

fn values(batch: &Batch) -> Vec<String> {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    batch.records().map(|record| text(record.tail.value())).collect()
}

/// Read a partition from the start until it has so many records.
async fn read_all(log: &dyn Log, topic: &Arc<str>, partition: u32, count: usize) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), 0);
    while all.len() < count {
        let batch = log.read(place(topic, partition), next, limit(1000)).await.unwrap();
        assert!(!batch.is_empty(), "only {} of {count} records came", all.len());
        all.extend(values(&batch));
        next = batch.next;
    }
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

pub async fn a_record_comes_back_as_it_was_sent(subject: impl Subject) {
    let log = subject.log();
    let topic = topic(log, 1).await;
    let headers: &[(&str, Option<&[u8]>)] = &[("a", Some(b"1")), ("b", None), ("a", Some(b""))];
    let mut sent = Outgoing::new(Arc::clone(&topic), Some(b"key"), Some(b"value"), headers);
    sent.timestamp_ms = Some(1_700_000_000_123);
    let nothing = Outgoing::new(Arc::clone(&topic), None, None, &[]);
    let answers = log.produce(vec![sent.clone(), nothing]).await;
    assert_eq!(*answers[0].as_ref().unwrap(), Position { partition: 0, offset: 0 });
    let batch = log.read(place(&topic, 0), 0, limit(10)).await.unwrap();
    let records: Vec<_> = batch.records().collect();
    assert_eq!((records[0].offset, records[0].timestamp_ms), (0, 1_700_000_000_123));
    assert_eq!(
        (records[0].tail.key(), records[0].tail.value()),
        (Some(&b"key"[..]), Some(&b"value"[..]))
    );
    assert_eq!(records[0].tail.headers().collect::<Vec<_>>(), headers);
    assert_eq!((records[1].tail.key(), records[1].tail.value()), (None, None));
    assert!(records[1].timestamp_ms > 1_700_000_000_123, "the log did not set a timestamp");
}

pub async fn records_of_one_call_keep_their_order(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let sent: Vec<_> = (0..2500).map(|index| index.to_string()).collect();
    let positions =
        send(subject.log(), &topic, 0, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let offsets: Vec<_> = positions.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, (0..2500).collect::<Vec<_>>());
    assert_eq!(read_all(subject.log(), &topic, 0, 2500).await, sent);
}

pub async fn a_key_always_goes_to_the_partition_of_kafkas_partitioner(subject: impl Subject) {
    let topic = topic(subject.log(), 7).await;
    // The positive part of the key's murmur2 hash, modulo 7.
    for (key, hash) in [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        let sent = Outgoing::new(Arc::clone(&topic), Some(key.as_bytes()), None, &[]);
        let position = *subject.log().produce(vec![sent]).await[0].as_ref().unwrap();
        assert_eq!(position.partition, (hash as u32 & 0x7fff_ffff) % 7, "{key}");
    }
}

pub async fn records_without_a_key_use_all_partitions(subject: impl Subject) {
    let topic = topic(subject.log(), 3).await;
    let mut used = HashSet::new();
    for _ in 0..200 {
        let sent = Outgoing::new(Arc::clone(&topic), None, Some(b"x"), &[]);
        used.insert(subject.log().produce(vec![sent]).await[0].as_ref().unwrap().partition);
        if used.len() == 3 {
            return;
        }
    }
    panic!("200 records used only {used:?}");
}

pub async fn every_record_is_answered_on_its_own(subject: impl Subject) {
    let name = unique("topic");
    let settings =
        TopicSettings { partitions: 2, max_record_bytes: 1000, ..TopicSettings::default() };
    subject.log().create(&name, settings).await.unwrap();
    let answers = subject
        .log()
        .produce(vec![
            record(&name, 1, "first"),
            record(&unique("unknown"), 0, "x"),
            record(&name, 2, "x"),
            record(&name, 1, &"x".repeat(2000)),
            record(&name, 1, "second"),
        ])
        .await;
    assert_eq!(*answers[0].as_ref().unwrap(), Position { partition: 1, offset: 0 });
    assert!(matches!(answers[1], Err(Error::UnknownTopic(_))));
    assert!(matches!(answers[2], Err(Error::UnknownPartition { partition: 2, .. })));
    assert!(matches!(answers[3], Err(Error::TooLarge { limit: 1000, .. })));
    assert_eq!(*answers[4].as_ref().unwrap(), Position { partition: 1, offset: 1 });
}

pub async fn concurrent_producers_get_offsets_without_gaps(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let producers = (0..50).map(|producer| {
        let (log, topic) = (subject.log(), &topic);
        async move {
            let mut positions = Vec::new();
            for index in 0..4 {
                let value = format!("{producer}/{index}");
                positions.push((send(log, topic, 0, &[&value]).await[0].offset, value));
            }
            positions
        }
    });
    let mut answered: Vec<_> = join_all(producers).await.concat();
    answered.sort();
    let read = read_all(subject.log(), &topic, 0, 200).await;
    let expected: Vec<_> = (0..).zip(read).collect();
    assert_eq!(answered, expected);
}

pub async fn a_read_waits_for_the_first_record(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let read = subject.log().read(place(&topic, 0), 0, limit(10));
    let write = send(subject.log(), &topic, 0, &["late"]);
    let (batch, _) = tokio::join!(read, write);
    assert_eq!(values(&batch.unwrap()), ["late"]);
}

pub async fn a_read_without_records_ends_with_its_wait(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let batch = subject.log().read(place(&topic, 0), 0, at_once(10)).await.unwrap();
    assert!(batch.is_empty());
    assert_eq!(batch.next, 0);
    let unknown = subject.log().read(place(&unique("unknown"), 0), 0, at_once(10)).await;
    assert!(matches!(unknown, Err(Error::UnknownTopic(_))));
    let beyond = subject.log().range(place(&topic, 1)).await;
    assert!(matches!(beyond, Err(Error::UnknownPartition { partition: 1, .. })));
}

pub async fn limits_cut_a_batch_without_losing_records(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let sent: Vec<_> = (0..20).map(|index| format!("{index:0200}")).collect();
    send(subject.log(), &topic, 0, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let range = subject.log().range(place(&topic, 0)).await.unwrap();
    assert_eq!((range.start, range.end), (0, 20));
    let few = subject.log().read(place(&topic, 0), 3, limit(4)).await.unwrap();
    assert_eq!((values(&few), few.next), (sent[3..7].to_vec(), 7));
    let small = Limit { bytes: 700, ..limit(100) };
    let batch = subject.log().read(place(&topic, 0), 7, small).await.unwrap();
    assert!(batch.count < 4, "{} bytes came", batch.size());
    assert_eq!(values(&batch), sent[7..7 + batch.count as usize]);
    let one =
        subject.log().read(place(&topic, 0), 7, Limit { bytes: 1, ..limit(100) }).await.unwrap();
    assert_eq!(values(&one), sent[7..8]);
}

pub async fn topics_are_listed_and_made_once(subject: impl Subject) {
    let topic = topic(subject.log(), 5).await;
    let again = subject.log().create(&topic, TopicSettings::default()).await;
    assert!(matches!(again, Err(Error::TopicExists(_))));
    let subject = subject.restarted().await;
    let topics = subject.log().topics().await.unwrap();
    assert_eq!(topics.iter().find(|listed| listed.name == topic).unwrap().partitions, 5);
    assert!(topics.is_sorted_by_key(|topic| &topic.name));
}

pub async fn bad_topics_are_refused(subject: impl Subject) {
    for name in ["", "..", "a/b", "naïve", &"x".repeat(250)] {
        let refused = subject.log().create(name, TopicSettings::default()).await;
        assert!(matches!(refused, Err(Error::InvalidTopic(_))), "{name}");
    }
    let none = TopicSettings { partitions: 0, ..TopicSettings::default() };
    assert!(matches!(subject.log().create(&unique("t"), none).await, Err(Error::InvalidTopic(_))));
}

pub async fn what_was_acknowledged_survives_a_restart(subject: impl Subject) {
    let topic = topic(subject.log(), 2).await;
    send(subject.log(), &topic, 0, &["a", "b"]).await;
    send(subject.log(), &topic, 1, &["c"]).await;
    let subject = subject.restarted().await;
    assert_eq!(read_all(subject.log(), &topic, 0, 2).await, ["a", "b"]);
    assert_eq!(send(subject.log(), &topic, 1, &["d"]).await[0].offset, 1);
    let subject = subject.restarted().await;
    assert_eq!(read_all(subject.log(), &topic, 1, 2).await, ["c", "d"]);
}

pub async fn a_group_goes_on_where_it_committed(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b", "c"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    let batch = reader.next(limit(2)).await.unwrap();
    assert_eq!((values(&batch), batch.behind), (vec!["a".into(), "b".into()], 1));
    reader.commit(batch.next).await.unwrap();
    drop((reader, member));
    let subject = subject.restarted().await;
    let (_member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["c"]);
}

pub async fn what_was_not_committed_comes_again(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    assert_eq!(reader.next(limit(10)).await.unwrap().count, 2);
    assert!(reader.next(at_once(10)).await.unwrap().is_empty());
    reader.seek(1);
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["b"]);
    drop((reader, member));
    let (_member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["a", "b"]);
}

pub async fn outputs_and_offset_are_committed_together(subject: impl Subject) {
    let (input, output) = (topic(subject.log(), 1).await, topic(subject.log(), 1).await);
    let group = unique("group");
    send(subject.log(), &input, 0, &["a", "b", "c"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    for _ in 0..2 {
        let batch = reader.next(limit(1)).await.unwrap();
        let outputs =
            values(&batch).iter().map(|value| record(&output, 0, &value.to_uppercase())).collect();
        reader.commit_with(outputs, batch.next).await.unwrap();
    }
    drop((reader, member));
    let subject = subject.restarted().await;
    assert_eq!(read_all(subject.log(), &output, 0, 2).await, ["A", "B"]);
    let (_member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["c"]);
}

pub async fn a_refused_output_commits_nothing(subject: impl Subject) {
    let (input, output) = (topic(subject.log(), 1).await, topic(subject.log(), 1).await);
    let group = unique("group");
    send(subject.log(), &input, 0, &["a"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    let outputs = vec![record(&output, 0, "A"), record(&unique("unknown"), 0, "A")];
    let refused = reader.commit_with(outputs, 1).await;
    assert!(matches!(refused, Err(Error::UnknownTopic(_))));
    drop((reader, member));
    let read = subject.log().read(place(&output, 0), 0, at_once(10)).await.unwrap();
    assert!(read.is_empty());
    let (_member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["a"]);
}

pub async fn commits_keep_their_order_while_reading_goes_on(subject: impl Subject) {
    let (input, output) = (topic(subject.log(), 1).await, topic(subject.log(), 1).await);
    let group = unique("group");
    send(subject.log(), &input, 0, &["a", "b", "c"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    let mut commits = Vec::new();
    for _ in 0..2 {
        let batch = reader.next(limit(1)).await.unwrap();
        let outputs = values(&batch).iter().map(|value| record(&output, 0, value)).collect();
        commits.push(reader.commit_with(outputs, batch.next));
    }
    // The later one is polled first.
    commits.reverse();
    join_all(commits).await.into_iter().for_each(Result::unwrap);
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["c"]);
    drop((reader, member));
    assert_eq!(read_all(subject.log(), &output, 0, 2).await, ["a", "b"]);
    let (_member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["c"]);
}

/// Join a second member to one that has all of four partitions. Answers the readers of both.
async fn share(
    log: &dyn Log,
    group: &Arc<str>,
    topic: &Arc<str>,
) -> ((Box<dyn Member>, Vec<Box<dyn Reader>>), (Box<dyn Member>, Vec<Box<dyn Reader>>)) {
    let mut first = join(log, group, topic, Start::Earliest).await;
    let mut kept = assigned(&mut *first, 4).await;
    let mut second = join(log, group, topic, Start::Earliest).await;
    let Change::Revoked { partitions, done } = change(&mut *first).await else {
        panic!("the first member was to lose partitions");
    };
    assert_eq!(partitions.len(), 2);
    let mut moved = 0;
    for reader in kept.iter_mut().filter(|reader| partitions.contains(reader.partition())) {
        // The last thing the old owner does counts for the new one.
        reader.commit(1).await.unwrap();
        moved += 1;
    }
    assert_eq!(moved, 2);
    kept.retain(|reader| !partitions.contains(reader.partition()));
    drop(done);
    let got = assigned(&mut *second, 2).await;
    assert!(got.iter().all(|reader| partitions.contains(reader.partition())));
    ((first, kept), (second, got))
}

pub async fn a_second_member_takes_its_share(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 4).await, unique("group"));
    for partition in 0..4 {
        send(subject.log(), &topic, partition, &["a", "b"]).await;
    }
    let ((_first, mut kept), (_second, mut got)) = share(subject.log(), &group, &topic).await;
    for reader in &mut kept {
        assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["a", "b"]);
        reader.commit(2).await.unwrap();
    }
    for reader in &mut got {
        assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["b"]);
    }
}

pub async fn a_member_that_leaves_hands_its_partitions_on(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 4).await, unique("group"));
    for partition in 0..4 {
        send(subject.log(), &topic, partition, &["a", "b"]).await;
    }
    let ((first, kept), (mut second, _got)) = share(subject.log(), &group, &topic).await;
    drop((kept, first));
    for reader in &mut assigned(&mut *second, 2).await {
        assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["a", "b"]);
    }
}

pub async fn an_old_reader_is_fenced(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b"]).await;
    let (member, mut old) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    old.commit(1).await.unwrap();
    drop(member);
    let (_member, mut new) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    assert!(matches!(old.commit(2).await, Err(Error::Fenced { partition: 0, .. })));
    let late = old.commit_with(vec![record(&topic, 0, "late")], 2).await;
    assert!(matches!(late, Err(Error::Fenced { .. })));
    assert_eq!(values(&new.next(limit(10)).await.unwrap()), ["b"]);
    new.commit(2).await.unwrap();
    assert!(new.next(at_once(10)).await.unwrap().is_empty());
}

pub async fn a_topic_that_appears_later_is_taken_up(subject: impl Subject) {
    let (topic, group) = (unique("later"), unique("group"));
    let mut member = join(subject.log(), &group, &topic, Start::Latest).await;
    let settings = TopicSettings { partitions: 2, ..TopicSettings::default() };
    subject.log().create(&topic, settings).await.unwrap();
    send(subject.log(), &topic, 1, &["a"]).await;
    let mut readers = assigned(&mut *member, 2).await;
    assert_eq!(values(&readers[1].next(limit(10)).await.unwrap()), ["a"]);
}

pub async fn latest_does_not_move_with_the_end(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["before"]).await;
    drop(read_as(subject.log(), &group, &topic, Start::Latest).await);
    send(subject.log(), &topic, 0, &["after"]).await;
    let subject = subject.restarted().await;
    let (_member, mut reader) = read_as(subject.log(), &group, &topic, Start::Latest).await;
    assert_eq!(values(&reader.next(limit(10)).await.unwrap()), ["after"]);
}

pub async fn a_group_starts_at_a_time(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    for (value, time) in [("a", 1000), ("b", 3000), ("c", 2000), ("d", 4000)] {
        let sent =
            Outgoing { timestamp_ms: Some(time + 1_700_000_000_000), ..record(&topic, 0, value) };
        subject.log().produce(vec![sent]).await[0].as_ref().unwrap();
    }
    for (time, first) in [(0, "a"), (1000, "a"), (1001, "b"), (2500, "b"), (3001, "d")] {
        let start = Start::Time(time + 1_700_000_000_000);
        let (_member, mut reader) = read_as(subject.log(), &unique("group"), &topic, start).await;
        assert_eq!(values(&reader.next(limit(1)).await.unwrap()), [first], "{time}");
    }
    let start = Start::Time(1_700_000_004_001);
    let (_member, mut reader) = read_as(subject.log(), &unique("group"), &topic, start).await;
    assert!(reader.next(at_once(1)).await.unwrap().is_empty());
}

pub async fn replay_moves_a_group_that_does_not_run(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b", "c"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    reader.commit(3).await.unwrap();
    let busy = subject.log().replay(&group, &topic, Start::Earliest).await;
    assert!(matches!(busy, Err(Error::GroupBusy(_))));
    drop((reader, member));
    for (to, first) in [(Start::Offset(1), "b"), (Start::Earliest, "a"), (Start::Offset(2), "c")] {
        subject.log().replay(&group, &topic, to).await.unwrap();
        let (_member, mut reader) = read_as(subject.log(), &group, &topic, Start::Latest).await;
        assert_eq!(values(&reader.next(limit(1)).await.unwrap()), [first]);
    }
    let unknown = subject.log().replay(&group, &unique("unknown"), Start::Latest).await;
    assert!(matches!(unknown, Err(Error::UnknownTopic(_))));
}

pub async fn lag_counts_what_is_not_committed(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 2).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b", "c"]).await;
    let mut member = join(subject.log(), &group, &topic, Start::Earliest).await;
    let mut readers = assigned(&mut *member, 2).await;
    readers[0].commit(1).await.unwrap();
    let lags = subject.log().lag().await.unwrap();
    let lags: Vec<_> = lags.iter().filter(|lag| lag.group == group).collect();
    assert_eq!(lags.len(), 2);
    assert_eq!(
        (lags[0].partition, lags[0].committed, lags[0].end, lags[0].lag),
        (0, Some(1), 3, 2)
    );
    assert_eq!((lags[1].partition, lags[1].committed, lags[1].end, lags[1].lag), (1, None, 0, 0));
    assert!(lags.iter().all(|lag| lag.topic == topic));
}
