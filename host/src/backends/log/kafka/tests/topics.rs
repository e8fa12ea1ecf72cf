//! Topics as the cluster keeps them.

use super::*;

#[tokio::test]
async fn a_topic_has_the_settings_it_was_created_with() {
    let log = open(settings(started().await)).await;
    let name = format!("topic-{:016x}", fastrand::u64(..));
    let wanted = TopicSettings {
        partitions: 3,
        retention_ms: Some(60_000),
        retention_bytes: Some(1 << 30),
        max_record_bytes: 5000,
        replication: Some(1),
    };
    log.create(&name, wanted.clone()).await.unwrap();
    let other = open(settings(started().await)).await;
    let topics = other.topics().await.unwrap();
    let found = topics.iter().find(|topic| *topic.name == *name).unwrap();
    assert_eq!((found.partitions, &found.settings), (3, &wanted));
    assert!(topics.iter().all(|topic| !topic.name.starts_with("__")));
}

#[tokio::test]
async fn more_copies_than_brokers_are_refused_by_number() {
    let log = open(settings(started().await)).await;
    let wanted = TopicSettings { replication: Some(3), ..TopicSettings::default() };
    let refused = log.create("copies", wanted).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "topic `copies` cannot have `3` copies; the cluster has fewer brokers"
    );
}

#[tokio::test]
async fn many_records_go_to_a_topic_that_takes_only_small_sets() {
    let log = open(settings(started().await)).await;
    let name: Arc<str> = format!("topic-{:016x}", fastrand::u64(..)).into();
    let wanted =
        TopicSettings { partitions: 1, max_record_bytes: 1000, ..TopicSettings::default() };
    log.create(&name, wanted).await.unwrap();
    let record = || Outgoing::new(Arc::clone(&name), None, Some(&[b'x'; 900]), &[]);
    let answers = log.produce((0..500).map(|_| record()).collect()).await;
    let offsets: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().offset).collect();
    assert_eq!(offsets, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_time_that_a_topic_does_not_take_spoils_no_other_record() {
    let broker = started().await;
    let log = open(settings(broker)).await;
    // As others create topics: the cluster's defaults.
    let name: Arc<str> = format!("topic-{:016x}", fastrand::u64(..)).into();
    let admin = Clients::new(settings(broker)).await.unwrap().admin();
    let admin: rdkafka::admin::AdminClient<_> = admin.create().unwrap();
    let replication = rdkafka::admin::TopicReplication::Fixed(1);
    let new = rdkafka::admin::NewTopic::new(&name, 1, replication);
    let created = admin.create_topics([&new], &rdkafka::admin::AdminOptions::new()).await;
    created.unwrap().remove(0).unwrap();
    while !log.topics().await.unwrap().iter().any(|topic| topic.name == name) {
        tokio::task::yield_now().await;
    }
    let at = |timestamp_ms| {
        let record = Outgoing::new(Arc::clone(&name), None, Some(b"x"), &[]);
        Outgoing { timestamp_ms, ..record }
    };
    let far = Some(i64::MAX / 2);
    let answers = log.produce(vec![at(None), at(far), at(None)]).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(Error::InvalidRecord(_))), "{answers:?}");
}
