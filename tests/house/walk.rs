//! One event walks the whole house: HTTP, plugin, log, plugin, log, plugin, SQL, HTTP.

use serde_json::json;

use crate::support::Host;

const PLUGINS: &[&str] = &["tracker", "enricher", "counters"];

#[tokio::test]
async fn an_event_that_was_posted_is_counted() {
    let host = Host::start(PLUGINS).await;
    for _ in 0..3 {
        assert_eq!(host.get("/t/purchase?action=create").await.status, 200);
    }
    assert_eq!(host.post("/t/visit", r#"{"page":"/"}"#).await.status, 200);
    host.until("/consumers/event_counter/data", |answer| {
        let data = answer.json()["data"].clone();
        let has = |pair: serde_json::Value| data.as_array().is_some_and(|all| all.contains(&pair));
        has(json!(["purchase[create]", 3])) && has(json!(["visit", 1]))
    })
    .await;
}

#[tokio::test]
async fn counts_survive_the_end_that_nobody_is_warned_of() {
    let mut host = Host::start(PLUGINS).await;
    for _ in 0..20 {
        assert_eq!(host.get("/t/before").await.status, 200);
    }
    host.kill();
    host.run().await;
    for _ in 0..20 {
        assert_eq!(host.get("/t/after").await.status, 200);
    }
    let counted = |answer: &crate::support::Answer| {
        let data = answer.json()["data"].clone();
        let has = |pair: serde_json::Value| data.as_array().is_some_and(|all| all.contains(&pair));
        has(json!(["before", 20])) && has(json!(["after", 20]))
    };
    host.until("/consumers/event_counter/data", counted).await;
    assert_eq!(host.stop().await, Some(0));
}
