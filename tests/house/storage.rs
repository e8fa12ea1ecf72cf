//! What plugins keep: a database and key-value stores, each plugin's own.

use std::fs;

use crate::support::{Host, component};

/// The migration that the ledger comes with.
const FIRST: (&str, &str) = ("0001", "CREATE TABLE entries (text TEXT NOT NULL)");

/// The ledger's manifest with these migrations.
fn ledger(migrations: &[(&str, &str)]) -> String {
    let all: Vec<_> = migrations
        .iter()
        .map(|(name, sql)| format!("{{ name = \"{name}\", sql = \"{sql}\" }}"))
        .collect();
    format!(
        "name = \"ledger\"\n[needs.keyvalue]\nstores = [\"default\"]\n\
         [needs.sql]\nmigrations = [{}]\n",
        all.join(", ")
    )
}

async fn add(host: &Host, text: &str) {
    let answer = host.get(&format!("/ledger/add/{text}")).await;
    assert_eq!((answer.status, &*answer.text()), (200, "added"), "{}", host.log());
}

async fn entries(host: &Host, plugin: &str) -> String {
    host.get(&format!("/{plugin}/entries")).await.text()
}

#[tokio::test]
async fn a_trap_or_a_hang_in_an_open_transaction_rolls_it_back() {
    let mut host = Host::start(&["ledger"]).await;
    add(&host, "a").await;
    for (deed, status, next, all) in
        [("trap", 500, "b", "a b"), ("hang", 504, "c", "a b c"), ("trap", 500, "d", "a b c d")]
    {
        let answer = host.get(&format!("/ledger/{deed}/lost")).await;
        assert_eq!(answer.status, status, "{deed}: {}", answer.text());
        // The database's one writer is free again.
        add(&host, next).await;
        assert_eq!(entries(&host, "ledger").await, all);
    }
    host.kill();
    host.run().await;
    assert_eq!(entries(&host, "ledger").await, "a b c d");
}

#[tokio::test]
async fn a_failing_migration_keeps_the_old_version_and_what_it_wrote() {
    let host = Host::start(&["ledger"]).await;
    add(&host, "a").await;
    let column = "ALTER TABLE entries ADD COLUMN at BIGINT";
    let cases: [(&[_], _, _); 4] = [
        // The first of the two would work, and must not stay.
        (&[FIRST, ("0002", column), ("0003", "INSERT INTO nowhere VALUES (1)")], "0003", "b"),
        (&[("0000", column), FIRST], "`0000` comes before `0001`", "c"),
        (&[("0001", "CREATE TABLE others (n BIGINT)")], "`0001` was changed", "d"),
        (&[FIRST, ("0002", "BEGIN")], "`0002` failed", "e"),
    ];
    for (migrations, why, next) in cases {
        host.install("ledger.toml", ledger(migrations));
        let failed = |status: &serde_json::Value| {
            status["state"] == "failed" && status["reason"].as_str().unwrap().contains(why)
        };
        host.until_plugin("ledger", failed).await;
        add(&host, next).await;
    }
    host.install("ledger.toml", ledger(&[FIRST, ("0002", column)]));
    host.until_plugin("ledger", |status| status["state"] == "live").await;
    add(&host, "f").await;
    assert_eq!(entries(&host, "ledger").await, "a b c d e f");
}

#[tokio::test]
async fn two_plugins_of_one_component_see_nothing_of_each_other() {
    let host = Host::start(&["ledger"]).await;
    host.install("other.toml", ledger(&[FIRST]).replace("\"ledger\"", "\"other\""));
    host.install("other.wasm", fs::read(component("ledger")).unwrap());
    host.until("/other/entries", |answer| answer.status == 200).await;
    assert_eq!(host.get("/ledger/put/mine").await.text(), "put");
    add(&host, "mine").await;
    assert_eq!(host.get("/other/get").await.text(), "nothing");
    assert_eq!(entries(&host, "other").await, "");
    assert_eq!(host.get("/other/put/theirs").await.text(), "put");
    assert_eq!(host.get("/ledger/get").await.text(), "mine");
}

#[tokio::test]
async fn a_store_that_is_not_in_the_manifest_cannot_be_opened() {
    let host = Host::start(&["ledger"]).await;
    assert_eq!(host.get("/ledger/open/default").await.text(), "opened");
    let answer = host.get("/ledger/open/strange").await;
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("AccessDenied"), "{}", answer.text());
}

#[tokio::test]
async fn a_store_that_is_not_granted_is_refused_at_load_with_the_line_to_add() {
    let settings = "[grants.plugins.ledger]\nsql = {}\n";
    let host = Host::start_with(&["ledger"], settings).await;
    let status = host.until_plugin("ledger", |status| status["state"] == "failed").await;
    let reason = status["reason"].as_str().unwrap();
    for part in
        ["needs `keyvalue` without a grant", "stores = [\"default\"]", "[grants.plugins.ledger]"]
    {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(host.get("/ledger/entries").await.status, 404);
}
