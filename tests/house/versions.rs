//! Versions of a plugin: kept, put back, split between two, and taken back by the host itself.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use trellis::manifest::{self, section};

use crate::{
    command::ask,
    support::{Host, component},
};

/// The component `hello` as this version of it, which is what it answers at `/hello/`. At
/// `/hello/deed` it does this.
fn hello(version: &str, deed: &str) -> Vec<u8> {
    let component = fs::read(component("hello")).unwrap();
    let text = section::find(&component).expect("components carry their manifests");
    let mut manifest = manifest::read(text, "the component").unwrap();
    manifest.version = Some(version.to_owned());
    manifest.config.insert("answer".to_owned(), version.to_owned());
    manifest.config.insert("deed".to_owned(), deed.to_owned());
    section::embed(&component, &manifest).unwrap()
}

/// A host that serves `hello` as version 1.
async fn host_with(settings: &str) -> Host {
    let host = Host::start_with(&[], &format!("[grants]\ndefault = \"needs\"\n{settings}")).await;
    drop_version(&host, "1", "fine").await;
    host
}

/// Drop a version and wait until it serves.
async fn drop_version(host: &Host, version: &str, deed: &str) {
    host.install("hello.wasm", hello(version, deed));
    host.until_plugin("hello", |status| status["version"] == version).await;
    host.until("/hello/", |answer| answer.text() == version).await;
}

/// Drop a version and wait until it is a candidate.
async fn drop_candidate(host: &Host, version: &str, deed: &str) {
    host.install("hello.wasm", hello(version, deed));
    host.until_plugin("hello", |status| {
        let of = |found: &Value| found["version"] == version && found["state"] == "canary";
        status["versions"].as_array().unwrap().iter().any(of)
    })
    .await;
    // The routes follow a moment later.
    host.eventually(async || match host.get("/hello/").await.text() {
        answer if answer == version => Ok(()),
        answer => Err(answer),
    })
    .await;
}

/// The versions that `trellis plugins hello` shows: state by version.
async fn states(host: &Host) -> BTreeMap<String, String> {
    let status = ask(host, &["plugins", "hello", "--json"]).await.well().json();
    let text = |version: &Value, key: &str| version[key].as_str().unwrap().to_owned();
    let versions = status["versions"].as_array().unwrap().iter();
    versions.map(|version| (text(version, "version"), text(version, "state"))).collect()
}

/// Wait until it shows these; what drains does so for a moment.
async fn until_states(host: &Host, expected: &[(&str, &str)]) {
    let expected = pairs(expected);
    host.eventually(async || match states(host).await {
        found if found == expected => Ok(()),
        found => Err(format!("{found:?}, not {expected:?}")),
    })
    .await;
}

fn pairs(expected: &[(&str, &str)]) -> BTreeMap<String, String> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

/// Ask `path` again and again beside something else. How often each answer came, by status and
/// text.
async fn beside<T>(
    host: &Host,
    path: &str,
    work: impl Future<Output = T>,
) -> (T, BTreeMap<String, u64>) {
    let (done, answers) = (AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let client = async || {
        while !done.load(Ordering::Relaxed) {
            let answer = host.get(path).await;
            let key = format!("{} {}", answer.status, answer.text().trim());
            *answers.lock().unwrap().entry(key).or_default() += 1;
        }
    };
    let clients = futures_util::future::join_all((0..4).map(|_| client()));
    let work = async {
        let outcome = work.await;
        done.store(true, Ordering::Relaxed);
        outcome
    };
    let (outcome, _) = tokio::join!(work, clients);
    (outcome, answers.into_inner().unwrap())
}

#[tokio::test]
async fn a_rollback_under_traffic_fails_no_request_and_outlives_a_restart() {
    let mut host = host_with("").await;
    drop_version(&host, "2", "fine").await;
    drop_version(&host, "3", "fine").await;
    let work = async {
        let back = ask(&host, &["rollback", "hello"]).await.well().out;
        assert!(back.starts_with("plugin `hello`: version 2 ("), "{back}");
        assert!(back.ends_with(") serves as generation 4\n"), "{back}");
        host.until("/hello/", |answer| answer.text() == "2").await;
        ask(&host, &["rollback", "hello"]).await.well();
        host.until("/hello/", |answer| answer.text() == "1").await;
        let none = ask(&host, &["rollback", "hello"]).await.refused();
        assert!(
            none.err.contains("no earlier version of it is kept\nhint: `trellis plugins hello`"),
            "{none:?}"
        );
        ask(&host, &["rollback", "hello", "--to", "3"]).await.well();
        host.until("/hello/", |answer| answer.text() == "3").await;
        ask(&host, &["rollback", "hello", "--to", "1"]).await.well();
        host.until("/hello/", |answer| answer.text() == "1").await;
    };
    let ((), answers) = beside(&host, "/hello/", work).await;
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["200 1", "200 2", "200 3"], "{}", host.log());
    assert_eq!(fs::read(host.plugins().join("hello.wasm")).unwrap(), hello("1", "fine"));
    let expected = [("1", "live"), ("2", "kept"), ("3", "kept")];
    until_states(&host, &expected).await;
    // What the host has put there itself is not loaded again.
    let generation = host.until_plugin("hello", |_| true).await["generation"].clone();
    assert_eq!(generation, 7, "{}", host.log());

    host.stop().await;
    host.run().await;
    assert_eq!(host.get("/hello/").await.text(), "1");
    assert_eq!(states(&host).await, pairs(&expected));
    drop_version(&host, "4", "fine").await;
    ask(&host, &["rollback", "hello"]).await.well();
    host.until("/hello/", |answer| answer.text() == "3").await;
}

