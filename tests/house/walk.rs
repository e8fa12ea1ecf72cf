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
async fn statistics_are_bounded_and_what_they_keep_is_exact() {
    let settings = "[grants]\ndefault = \"needs\"\n[config.values.counters]\nmax-rows = \"10\"\n";
    let host = Host::start_with(PLUGINS, settings).await;
    for number in 0..60 {
        let (often, once) = (host.url("/t/often"), host.url(&format!("/t/once-{number}")));
        for url in [often, once] {
            let request =
                http::Request::get(url).header("x-forwarded-for", format!("203.0.113.{number}"));
            assert_eq!(host.request(request.body(Default::default()).unwrap()).await.status, 200);
        }
    }
    assert_eq!(host.until_all_counted().await, 120);
    for (statistic, key, count) in [("event_counter", "often", 60), ("metadata", "node[one]", 120)]
    {
        let data = host.get(&format!("/consumers/{statistic}/data")).await.json()["data"].clone();
        let pairs = data.as_array().unwrap();
        assert!(pairs.contains(&json!([key, count])) && pairs.len() <= 10, "{data}");
    }
}

#[tokio::test]
async fn an_id_is_stored_once_in_its_time_and_forgotten_after_it() {
    let settings = "[grants]\ndefault = \"needs\"\n[observe]\nlog = \"info,plugin=debug\"\n\
         [config.values.tracker]\ndedupe = \"id\"\ndedupe-seconds = \"1\"\n";
    let host = Host::start_with(&["tracker"], settings).await;
    let begun = std::time::Instant::now();
    host.eventually(async || {
        assert_eq!(host.get("/t/w?id=a").await.status, 200);
        match host.log().contains("ids are forgotten") {
            true => Ok(()),
            false => Err("nothing is forgotten".to_owned()),
        }
    })
    .await;
    let records = host.admin("/api/topics/raw/records").await.text();
    let stored = records.lines().filter(|line| line.contains("id=a")).count() as u64;
    let windows = begun.elapsed().as_secs() + 2;
    assert!((2..=windows).contains(&stored), "{stored} times in {windows} windows: {records}");
    let long = "x".repeat(600);
    assert_eq!(host.get(&format!("/t/w?id={long}")).await.status, 400);
}
