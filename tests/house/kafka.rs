//! The same plugins over a real Kafka cluster.

use std::path::Path;

use http::Request;
use serde_json::json;
use servers::Broker;

use crate::{command::ask, support::Host};

const PLUGINS: &[&str] = &["tracker", "enricher", "counters"];

async fn start(dir: &Path) -> Broker {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Broker::start(Some(&dir))).await.unwrap()
}

fn settings(broker: &Broker) -> String {
    let broker = broker.plain();
    format!(
        "[grants]\ndefault = \"needs\"\n[log]\nbackend = \"kafka\"\n\
         [log.kafka]\nbrokers = [\"{broker}\"]\ndelivery-timeout = \"5s\"\n"
    )
}

/// Wait until so many events are counted, and see that it stays with them.
async fn until_counted(host: &Host, events: std::ops::RangeInclusive<u64>) -> u64 {
    host.eventually(async || {
        let lags = host.admin("/api/lag").await;
        let left = lags.json().as_array().map(|lags| {
            let of_raw = lags.iter().filter(|lag| lag["topic"] == "raw");
            of_raw.filter_map(|lag| lag["lag"].as_u64()).sum::<u64>()
        });
        let counted = host.counted().await;
        match left == Some(0) && events.contains(&counted) {
            true => Ok(counted),
            false => {
                Err(format!("{counted} of {events:?} are counted, {left:?} are left of `raw`"))
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_event_that_was_posted_is_counted_over_a_cluster_also_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let mut host = Host::start_with(PLUGINS, &settings(&broker)).await;
    for _ in 0..20 {
        assert_eq!(host.get("/t/purchase?action=create").await.status, 200);
    }
    until_counted(&host, 20..=20).await;
    let purchases = host.get("/consumers/event_counter/data").await.json()["data"].clone();
    assert!(purchases.as_array().unwrap().contains(&json!(["purchase[create]", 20])));

    for _ in 0..20 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    host.kill();
    host.run().await;
    for _ in 0..5 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    until_counted(&host, 45..=45).await;
    assert_eq!(host.records("raw", 45).await.len(), 45);
    // Once to `events`, although a batch may have been under way.
    assert_eq!(host.records("events", 45).await.len(), 45);
    host.eventually(async || {
        let text = host.admin("/metrics").await.text();
        let told = ["trellis_kafka_sent_records_total{", "trellis_kafka_brokers_up{"];
        if told.iter().all(|name| text.contains(name)) { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(host.stop().await, Some(0));
}

#[tokio::test]
async fn topics_are_made_written_read_and_moved_in_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let host = Host::start_with(PLUGINS, &settings(&broker)).await;
    let create = ["topics", "create", "orders", "--partitions", "2", "--replication", "1"];
    ask(&host, &create).await.well();
    ask(&host, &create).await.refused();
    let copies = ["topics", "create", "copies", "--replication", "3"];
    let refused = ask(&host, &copies).await.refused();
    assert!(refused.err.contains("the cluster has fewer brokers"), "{refused:?}");
    ask(&host, &["topics", "produce", "orders", "first", "--partition", "1", "--key", "k"])
        .await
        .well();
    let read = ask(&host, &["topics", "consume", "orders", "--json"]).await.well().json_lines();
    assert_eq!((read.len(), &read[0]["partition"]), (1, &json!(1)));
    let listed = ask(&host, &["topics", "list", "--json"]).await.well().json();
    let orders = listed.as_array().unwrap().iter().find(|topic| topic["name"] == "orders");
    assert_eq!(orders.unwrap()["partitions"], 2);

    assert_eq!(host.get("/t/visit").await.status, 200);
    until_counted(&host, 1..=1).await;
    let lag = ask(&host, &["topics", "lag", "--group", "enricher", "--json"]).await.well().json();
    assert!(lag.as_array().unwrap().iter().all(|lag| lag["lag"] == 0), "{lag}");
    let replay = ["topics", "replay", "raw", "--group", "enricher", "--to", "earliest"];
    ask(&host, &replay).await.well();
    until_counted(&host, 2..=2).await;
}

#[tokio::test]
async fn a_broker_that_is_gone_for_a_while_costs_answers_but_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let host = Host::start_with(PLUGINS, &settings(&broker)).await;
    for _ in 0..10 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    broker.kill();
    let refused = host.get("/t/visit").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(host.log().contains("what a request brought was not written"), "{}", host.log());
    assert!(!refused.text().contains("127.0.0.1"), "a client sees the cluster: {}", refused.text());
    assert!(host.log().contains("trouble with the Kafka cluster"), "{}", host.log());
    let topics = host.admin("/api/topics").await;
    assert_eq!(topics.status, 503, "{}", topics.text());

    let _broker = start(dir.path()).await;
    host.eventually(async || {
        let request = Request::get(host.url("/t/visit")).body(Default::default()).unwrap();
        match host.try_request(request).await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // The one that was refused may have been written all the same, and so the tries behind it.
    let events = host.eventually(async || {
        let events = host.admin("/api/topics/events/records").await.text().lines().count();
        match host.counted().await {
            counted if counted == events as u64 && counted >= 11 => Ok(counted),
            counted => Err(format!("{counted} of {events} are counted")),
        }
    });
    let events = events.await;
    assert_eq!(host.records("raw", events as usize).await.len() as u64, events);
}
