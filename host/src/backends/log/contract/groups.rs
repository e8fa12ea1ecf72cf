//! Who reads what: members come, share and go.

use super::*;

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
    assert!(new.next(within(MOMENT)).await.unwrap().is_empty());
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

/// Copy a topic into another until `count` records are copied, a few at a time, as a member that
/// joins and leaves again and again.
async fn relay(log: &dyn Log, group: &Arc<str>, from: &Arc<str>, to: &Arc<str>, count: u64) {
    while !is_done(log, group, count).await {
        let mut member = join(log, group, from, Start::Earliest).await;
        let mut readers: Vec<Box<dyn Reader>> = Vec::new();
        for _ in 0..fastrand::usize(1..12) {
            // The group may take its time, but there may also be nothing for this member.
            let millis = if readers.is_empty() { 3000 } else { 2 };
            match tokio::time::timeout(Duration::from_millis(millis), member.next()).await {
                Ok(Ok(Change::Assigned(more))) => readers.extend(more),
                Ok(Ok(Change::Revoked { partitions, done })) => {
                    readers.retain(|reader| !partitions.contains(reader.partition()));
                    drop(done);
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(_) if readers.is_empty() => break,
                Err(_) => {}
            }
            let mut kept = Vec::new();
            for mut reader in readers {
                match copy_some(&mut *reader, to).await {
                    Ok(()) => kept.push(reader),
                    // It was late to let go.
                    Err(Error::Fenced { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            readers = kept;
        }
    }
}

async fn copy_some(reader: &mut dyn Reader, to: &Arc<str>) -> Result<()> {
    let partition = reader.partition().partition;
    let few = Limit { wait: Duration::from_millis(20), ..limit(3) };
    let batch = reader.next(few).await?;
    if batch.is_empty() {
        return Ok(());
    }
    let copy = |value: &String| record(to, partition, value);
    reader.commit_with(values(&batch).iter().map(copy).collect(), batch.next).await
}

async fn is_done(log: &dyn Log, group: &Arc<str>, count: u64) -> bool {
    let lags = log.lag().await.unwrap();
    let committed = lags.iter().filter(|lag| lag.group == *group).filter_map(|lag| lag.committed);
    committed.sum::<u64>() == count
}

pub async fn every_record_is_relayed_once_while_members_come_and_go(subject: impl Subject) {
    let (input, output) = (topic(subject.log(), 4).await, topic(subject.log(), 4).await);
    let group = unique("group");
    let sent = |partition| (0..50).map(|index| format!("{partition}/{index}")).collect::<Vec<_>>();
    for partition in 0..4 {
        let values = sent(partition);
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        send(subject.log(), &input, partition, &values).await;
    }
    join_all((0..3).map(|_| relay(subject.log(), &group, &input, &output, 200))).await;
    for partition in 0..4 {
        assert_eq!(read_all(subject.log(), &output, partition, 50).await, sent(partition));
    }
}
