//! Where a group is: commits, outputs that go with them, starts and replays.

use super::*;

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
    assert!(reader.next(within(MOMENT)).await.unwrap().is_empty());
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
    let read = subject.log().read(place(&output, 0), 0, within(MOMENT)).await.unwrap();
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
        let found = subject.log().first_at(place(&topic, 0), time + 1_700_000_000_000).await;
        let from = subject.log().read(place(&topic, 0), found.unwrap(), limit(1)).await.unwrap();
        assert_eq!(values(&from), [first], "{time}");
    }
    let end = subject.log().first_at(place(&topic, 0), 1_700_000_004_001).await;
    assert_eq!(end.unwrap(), 4);
    let start = Start::Time(1_700_000_004_001);
    let (_member, mut reader) = read_as(subject.log(), &unique("group"), &topic, start).await;
    assert!(reader.next(within(MOMENT)).await.unwrap().is_empty());
}

pub async fn replay_moves_a_group_that_does_not_run(subject: impl Subject) {
    let (topic, group) = (topic(subject.log(), 1).await, unique("group"));
    send(subject.log(), &topic, 0, &["a", "b", "c"]).await;
    let (member, mut reader) = read_as(subject.log(), &group, &topic, Start::Earliest).await;
    reader.commit(3).await.unwrap();
    let other = self::topic(subject.log(), 1).await;
    subject.log().replay(&group, &other, Start::Earliest).await.unwrap();
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

pub async fn a_reader_knows_what_its_group_has_committed(subject: impl Subject) {
    let (input, output) = (topic(subject.log(), 1).await, topic(subject.log(), 1).await);
    let group = unique("group");
    send(subject.log(), &input, 0, &["a", "b", "c"]).await;
    let (_member, mut reader) = read_as(subject.log(), &group, &input, Start::Earliest).await;
    assert_eq!(reader.committed().await.unwrap(), None);
    reader.commit(1).await.unwrap();
    assert_eq!(reader.committed().await.unwrap(), Some(1));
    reader.commit_with(vec![record(&output, 0, "b")], 2).await.unwrap();
    assert_eq!(reader.committed().await.unwrap(), Some(2));
}
