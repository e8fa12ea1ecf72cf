//! Values that may be forgotten: computed once for all who want them, whatever happens to whoever
//! computes.

use std::{path::Path, time::Instant};

use futures_util::future::join_all;
use servers::Redis;

use crate::support::{Answer, Host};

async fn start(dir: &Path) -> Redis {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Redis::start(Some(&dir))).await.unwrap()
}

fn settings(redis: &Redis) -> String {
    format!(
        "[grants]\ndefault = \"needs\"\n[cache]\nbackend = \"redis\"\n\
         [cache.redis]\naddress = \"{}\"\n",
        redis.plain()
    )
}

async fn text(host: &Host, path: &str) -> String {
    let answer = host.get(&format!("/abacus/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}\n{}", answer.text(), host.log());
    answer.text()
}

/// So many requests at once, by turns to each host.
async fn at_once(hosts: &[&Host], path: &str, requests: usize) -> Vec<Answer> {
    let path = format!("/abacus/{path}");
    join_all((0..requests).map(|n| hosts[n % hosts.len()].get(&path))).await
}

/// How often a key was computed, on all hosts together.
async fn computed(hosts: &[&Host], key: &str) -> u64 {
    let counts = hosts.iter().map(async |host| text(host, &format!("computed/{key}")).await);
    join_all(counts).await.iter().map(|count| count.parse::<u64>().unwrap()).sum()
}

/// What holds on every backend, for hosts that share one.
async fn walk(hosts: &[&Host]) {
    let host = hosts[0];
    assert_eq!(text(host, "get/k").await, "nothing");
    assert_eq!(text(host, "set/k/1").await, "set");
    assert_eq!(text(host, "add/k/2").await, "false");
    for host in hosts {
        assert_eq!(text(host, "get/k").await, "1");
    }
    assert_eq!(text(host, "delete/k").await, "deleted");
    assert_eq!(text(host, "add/k/2").await, "true");
    assert_eq!(text(host, "get/k").await, "2");

    let answers = at_once(hosts, "remember/cold", 40).await;
    let wrong: Vec<_> = answers.iter().filter(|answer| answer.text() != "cold 1").collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(computed(hosts, "cold").await, 1);

    // Each that traps lets the next one; then one computes for all others.
    let (traps, others) =
        tokio::join!(at_once(hosts, "trap/trap", 3), at_once(hosts, "remember/trap", 20));
    let trapped = traps.iter().filter(|answer| answer.status == 500).count() as u64;
    assert!(others.iter().all(|answer| answer.status == 200), "{others:?}");
    assert_eq!(computed(hosts, "trap").await, trapped + 1);

    // What a call claims and forgets is free for the next one, on any host.
    for host in hosts.iter().cycle().take(4) {
        host.until("/abacus/hold/held", |answer| answer.text() == "yours").await;
    }
}

#[tokio::test]
async fn a_cold_key_is_computed_once_for_all_who_want_it() {
    let host = Host::start(&["abacus"]).await;
    walk(&[&host]).await;
    let metrics = host.admin("/metrics").await.text();
    let counted = |name: &str| {
        let line = format!("{name}{{plugin=\"abacus\"}} ");
        let value = metrics.lines().find_map(|shown| shown.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{name} is missing:\n{metrics}")).parse::<u64>().unwrap()
    };
    assert!(counted("trellis_cache_hits_total") >= 40, "{metrics}");
    assert!(counted("trellis_cache_misses_total") >= 3, "{metrics}");
}

#[tokio::test]
async fn hosts_that_share_a_redis_compute_a_cold_key_once() {
    let dir = tempfile::tempdir().unwrap();
    let redis = start(dir.path()).await;
    let one = Host::start_with(&["abacus"], &settings(&redis)).await;
    let two = Host::start_with(&["abacus"], &settings(&redis)).await;
    walk(&[&one, &two]).await;

    // A host that dies while it computes keeps the others waiting no longer than its lease.
    let mut dying = one;
    let begun = Instant::now();
    let computing = dying.get("/abacus/stall/dying");
    tokio::select! {
        _ = computing => panic!("it was to compute for long"),
        _ = two.until("/abacus/hold/dying", |answer| answer.text() == "taken") => {}
    }
    dying.kill();
    assert_eq!(text(&two, "remember/dying").await, "dying 1");
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_redis_that_is_gone_for_a_while_costs_errors_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let redis = start(dir.path()).await;
    let host = Host::start_with(&["abacus", "hello"], &settings(&redis)).await;
    assert_eq!(text(&host, "set/k/1").await, "set");
    tokio::task::spawn_blocking(|| redis.kill()).await.unwrap();
    let begun = Instant::now();
    for path in ["get/k", "set/k/2", "add/k/2", "delete/k", "remember/k", "remember/other"] {
        let answer = host.get(&format!("/abacus/{path}")).await;
        assert_eq!(answer.status, 409, "{path}: {}", answer.text());
        assert!(answer.text().contains("Unavailable"), "{path}: {}", answer.text());
        assert_eq!(host.get("/hello/").await.text(), "hello");
    }
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let metrics = host.admin("/metrics").await.text();
    assert!(metrics.contains("trellis_cache_up 0"), "{metrics}");

    let _redis = start(dir.path()).await;
    host.until("/abacus/get/k", |answer| answer.text() == "nothing").await;
    assert_eq!(text(&host, "remember/k").await, "k 1");
    assert!(host.log().contains("Redis answers again"), "{}", host.log());
}

#[tokio::test]
async fn a_trap_in_the_computation_lets_another_compute() {
    let host = Host::start(&["abacus"]).await;
    let trapping = host.get("/abacus/trap/k");
    let others = async {
        // It has begun.
        host.until("/abacus/computed/k", |answer| answer.text() == "1").await;
        at_once(&[&host], "remember/k", 10).await
    };
    let (trapped, others) = tokio::join!(trapping, others);
    assert_eq!(trapped.status, 500);
    assert!(others.iter().all(|answer| answer.text() == "k 2"), "{others:?}");
}

#[tokio::test]
async fn a_reload_keeps_what_is_cached() {
    let host = Host::start(&["abacus"]).await;
    assert_eq!(text(&host, "set/k/kept").await, "set");
    let component = std::fs::read(crate::support::component("abacus")).unwrap();
    host.install("abacus.wasm", crate::support::variant(&component, "2"));
    host.until_plugin("abacus", |status| status["generation"] == 2).await;
    assert_eq!(text(&host, "get/k").await, "kept");
}

#[tokio::test]
async fn a_cache_that_is_not_granted_is_refused_at_load_with_the_line_to_add() {
    let settings = "[grants.plugins.abacus]\nkeyvalue = { stores = [\"default\"] }\n";
    let host = Host::start_with(&["abacus"], settings).await;
    let status = host.until_plugin("abacus", |status| status["state"] == "failed").await;
    let reason = status["reason"].as_str().unwrap();
    for part in ["needs `cache` without a grant", "add `cache = {}`", "[grants.plugins.abacus]"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(host.get("/abacus/get/k").await.status, 404);
}
