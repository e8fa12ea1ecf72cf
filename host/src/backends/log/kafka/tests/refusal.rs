//! Transactions whose records the cluster does not take.

use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};

use super::*;

/// Have a topic take no more than so many bytes, which the host does not know yet.
async fn shrink(broker: &Broker, topic: &str, bytes: &str) {
    let admin: AdminClient<_> =
        Clients::new(settings(broker)).await.unwrap().admin().create().unwrap();
    let resource = ResourceSpecifier::Topic(topic);
    let smaller = AlterConfig::new(resource).set("max.message.bytes", bytes);
    let altered = admin.alter_configs([&smaller], &AdminOptions::new()).await;
    altered.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn a_transaction_with_a_record_that_is_refused_is_undone_at_once_and_the_next_goes_on() {
    let broker = started().await;
    let log = open(settings(broker)).await;
    let (input, output) = (topic(&log, "in").await, topic(&log, "out").await);
    send(&log, &input, "a").await.unwrap();
    let group: Arc<str> = format!("group-{:016x}", fastrand::u64(..)).into();
    let (_member, mut reader) = read_as(&log, &group, &input).await;
    let limit = Limit { records: 10, bytes: 1 << 20, wait: Duration::from_secs(30) };
    let next = reader.next(limit).await.unwrap().next;
    let record = |value: &[u8]| Outgoing::new(Arc::clone(&output), None, Some(value), &[]);
    shrink(broker, &output, "2000").await;

    let large: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(10_000).collect();
    let begun = Instant::now();
    let mut outputs = vec![record(b"small"); 20_000];
    outputs[10] = record(&large);
    let refused = reader.commit_with(outputs, next).await;
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("allows no such record now"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(reader.committed().await.unwrap(), None);

    reader.commit_with(vec![record(b"whole")], next).await.unwrap();
    assert_eq!(values(&log, &output).await, ["whole"]);
    assert_eq!(reader.committed().await.unwrap(), Some(next));
}
