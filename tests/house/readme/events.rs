//! The READMEs of those whom an event passes: tracker, enricher and counters.

use serde_json::{Value, json};

use crate::support::Host;

use super::shell::Shell;

const PLUGINS: &[&str] = &["tracker", "enricher", "counters"];

fn json(said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test]
async fn the_trackers_commands_store_events() {
    let (host, mut shell) = (Host::start(PLUGINS).await, Shell::of("tracker"));
    shell.visit(&host);
    for begin in [
        "curl 'http://127.0.0.1:8080/t/purchase?price=7'",
        "curl -H 'content-type: application/json'",
        "curl -d 'price=7&currency=EUR'",
    ] {
        assert_eq!(json(&shell.run(begin).await), json!({"status": "ok"}));
    }
    let batch = json(&shell.run("curl -d '{\"batch\":").await);
    assert_eq!((&batch["accepted"], &batch["errors"]), (&json!(2), &json!([])), "{batch}");
    shell.run("curl -o pixel.gif").await;
    assert!(shell.file("pixel.gif").starts_with(b"GIF89a"));
    let raw = shell.run("trellis topics consume raw").await;
    for (kind, count) in [("purchase", 4), ("search", 1), ("open", 1)] {
        assert_eq!(
            raw.matches(&format!(r#"{{"type":"{kind}","time":"#)).count(),
            count,
            "{kind}: {raw}"
        );
    }
}

#[tokio::test]
async fn the_enrichers_commands_show_what_it_adds() {
    let (host, mut shell) = (Host::start(PLUGINS).await, Shell::of("enricher"));
    shell.visit(&host);
    assert_eq!(json(&shell.run("curl ").await), json!({"status": "ok"}));
    let following = shell.start("trellis topics consume events --follow").await;
    let events = following.until(&host, |said| said.contains(r#""type":"purchase""#)).await;
    assert!(events.contains(r#""device":"#) && events.contains(r#""klag":"#), "{events}");
}

#[tokio::test]
async fn the_counters_commands_show_what_was_counted() {
    let (host, mut shell) = (Host::start(PLUGINS).await, Shell::of("counters"));
    shell.visit(&host);
    assert_eq!(host.get("/t/purchase?price=7").await.status, 200);
    host.until_all_counted().await;
    let list = shell.run("curl http://127.0.0.1:8080/consumers").await;
    assert!(list.contains("event_counter") && list.contains("search_counter"), "{list}");
    let about = json(&shell.run("curl http://127.0.0.1:8080/consumers/event_counter/json").await);
    assert_eq!(about["name"], "event_counter", "{about}");
    let data = json(&shell.run("curl 'http://127.0.0.1:8080/consumers/event_counter/data").await);
    assert_eq!(data["data"], json!([["purchase", 1]]), "{data}");
}
