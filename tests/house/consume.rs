//! Consumers are replaced and moved while messages flow, and every message counts once.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::json;

use crate::support::{Answer, Host, component, variant};

const PLUGINS: &[&str] = &["tracker", "enricher", "counters"];
/// How often the counters are replaced while messages flow.
const SWAPS: u64 = 24;
/// Clients that send meanwhile.
const CLIENTS: usize = 4;

/// Whether `event_counter` has this pair.
fn counts(answer: &Answer, event: &str, count: u64) -> bool {
    let data = answer.json()["data"].clone();
    data.as_array().is_some_and(|pairs| pairs.contains(&json!([event, count])))
}

async fn until_counted(host: &Host, event: &str, count: u64) {
    host.until("/consumers/event_counter/data", |answer| counts(answer, event, count)).await;
}

/// Send events until told to stop; how many were acknowledged.
async fn send(host: &Host, event: &str, done: &AtomicBool, sent: &AtomicU64) {
    while !done.load(Ordering::Relaxed) {
        let answer = host.get(&format!("/t/{event}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_consumer_is_replaced_many_times_under_load_and_every_message_counts_once() {
    let host = Host::start(PLUGINS).await;
    let original = fs::read(component("counters")).unwrap();
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let clients =
        futures_util::future::join_all((0..CLIENTS).map(|_| send(&host, "w", &done, &sent)));
    let swaps = async {
        for number in 1..=SWAPS {
            // Broken ones in the middle change nothing.
            if number % 6 == 0 {
                host.install("counters.wasm", &original[..original.len() / 2]);
                host.until_plugin("counters", |status| status["state"] == "failed").await;
                let before = sent.load(Ordering::Relaxed);
                host.eventually(async || match host.counted().await {
                    counted if counted > before => Ok(()),
                    counted => Err(format!("{counted} are counted, no more than {before} sent")),
                })
                .await;
            }
            let version = format!("0.0.{number}");
            host.install("counters.wasm", variant(&original, &version));
            let swapped = |status: &serde_json::Value| {
                status["state"] == "live" && status["version"] == *version
            };
            host.until_plugin("counters", swapped).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(clients, swaps);
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent > SWAPS, "only {sent} events beside {SWAPS} swaps");
    assert_eq!(host.until_all_counted().await, sent);
    until_counted(&host, "w", sent).await;
    let topics = host.admin("/api/topics").await.text();
    assert!(!topics.contains("events.dead.counters"), "{topics}");
}

#[tokio::test]
async fn a_consumer_table_that_cannot_work_is_refused_and_the_old_one_reads_on() {
    let host = Host::start(PLUGINS).await;
    let manifest = |consume: &str, needs: &str| {
        format!("name = \"counters\"\n[[consume]]\n{consume}\n[needs]\n{needs}\n")
    };
    let (all, long) = ("sql = {}\nconfig = {}", "x".repeat(245));
    for (count, (consume, needs, reason)) in (1..).zip([
        (
            "topics = [\"raw\"]\ngroup = \"enricher\"",
            all,
            "topic `raw` in group `enricher` belongs to plugin `enricher`",
        ),
        ("topics = [\"events*\"]", all, "`events*` is no name for a topic"),
        ("topics = [\"events\"]\ndelivery = \"exactly-once-sql\"", "", "add `[needs.sql]`"),
        ("topics = [\"events\"]\ndelivery = \"exactly-once-topics\"", all, "add `[needs.produce]`"),
        (&format!("topics = [\"{long}\"]"), all, "is too long for a topic"),
        ("topics = [\"events\"]", "", "imports `trellis:storage/sql"),
    ]) {
        host.install("counters.toml", manifest(consume, needs));
        let failed = |status: &serde_json::Value| {
            status["state"] == "failed" && status["reason"].as_str().unwrap().contains(reason)
        };
        host.until_plugin("counters", failed).await;
        assert_eq!(host.get("/t/w").await.status, 200);
        until_counted(&host, "w", count).await;
    }
}

#[tokio::test]
async fn exactly_once_in_a_database_that_is_not_granted_is_refused_at_load() {
    let settings = "[grants.plugins.mirror-packed]\n\
         produce = { topics = [\"source\", \"mirrored-packed\"] }\n";
    let host = Host::start_with(&["mirror-packed"], settings).await;
    assert_eq!(host.post("/mirror-packed/a/b", "one").await.status, 201);
    let manifest = "name = \"mirror-packed\"\n\
         [[consume]]\ntopics = [\"source\"]\ndelivery = \"exactly-once-sql\"\n\
         [needs]\nsql = {}\nproduce = { topics = [\"source\", \"mirrored-packed\"] }\n";
    host.install("mirror-packed.toml", manifest);
    let status = host.until_plugin("mirror-packed", |status| status["state"] == "failed").await;
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("needs `sql` without a grant"), "{reason}");
    assert_eq!(host.post("/mirror-packed/a/b", "two").await.status, 201);
    host.records("mirrored-packed", 2).await;
}

#[tokio::test]
async fn a_group_whose_place_is_in_a_database_is_moved_while_it_reads() {
    let mut host = Host::start(PLUGINS).await;
    for _ in 0..5 {
        assert_eq!(host.get("/t/w").await.status, 200);
    }
    until_counted(&host, "w", 5).await;
    let replay = |group: &str, to: &str| json!({"group": group, "to": to}).to_string();
    let path = "/api/topics/events/replay";
    let moved = host.admin_post(path, replay("counters", "earliest")).await;
    assert_eq!(moved.status, 204, "{}\n{}", moved.text(), host.log());
    // What was answered holds, whatever comes.
    host.kill();
    host.run().await;
    until_counted(&host, "w", 10).await;

    let moved = host.admin_post(path, replay("counters", "latest")).await;
    assert_eq!(moved.status, 204, "{}", moved.text());
    assert_eq!(host.get("/t/after").await.status, 200);
    until_counted(&host, "after", 1).await;
    until_counted(&host, "w", 10).await;

    let nobody = host.admin_post(path, replay("strangers", "earliest")).await;
    assert_eq!(nobody.status, 409, "{}", nobody.text());
    assert!(nobody.text().contains("no live plugin reads topic `events` in group `strangers`"));
}
