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
