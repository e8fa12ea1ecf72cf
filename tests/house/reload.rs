//! Plugins are replaced while they serve, and what is broken replaces nothing.

use std::fs;

use crate::support::{Host, component};

fn sidecar(version: &str) -> String {
    format!("name = \"hello\"\n[http]\nroutes = [\"/hello\"]\n[config]\nanswer = \"{version}\"\n")
}

async fn host_with_hello() -> Host {
    let host = Host::start(&["hello"]).await;
    host.install("hello.toml", sidecar("one"));
    host.until("/hello", |answer| answer.text() == "one").await;
    host
}

#[tokio::test]
async fn a_dropped_component_serves_and_a_deleted_one_is_gone() {
    let host = Host::start(&[]).await;
    assert_eq!(host.get("/hello/").await.status, 404);
    host.install("hello.wasm", fs::read(component("hello")).unwrap());
    host.until("/hello/", |answer| answer.status == 200).await;
    fs::remove_file(host.plugins().join("hello.wasm")).unwrap();
    host.until("/hello/", |answer| answer.status == 404).await;
}

#[tokio::test]
async fn a_broken_wasm_keeps_the_old_version_serving() {
    let host = host_with_hello().await;
    let whole = fs::read(component("hello")).unwrap();
    for broken in [&b"not wasm"[..], &whole[..whole.len() / 2], b"\0asm\x01\0\0\0", b""] {
        host.install("hello.wasm", broken);
        let status = host.until_plugin("hello", |status| status["state"] == "failed").await;
        assert_eq!(host.get("/hello").await.text(), "one", "{status}");
        assert!(status["reason"].as_str().unwrap().contains("hello.wasm"), "{status}");
        host.install("hello.wasm", &whole);
        host.until_plugin("hello", |status| status["state"] == "live").await;
    }
}

#[tokio::test]
async fn a_swap_is_one_moment_and_a_wrong_manifest_swaps_nothing() {
    let host = host_with_hello().await;
    host.install("hello.toml", sidecar("two"));
    host.until("/hello", |answer| answer.text() == "two").await;
    host.install("hello.toml", "name = \"hello\"\n[htpp]\n");
    let status = host.until_plugin("hello", |status| status["state"] == "failed").await;
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("htpp") && reason.contains("hello.toml"), "{reason}");
    assert_eq!(host.get("/hello").await.text(), "two");
}

#[tokio::test]
async fn state_is_handed_to_the_next_generation_and_a_start_that_fails_keeps_the_old_one() {
    let host = Host::start(&["keeper"]).await;
    let manifest = |start: &str| {
        format!(
            "name = \"keeper\"\n[config]\nstart = \"{start}\"\n\
             [limits]\nconcurrency = 1\nstart-timeout = \"1s\"\n"
        )
    };
    for count in 1..=3 {
        assert_eq!(host.get("/keeper/").await.text(), count.to_string());
    }
    let mut expected = 3;
    for (start, reason) in
        [("panic", "start"), ("refuse", "asked to refuse"), ("hang", "did not answer within")]
    {
        host.install("keeper.toml", manifest(start));
        let failed = |status: &serde_json::Value| {
            status["state"] == "failed" && status["reason"].as_str().unwrap().contains(reason)
        };
        host.until_plugin("keeper", failed).await;
        expected += 1;
        assert_eq!(host.get("/keeper/").await.text(), expected.to_string());
    }
    host.install("keeper.toml", manifest("well"));
    host.until_plugin("keeper", |status| status["state"] == "live").await;
    assert_eq!(host.get("/keeper/").await.text(), (expected + 1).to_string());
}

#[tokio::test]
async fn a_failing_migration_and_a_missing_need_keep_the_old_version() {
    let host = host_with_hello().await;
    for (more, reason) in [
        ("[needs.sql]\nmigrations = [{ name = \"0001\", sql = \"create nonsense\" }]\n", "0001"),
        ("[needs.nonsense]\n", "nonsense"),
        ("[[consume]]\ntopics = [\"raw\"]\n", "exports no consumer"),
    ] {
        host.install("hello.toml", sidecar("broken") + more);
        let failed = |status: &serde_json::Value| {
            status["state"] == "failed" && status["reason"].as_str().unwrap().contains(reason)
        };
        host.until_plugin("hello", failed).await;
        assert_eq!(host.get("/hello").await.text(), "one");
    }
}

#[tokio::test]
async fn an_import_without_a_need_or_a_grant_is_refused_at_load() {
    let host = Host::start_with(&["tracker"], "").await;
    let status = host.until_plugin("tracker", |status| status["state"] == "failed").await;
    assert!(status["reason"].as_str().unwrap().contains("without a grant"), "{status}");
    host.install("tracker.toml", "name = \"tracker\"\n[http]\nroutes = [\"/t/{*path}\"]\n");
    let without_need = |status: &serde_json::Value| {
        status["reason"].as_str().is_some_and(|reason| reason.contains("without a need"))
    };
    host.until_plugin("tracker", without_need).await;
}

#[tokio::test]
async fn two_plugins_cannot_have_the_same_route_or_name() {
    let host = host_with_hello().await;
    host.install("other.toml", "name = \"other\"\n[http]\nroutes = [\"/hello\"]\n");
    host.install("other.wasm", fs::read(component("hello")).unwrap());
    let status = host.until_plugin("other", |status| status["state"] == "failed").await;
    assert!(status["reason"].as_str().unwrap().contains("/hello"), "{status}");
    host.install("other.toml", sidecar("thief").replace("/hello", "/thief"));
    let taken = |status: &serde_json::Value| {
        status["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("name `hello` belongs to plugin `hello`"))
    };
    host.until_plugin("other", taken).await;
    assert_eq!(host.get("/hello").await.text(), "one");
}

#[tokio::test]
async fn a_plugin_that_was_refused_leaves_nothing_behind_and_loads_when_the_conflict_is_gone() {
    let host = host_with_hello().await;
    let other = "name = \"other\"\n[http]\nroutes = [\"/more\", \"/hello\"]\n\
                 [config]\nanswer = \"other\"\n[topics.left-behind]\n";
    host.install("other.toml", other);
    host.install("other.wasm", fs::read(component("hello")).unwrap());
    host.until_plugin("other", |status| status["state"] == "failed").await;
    assert!(!host.admin("/api/topics").await.text().contains("left-behind"));
    assert_eq!(host.get("/more").await.status, 404);
    // The other one takes another route, then it is the other way round until it is gone.
    host.install("hello.toml", sidecar("one").replace("/hello", "/elsewhere"));
    host.until("/hello", |answer| answer.text() == "other").await;
    host.until("/elsewhere", |answer| answer.text() == "one").await;
    assert!(host.admin("/api/topics").await.text().contains("left-behind"));
    host.install("hello.toml", sidecar("two"));
    host.until_plugin("hello", |status| status["state"] == "failed").await;
    assert_eq!(host.get("/elsewhere").await.text(), "one");
    fs::remove_file(host.plugins().join("other.wasm")).unwrap();
    host.until("/hello", |answer| answer.text() == "two").await;
    host.until("/elsewhere", |answer| answer.status == 404).await;
}
