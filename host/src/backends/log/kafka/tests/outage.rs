//! A broker that dies, for a while or for good.

use super::*;
use crate::quantity::Millis;

#[tokio::test]
async fn sends_and_readers_wait_for_a_broker_that_comes_back_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_owned();
    let start = move || Broker::start(Some(&home));
    let broker = tokio::task::spawn_blocking(start.clone()).await.unwrap();
    let log = open(settings(&broker)).await;
    let (topic, group) = (topic(&log, "t").await, "group".into());
    let (_member, mut reader) = read_as(&log, &group, &topic).await;
    let limit = Limit { records: 10, bytes: 1 << 20, wait: Duration::from_secs(30) };
    assert_eq!(send(&log, &topic, "before").await.unwrap().offset, 0);
    let batch = reader.next(limit).await.unwrap();
    assert_eq!((batch.count, batch.next), (1, 1));
    broker.kill();
    let (sent, committed, broker) = tokio::join!(
        send(&log, &topic, "meanwhile"),
        reader.commit(1),
        tokio::task::spawn_blocking(start),
    );
    let _broker = broker.unwrap();
    assert_eq!(sent.unwrap().offset, 1);
    // The group may have to find itself anew, which is no loss.
    assert!(matches!(committed, Ok(()) | Err(Error::Unavailable(_) | Error::Fenced { .. })));
    assert_eq!(values(&log, &topic).await, ["before", "meanwhile"]);
    let place = Partition { topic: Arc::clone(&topic), partition: 0 };
    assert_eq!(log.range(place).await.unwrap(), Range { start: 0, end: 2 });
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_of_with_its_address() {
    let settings = Settings {
        brokers: vec!["127.0.0.1:1".into()],
        delivery_timeout: Millis(1000),
        ..Settings::default()
    };
    let log = open(settings).await;
    let refused = send(&log, &"t".into(), "x").await.unwrap_err();
    let Error::Unavailable(told) = refused else { panic!("{refused}") };
    assert!(told.contains("127.0.0.1:1"), "{told}");
    assert!(told.contains("no broker can be reached") || told.contains("refused"), "{told}");
}