#[tokio::test]
async fn a_sidecar_goes_back_with_its_component_and_the_newer_schema_stays() {
    let host = Host::start(&["ledger"]).await;
    assert_eq!(host.get("/ledger/add/one").await.text(), "added");
    let more = "name = \"ledger\"\nversion = \"2\"\n[needs.keyvalue]\nstores = [\"default\"]\n\
                [needs.sql]\nmigrations = [{ name = \"0001\", sql = \"CREATE TABLE entries (text TEXT NOT NULL)\" },\n\
                { name = \"0002\", sql = \"ALTER TABLE entries ADD COLUMN more TEXT\" }]\n";
    host.install("ledger.toml", more);
    host.until_plugin("ledger", |status| status["version"] == "2").await;
    assert_eq!(host.get("/ledger/add/two").await.text(), "added");
    ask(&host, &["rollback", "ledger"]).await.well();
    assert!(!host.plugins().join("ledger.toml").exists());
    assert_eq!(host.get("/ledger/add/three").await.text(), "added");
    assert_eq!(host.get("/ledger/entries").await.text(), "one three two");
    ask(&host, &["rollback", "ledger", "--to", "2"]).await.well();
    assert_eq!(fs::read_to_string(host.plugins().join("ledger.toml")).unwrap(), more);
    assert_eq!(host.get("/ledger/entries").await.text(), "one three two");
}

#[tokio::test]
async fn what_is_meant_and_what_is_not_there_is_said() {
    let host = host_with("[versions]\nkeep = 3\n").await;
    for version in ["2", "3", "4"] {
        drop_version(&host, version, "fine").await;
    }
    until_states(&host, &[("2", "kept"), ("3", "kept"), ("4", "live")]).await;
    // Their compiled code goes with the versions.
    let cache = fs::read_dir(host.data().join("cache")).unwrap();
    let names = cache.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".cwasm")).count(), 3);

    for (arguments, error) in [
        (&["rollback", "helo"][..], "plugin `helo` is not installed\nhint: installed are `hello`"),
        (
            &["rollback", "hello", "--to", "9"],
            "no version `9` of it is kept\nhint: `trellis plugins hello`",
        ),
        (&["split", "hello", "--off"], "has no split to end\nhint: `trellis split hello 95 5`"),
        (&["split", "hello", "0", "0"], "not both 0"),
        (&["split", "hello", "95"], "2 values required"),
        (&["split", "hello"], "required arguments were not provided"),
        (&["reload", "helo"], "plugin `helo` is not installed"),
    ] {
        let refused = ask(&host, arguments).await.refused();
        assert!(refused.err.contains(error), "{refused:?}");
    }
    // Two of one version are told apart by their digests.
    host.install("hello.wasm", hello("4", "other"));
    host.until_plugin("hello", |status| status["generation"] == 5).await;
    // It is kept a moment after it serves.
    let digest = blake3::hash(&hello("4", "other")).to_string();
    host.eventually(async || {
        let index = fs::read_to_string(host.data().join("versions/plugins/hello.json")).unwrap();
        if index.contains(&digest) { Ok(()) } else { Err(index) }
    })
    .await;
    let refused = ask(&host, &["rollback", "hello", "--to", "4"]).await.refused();
    assert!(refused.err.contains("`4` may be any of `"), "{refused:?}");
    let digest = blake3::hash(&hello("4", "fine")).to_string();
    ask(&host, &["rollback", "hello", "--to", &digest[..10]]).await.well();
    let status = ask(&host, &["plugins", "hello", "--json"]).await.well().json();
    assert_eq!(status["digest"], digest);
}

