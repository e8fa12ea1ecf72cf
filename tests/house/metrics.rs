//! What a host that serves and consumes tells Prometheus.

use trellis::observe::metrics::NAMES;

use crate::support::Host;

/// What begins so is written over a cluster alone, by plugins that keep values, take connections,
/// listen to ports or run by the clock, or where traces are lost: the tests of those see to it.
const ELSEWHERE: &[&str] = &[
    "trellis_kafka_",
    "trellis_cache_",
    "trellis_connection",
    "trellis_channel",
    "trellis_schedule_",
    "trellis_socket",
    "trellis_blobs_",
    "trellis_trace_",
];

const PLUGINS: &[&str] = &["tracker", "enricher", "counters", "hello"];

async fn metrics(host: &Host) -> String {
    host.admin("/metrics").await.text()
}

/// The value of a series; its labels in any order.
fn value(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn busy_host() -> Host {
    let host = Host::start(PLUGINS).await;
    assert_eq!(host.get("/t/visit").await.status, 200);
    host.until("/consumers/event_counter/data", |answer| answer.text().contains("visit")).await;
    assert_eq!(host.get("/hello/panic").await.status, 500);
    assert_eq!(host.get("/hello/loop").await.status, 504);
    assert_eq!(host.get("/hello/").await.status, 200);
    host
}

#[tokio::test]
async fn every_metric_of_the_list_is_there_once_a_host_has_served_and_consumed() {
    let host = busy_host().await;
    let metrics = metrics(&host).await;
    let written = |name: &str| {
        ["", "_count"].iter().any(|end| value(&metrics, &format!("{name}{end}"), &[]).is_some())
    };
    let elsewhere = |name: &str| ELSEWHERE.iter().any(|start| name.starts_with(start));
    let here = NAMES.iter().filter(|(name, ..)| !elsewhere(name));
    let missing: Vec<_> = here.filter(|(name, ..)| !written(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}\n{metrics}");
}

#[tokio::test]
async fn plugins_and_the_errors_of_their_calls_are_counted() {
    let host = busy_host().await;
    let text = metrics(&host).await;
    let hello = |name: &str, label: &str| value(&text, name, &["plugin=\"hello\"", label]);
    assert_eq!(hello("trellis_plugin_generation", ""), Some(1.0));
    assert_eq!(hello("trellis_plugin_state", "state=\"live\""), Some(1.0));
    assert_eq!(hello("trellis_plugin_state", "state=\"failed\""), Some(0.0));
    assert_eq!(hello("trellis_plugin_instances", "state=\"idle\""), Some(1.0));
    assert_eq!(hello("trellis_plugin_instances", "state=\"lent\""), Some(0.0));
    assert!(hello("trellis_plugin_memory_bytes", "").unwrap() >= 65536.0, "{text}");
    assert_eq!(hello("trellis_call_errors_total", "kind=\"trap\""), Some(1.0));
    assert_eq!(hello("trellis_call_errors_total", "kind=\"deadline\""), Some(1.0));

    host.install("hello.wasm", "broken");
    host.until_plugin("hello", |status| status["state"] == "failed").await;
    let text = metrics(&host).await;
    let hello = |name: &str, label: &str| value(&text, name, &["plugin=\"hello\"", label]);
    assert_eq!(hello("trellis_plugin_state", "state=\"failed\""), Some(1.0));
    assert_eq!(hello("trellis_plugin_generation", ""), Some(1.0));

    std::fs::remove_file(host.plugins().join("hello.wasm")).unwrap();
    host.eventually(async || {
        let text = metrics(&host).await;
        let own = text.lines().filter(|line| line.starts_with("trellis_plugin_"));
        match own.filter(|line| line.contains("\"hello\"")).all(|line| line.ends_with(" 0")) {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}
