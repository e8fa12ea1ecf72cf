//! The same plugins with their databases and stores in a real PostgreSQL.

use std::{fs, path::Path};

use servers::Postgres;

use crate::support::{Host, component};

async fn start(dir: &Path) -> Postgres {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Postgres::start(Some(&dir))).await.unwrap()
}

fn settings(postgres: &Postgres, dir: &Path) -> String {
    let password = dir.join("password-of-the-host");
    fs::write(&password, postgres.password()).unwrap();
    format!(
        "[grants]\ndefault = \"needs\"\n[sql]\nbackend = \"postgres\"\n\
         [keyvalue]\nbackend = \"postgres\"\n\
         [postgres]\nhost = \"localhost\"\nport = {}\ntls = true\nca = \"{}\"\n\
         password = {{ file = \"{}\" }}\n",
        postgres.port(),
        postgres.ca().display(),
        password.display()
    )
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_when_server_and_host_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = start(dir.path()).await;
    let settings = settings(&postgres, dir.path());
    let mut host =
        Host::start_with(&["tracker", "enricher", "counters", "ledger"], &settings).await;
    for _ in 0..20 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    assert_eq!(host.get("/ledger/put/kept").await.text(), "put");
    assert_eq!(host.get("/ledger/add/first").await.text(), "added");
    assert_eq!(host.until_all_counted().await, 20);

    postgres.kill();
    // Events still go into the log; what needs the database says so and shows nobody where it is.
    for _ in 0..30 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    for path in ["/ledger/add/lost", "/ledger/get"] {
        let refused = host.get(path).await;
        assert_eq!(refused.status, 409, "{path}: {}", refused.text());
        assert!(!refused.text().contains("localhost"), "{}", refused.text());
    }
    let postgres = start(dir.path()).await;
    host.until("/ledger/get", |answer| answer.text() == "kept").await;
    host.until("/consumers/stats/data", |answer| answer.status == 200).await;
    assert_eq!(host.until_all_counted().await, 50);

    for _ in 0..50 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    // In the middle of batches, most likely.
    postgres.kill();
    host.kill();
    let _postgres = start(dir.path()).await;
    host.run().await;
    assert_eq!(host.until_all_counted().await, 100);
    host.until("/ledger/entries", |answer| answer.text() == "first").await;
    assert_eq!(host.stop().await, Some(0));
    assert!(!host.log().contains("only-for-tests"), "the password is in the log");
}

#[tokio::test]
async fn a_trap_or_a_hang_rolls_back_and_plugins_see_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = start(dir.path()).await;
    let host = Host::start_with(&["ledger"], &settings(&postgres, dir.path())).await;
    assert_eq!(host.get("/ledger/add/a").await.text(), "added");
    for (deed, status) in [("trap", 500), ("hang", 504)] {
        assert_eq!(host.get(&format!("/ledger/{deed}/lost")).await.status, status);
        // The turn is the next one's again.
        assert_eq!(host.get(&format!("/ledger/add/{deed}")).await.text(), "added");
    }
    assert_eq!(host.get("/ledger/entries").await.text(), "a hang trap");
    let manifest = "name = \"other\"\n[needs.keyvalue]\nstores = [\"default\"]\n[needs.sql]\n\
                    migrations = [{ name = \"1\", sql = \"CREATE TABLE entries (text TEXT)\" }]\n";
    host.install("other.toml", manifest);
    host.install("other.wasm", fs::read(component("ledger")).unwrap());
    host.until("/other/entries", |answer| answer.status == 200).await;
    assert_eq!(host.get("/ledger/put/mine").await.text(), "put");
    assert_eq!(host.get("/other/get").await.text(), "nothing");
    assert_eq!(host.get("/other/entries").await.text(), "");
}

#[tokio::test]
async fn a_host_that_starts_before_its_server_waits_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = start(dir.path()).await;
    let mut host = Host::start_with(&["ledger"], &settings(&postgres, dir.path())).await;
    assert_eq!(host.get("/ledger/add/a").await.text(), "added");
    host.kill();
    postgres.kill();
    let log = host.data().parent().unwrap().join("host.log");
    let server = async {
        while !fs::read_to_string(&log).unwrap().contains("PostgreSQL is not there yet") {
            tokio::task::yield_now().await;
        }
        start(dir.path()).await
    };
    let (_postgres, ()) = tokio::join!(server, host.run());
    assert_eq!(host.get("/ledger/entries").await.text(), "a");
}