#[tokio::test]
async fn a_plugin_is_shown_with_its_generations_and_versions() {
    let host = host_with("").await;
    ask(&host, &["split", "hello", "3", "1"]).await.well();
    drop_candidate(&host, "2", "fine").await;
    let status = ask(&host, &["plugins", "hello", "--json"]).await.well().json();
    assert_eq!((&status["state"], &status["version"]), (&"live".into(), &"1".into()));
    assert_eq!(status["split"]["weights"]["candidate"], 1);
    assert_eq!(status["split"]["generation"], 2);
    let versions = status["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2, "{status:#}");
    for (version, state, generation, weight) in
        [(&versions[0], "canary", 2, 0.25), (&versions[1], "live", 1, 0.75)]
    {
        assert_eq!(
            (&version["state"], &version["generation"]),
            (&state.into(), &generation.into())
        );
        assert_eq!((&version["weight"], &version["errors"]), (&weight.into(), &0.into()));
        assert!(version["calls"].as_u64().unwrap() >= 1, "{version}");
        assert!(version["loaded-ms"].as_u64().unwrap() > 1_700_000_000_000, "{version}");
        assert_eq!(version["digest"].as_str().unwrap().len(), 64, "{version}");
    }
    let text = ask(&host, &["plugins", "hello"]).await.well().out;
    assert!(text.contains("generation 2 is a candidate with 25%"), "{text}");
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("VERSION")).collect();
    assert!(rows[1].contains("canary") && rows[1].contains("25%"), "{text}");
    assert!(rows[2].contains("live") && rows[2].contains("75%"), "{text}");

    let metrics = host.admin("/metrics").await.text();
    let has = |line: &str| assert!(metrics.lines().any(|shown| shown == line), "{line}\n{metrics}");
    has("trellis_plugin_weight{plugin=\"hello\",generation=\"1\"} 0.75");
    has("trellis_plugin_weight{plugin=\"hello\",generation=\"2\"} 0.25");
    // What has drained has no numbers any more.
    ask(&host, &["split", "hello", "0", "1"]).await.well();
    host.eventually(async || {
        let metrics = host.admin("/metrics").await.text();
        let own = |number: &str| metrics.contains(&format!("generation=\"{number}\""));
        if own("2") && !own("1") { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn requests_are_split_as_the_weights_say() {
    const REQUESTS: u64 = 20_000;
    let host = host_with("").await;
    let waits = ask(&host, &["split", "hello", "95", "5"]).await.well().out;
    assert_eq!(waits, "plugin `hello`: the next version that is dropped gets 5%\n");
    drop_candidate(&host, "2", "fine").await;
    let client = async || {
        let mut candidate = 0_u64;
        for _ in 0..REQUESTS / 8 {
            let answer = host.get("/hello/").await;
            assert_eq!(answer.status, 200);
            candidate += u64::from(answer.text() == "2");
        }
        candidate
    };
    let counts = futures_util::future::join_all((0..8).map(|_| client())).await;
    // Five standard deviations of a twentieth of them: 154 requests.
    let candidate: u64 = counts.iter().sum();
    assert!(candidate.abs_diff(REQUESTS / 20) < 154, "{candidate} of {REQUESTS}");
}

#[tokio::test]
async fn a_split_is_finished_or_stopped_and_outlives_a_restart() {
    let mut host = host_with("").await;
    ask(&host, &["split", "hello", "1", "1"]).await.well();
    drop_candidate(&host, "2", "fine").await;
    host.stop().await;
    host.run().await;
    let both = pairs(&[("1", "live"), ("2", "canary")]);
    assert_eq!(states(&host).await, both, "{}", host.log());
    for answer in ["1", "2"] {
        host.until("/hello/", |found| found.text() == answer).await;
    }
    let done = async {
        let said = ask(&host, &["split", "hello", "--off"]).await.well().out;
        assert!(said.starts_with("plugin `hello`: version 1 ("), "{said}");
        ask(&host, &["split", "hello", "1", "1"]).await.well();
        drop_candidate(&host, "3", "fine").await;
        let said = ask(&host, &["split", "hello", "0", "100"]).await.well().out;
        assert!(said.starts_with("plugin `hello`: version 3 ("), "{said}");
    };
    let ((), answers) = beside(&host, "/hello/", done).await;
    assert!(answers.keys().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    assert_eq!(fs::read(host.plugins().join("hello.wasm")).unwrap(), hello("3", "fine"));
    // The split has ended, so the next version is swapped.
    drop_version(&host, "4", "fine").await;
    until_states(&host, &[("1", "kept"), ("2", "kept"), ("3", "kept"), ("4", "live")]).await;
}

/// Wait until the host has gone back; how long that took from the first failure.
async fn until_reverted(host: &Host) -> Duration {
    host.until("/hello/deed", |answer| answer.status == 500).await;
    let since = Instant::now();
    host.until_plugin("hello", |status| status["reverts"] == 1).await;
    since.elapsed()
}

#[tokio::test]
async fn a_bad_version_is_taken_back_within_5_s_and_stays_so_after_a_restart() {
    for deed in ["panic", "sorry"] {
        let mut host = host_with("").await;
        for _ in 0..100 {
            assert_eq!(host.get("/hello/deed").await.status, 200);
        }
        let work = async {
            host.install("hello.wasm", hello("2", deed));
            until_reverted(&host).await
        };
        let (took, answers) = beside(&host, "/hello/deed", work).await;
        assert!(took < Duration::from_secs(5), "{took:?}\n{}", host.log());
        assert!(answers.keys().any(|answer| answer.starts_with("500")), "{answers:?}");
        let back = async |host: &Host| {
            let status = host.until_plugin("hello", |status| status["state"] == "failed").await;
            assert_eq!(status["version"], "1");
            let reason = status["reason"].as_str().unwrap();
            assert!(reason.starts_with("version 2 ("), "{reason}");
            assert!(reason.contains(" it was taken back\nhint: "), "{reason}");
            host.until("/hello/", |answer| answer.text() == "1").await;
            for _ in 0..50 {
                assert_eq!(host.get("/hello/deed").await.status, 200);
            }
            until_states(host, &[("1", "live"), ("2", "refused")]).await;
        };
        back(&host).await;
        let metrics = host.admin("/metrics").await.text();
        assert!(
            metrics.contains("trellis_plugin_reverts_total{plugin=\"hello\"} 1\n"),
            "{metrics}"
        );
        host.stop().await;
        host.run().await;
        back(&host).await;
        host.install("hello.wasm", hello("2", deed));
        back(&host).await;
        ask(&host, &["reload", "hello"]).await.well();
        assert_eq!(host.get("/hello/").await.text(), "2");
        drop_version(&host, "3", "fine").await;
    }
}

#[tokio::test]
async fn a_bad_candidate_is_taken_back_and_the_next_one_has_its_turn() {
    let mut host = host_with("").await;
    ask(&host, &["split", "hello", "4", "1"]).await.well();
    let work = async {
        host.install("hello.wasm", hello("2", "panic"));
        until_reverted(&host).await
    };
    let (took, answers) = beside(&host, "/hello/deed", work).await;
    assert!(took < Duration::from_secs(5), "{took:?}\n{}", host.log());
    let failed: u64 =
        answers.iter().filter(|(answer, _)| !answer.starts_with("200")).map(|(_, n)| n).sum();
    let all: u64 = answers.values().sum();
    assert!(failed > 0 && failed * 3 < all, "{failed} of {all}");
    let refused = [("1", "live"), ("2", "refused")];
    until_states(&host, &refused).await;
    host.stop().await;
    host.run().await;
    assert_eq!(states(&host).await, pairs(&refused), "{}", host.log());
    for _ in 0..50 {
        assert_eq!(host.get("/hello/deed").await.status, 200);
    }
    drop_candidate(&host, "3", "fine").await;
    until_states(&host, &[("1", "live"), ("2", "refused"), ("3", "canary")]).await;
}

#[tokio::test]
async fn a_version_that_fails_as_often_as_the_one_before_stays() {
    let host = host_with("").await;
    let mixed = async |host: &Host| {
        for turn in 0..60 {
            let path = if turn % 3 == 0 { "/hello/panic" } else { "/hello/" };
            host.get(path).await;
        }
    };
    mixed(&host).await;
    drop_version(&host, "2", "fine").await;
    mixed(&host).await;
    // Longer than the host takes to look.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(host.get("/hello/").await.text(), "2", "{}", host.log());
    }
    let status = host.until_plugin("hello", |_| true).await;
    assert_eq!((&status["state"], &status["reverts"]), (&"live".into(), &0.into()));
}
