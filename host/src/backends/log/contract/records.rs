//! Topics and their records: written, kept in order, read again.

use std::collections::HashSet;

use tokio::sync::Semaphore;

use super::*;

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

pub async fn what_is_handed_over_is_written_in_order_whoever_waits_for_it(subject: impl Subject) {
    let log = subject.log();
    let topic = topic(log, 1).await;
    let room = Arc::new(Semaphore::new(2));
    let held = || room.clone().try_acquire_owned().ok();
    let forgotten = log.hand_over(vec![record(&topic, 0, "first")], held()).await;
    let (second, third) = (record(&topic, 0, "second"), record(&topic, 0, "third"));
    let unheard = log.hand_over(vec![second, third], held()).await;
    drop(forgotten);
    // What they took is given back although nobody asks what became of them.
    let given_back = tokio::time::timeout(PATIENCE, room.acquire_many(2)).await;
    drop(given_back.unwrap().unwrap());
    let last = log.hand_over(vec![record(&topic, 0, "last")], None).await;
    assert_eq!(last.await[0].as_ref().unwrap().offset, 3);
    assert_eq!(unheard.await[1].as_ref().unwrap().offset, 2);
    assert_eq!(read_all(log, &topic, 0, 4).await, ["first", "second", "third", "last"]);
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

pub async fn a_record_that_no_log_can_take_is_refused_alone(subject: impl Subject) {
    let topic = topic(subject.log(), 1).await;
    let early = Outgoing { timestamp_ms: Some(-2), ..record(&topic, 0, "early") };
    let name = Outgoing::new(Arc::clone(&topic), None, None, &[("a\0b", None)]);
    let records = vec![record(&topic, 0, "a"), early, name, record(&topic, 0, "b")];
    let answers = subject.log().produce(records).await;
    assert!(matches!(answers[1], Err(Error::InvalidRecord(_))));
    assert!(matches!(answers[2], Err(Error::InvalidRecord(_))));
    assert_eq!(*answers[3].as_ref().unwrap(), Position { partition: 0, offset: 1 });
    assert_eq!(read_all(subject.log(), &topic, 0, 2).await, ["a", "b"]);
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
