//! Members that die in the middle of a transaction, or believe that they still have a partition.

use std::time::Instant;

use rdkafka::{
    Offset,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::*;

/// What another host would leave behind that died behind its writes and before its commit.
fn open_transaction(
    clients: &Clients,
    group: &str,
    input: &Partition,
    output: &str,
) -> BaseProducer {
    let consumer: BaseConsumer = clients.member(group).create().unwrap();
    consumer.subscribe(&[&input.topic]).unwrap();
    while consumer.assignment().unwrap().count() == 0 {
        drop(consumer.poll(Duration::from_millis(50)));
    }
    let id = format!("trellis/{}/{}/{group}", input.topic, input.partition);
    let producer: BaseProducer = clients.transactional(&id, false).create().unwrap();
    producer.init_transactions(Duration::from_secs(30)).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::<(), str>::to(output).partition(0).payload("torn")).unwrap();
    let offsets = places::list([(input.clone(), Offset::Offset(1))]).unwrap();
    let generation = consumer.group_metadata().unwrap();
    let patience = Duration::from_secs(30);
    producer.send_offsets_to_transaction(&offsets, &generation, patience).unwrap();
    producer.flush(patience).unwrap();
    producer
}

#[tokio::test]
async fn a_transaction_that_a_dead_member_left_open_is_ended_by_the_next_one() {
    let broker = started().await;
    let log = open(settings(broker)).await;
    let (input, output) = (topic(&log, "in").await, topic(&log, "out").await);
    let group: Arc<str> = format!("group-{:016x}", fastrand::u64(..)).into();
    send(&log, &input, "a").await.unwrap();
    let clients = Clients::new(settings(broker)).await.unwrap();
    let place = Partition { topic: Arc::clone(&input), partition: 0 };
    let (of, to) = (Arc::clone(&group), Arc::clone(&output));
    let zombie = tokio::task::spawn_blocking(move || open_transaction(&clients, &of, &place, &to));
    let zombie = zombie.await.unwrap();

    // What it holds keeps nobody from knowing how far groups are.
    log.lag().await.unwrap();

    let begun = Instant::now();
    let (_member, mut reader) = read_as(&log, &group, &input).await;
    // Well before the cluster would end it by itself.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let limit = Limit { records: 10, bytes: 1 << 20, wait: Duration::from_secs(30) };
    let batch = reader.next(limit).await.unwrap();
    assert_eq!((batch.first(), batch.next), (Some(0), 1));
    let record = Outgoing::new(Arc::clone(&output), None, Some(b"whole"), &[]);
    reader.commit_with(vec![record], batch.next).await.unwrap();

    let late = move || zombie.commit_transaction(Duration::from_secs(10));
    let late = tokio::task::spawn_blocking(late).await.unwrap();
    assert!(late.is_err(), "the dead member committed");
    assert_eq!(values(&log, &output).await, ["whole"]);
    assert_eq!(reader.committed().await.unwrap(), Some(1));
}
