//! Components that nobody of this project wrote, or that are written for other hosts with the SDKs
//! of those, run as they are: `tests/foreign` names them and builds them with what crates.io has,
//! into the directory that `TRELLIS_FOREIGN_COMPONENTS` names.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::support::{Answer, Host};

fn foreign(name: &str) -> Vec<u8> {
    let dir = std::env::var("TRELLIS_FOREIGN_COMPONENTS")
        .expect("TRELLIS_FOREIGN_COMPONENTS names no directory: run `tests/run`, which sets it");
    fs::read(Path::new(&dir).join(name).with_extension("wasm")).unwrap()
}

/// A host with these components and nothing that says what they are.
async fn host_with(names: &[&str]) -> Host {
    let host = Host::start(&[]).await;
    for name in names {
        host.install(&format!("{name}.wasm"), foreign(name));
    }
    host
}

/// A host whose only plugin is this component, with every path of the host.
async fn host_of(name: &str) -> Host {
    let host = Host::start(&[]).await;
    install(&host, name, "/{*path}", "").await;
    host.until("/", |answer| answer.status == 200).await;
    host
}

/// Install a component with a sidecar: its routes, and what else it says.
async fn install(host: &Host, name: &str, routes: &str, more: &str) {
    let manifest =
        format!("name = \"{name}\"\n[http]\nmax-body = \"8MiB\"\nroutes = [\"{routes}\"]\n{more}");
    host.install(&format!("{name}.toml"), manifest);
    host.install(&format!("{name}.wasm"), foreign(name));
    host.until_plugin(name, |status| status["state"] == "live").await;
}

async fn asked(host: &Host, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    host.request(request.body(Full::new(body.into())).unwrap()).await
}

#[tokio::test]
async fn components_of_wasi_http_02_and_03_serve_without_a_manifest() {
    let names = ["wasi-02-sync", "wasi-03-stream", "wasi-03-compat", "wasi-03-2"];
    let host = host_with(&names).await;
    for name in names {
        let path = format!("/{name}/");
        let answer = host.until(&path, |answer| answer.status == 200).await;
        assert_eq!(answer.text(), "Hello, WASI!", "{name}");
        assert_eq!(host.post(&path, "{}").await.text(), "Hello, WASI!", "{name}");
    }
}

#[tokio::test]
async fn a_foreign_component_answers_again_and_again_and_many_at_a_time() {
    let names = ["wasi-02-sync", "wasi-03-stream"];
    let host = host_with(&names).await;
    for name in names {
        let path = format!("/{name}/");
        host.until(&path, |answer| answer.status == 200).await;
        for _ in 0..10 {
            let answers = futures_util::future::join_all((0..32).map(|_| host.get(&path))).await;
            for answer in answers {
                assert_eq!(
                    (answer.status, answer.text().as_str()),
                    (200, "Hello, WASI!"),
                    "{name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_axum_router_compiled_to_wasi_answers() {
    let host = host_of("wasi-02-axum").await;
    assert_eq!(host.get("/").await.text(), "<h1>Hello, World!</h1>");
    assert_eq!(host.get("/elsewhere").await.status, 404);
    let posted = host.post("/", "{}").await;
    assert_eq!((posted.status, &posted.headers["allow"]), (405, &"GET,HEAD".parse().unwrap()));
}

#[tokio::test]
async fn a_foreign_component_streams_what_it_is_sent() {
    let host = host_of("wasi-02-wstd").await;
    assert_eq!(host.get("/").await.text(), "Hello, wasi:http/proxy world!\n");
    // Larger than any buffer on the way.
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let answer = asked(&host, Request::post(host.url("/echo")), body.clone()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    let stream = host.get("/stream-body").await.text();
    assert_eq!(stream.lines().filter(|line| line.starts_with("stream started")).count(), 5);
}

#[tokio::test]
async fn header_fields_and_statuses_pass_a_foreign_component_unchanged() {
    let host = host_of("wasi-02-wstd").await;
    let request = Request::get(host.url("/echo-headers")).header("x-own", "a value");
    assert_eq!(asked(&host, request, "").await.headers["x-own"], "a value");
    for status in [201, 404, 418, 503] {
        let request = Request::get(host.url("/response-status"))
            .header("x-response-status", status.to_string());
        assert_eq!(asked(&host, request, "").await.status, status);
    }
    assert_eq!(host.get("/nowhere").await.status, 404);
    assert_eq!(host.get("/response-fail").await.status, 500);
}

#[tokio::test]
async fn a_foreign_component_that_sleeps_holds_up_nobody() {
    let host = host_of("wasi-02-wstd").await;
    let sleeping = async { host.get("/wait-response").await.text() };
    let others = async {
        for _ in 0..20 {
            let answer = tokio::time::timeout(Duration::from_millis(900), host.get("/")).await;
            assert_eq!(answer.expect("an answer before the sleeper's").status, 200);
        }
    };
    let (slept, ()) = tokio::join!(sleeping, others);
    assert!(slept.starts_with("slept for "), "{slept}");
}

#[tokio::test]
async fn what_spins_sdk_shows_first_serves_without_a_manifest() {
    let host = host_with(&["spin"]).await;
    let answer = host.until("/spin/", |answer| answer.status == 200).await;
    assert_eq!(answer.text(), "Hello, Spin");
}

#[tokio::test]
async fn a_component_for_wasmcloud_keeps_values_and_objects_and_publishes() {
    let host = Host::start(&[]).await;
    let more = "[config]\ngreeting = \"hello\"\nother = \"x\"\n\
                [needs.keyvalue]\nstores = [\"default\"]\n\
                [needs.blobs]\ncontainers = [\"things\"]\n\
                [needs.produce]\ntopics = [\"wasmcloud.out\"]\n\
                [topics]\n\"wasmcloud.out\" = { partitions = 1 }\n";
    install(&host, "wasmcloud", "/{*path}", more).await;
    for count in ["1", "2"] {
        assert_eq!(host.get("/count").await.text(), count);
    }
    assert_eq!(host.get("/pairs").await.text(), "one=1 two=2 nothing");
    assert_eq!(host.get("/config").await.text(), "hello of 2");
    let thing = "a thing\n".repeat(10_000);
    assert_eq!(host.post("/object", thing.clone()).await.text(), thing);
    assert_eq!(host.post("/message", "a message").await.text(), "published");
    assert_eq!(host.records("wasmcloud.out", 1).await[0]["value"], "a message");
}

#[tokio::test]
async fn a_component_for_wasmcloud_that_needs_nothing_is_refused_what_it_imports() {
    let host = host_with(&["wasmcloud"]).await;
    let failed = host.until_plugin("wasmcloud", |status| status["state"] == "failed").await;
    let reason = failed["reason"].as_str().unwrap();
    let told = "imports `wasi:blobstore/types@0.2.0-draft` without a need";
    assert!(reason.contains(told) && reason.contains("`[needs.blobs]`"), "{reason}");
}

#[tokio::test]
async fn a_foreign_component_that_reads_its_environment_calls_another_host() {
    let host = host_with(&["wasi-02-sync"]).await;
    host.until("/wasi-02-sync/", |answer| answer.status == 200).await;
    let target = host.url("/wasi-02-sync/");
    let more = format!(
        "[config]\nTARGET_URL = \"{target}\"\n\
         [needs.http]\nhosts = [\"127.0.0.1:*\"]\nprivate = true\n"
    );
    install(&host, "wasi-02-client", "/proxy/{*path}", &more).await;
    assert_eq!(host.get("/proxy/").await.text(), "Hello, WASI!");
}
