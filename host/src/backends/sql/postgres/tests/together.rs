//! Transactions that meet, and hosts that share a database.

use super::*;
use crate::backends::sql::{Migration, Place};

#[tokio::test]
async fn what_a_transaction_has_read_is_true_when_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = [open(directory.path()).await, open(directory.path()).await];
    let databases = [hosts[0].open("p").await.unwrap(), hosts[1].open("p").await.unwrap()];
    databases[0].execute(on("CREATE TABLE n (n INTEGER)")).await.unwrap();
    databases[0].execute(on("INSERT INTO n VALUES (0)")).await.unwrap();
    let add = async |database: &Arc<dyn Database>| {
        let mut transaction = database.begin().await.unwrap();
        let read = transaction.query(on("SELECT n FROM n")).await.unwrap().rows;
        let Value::Integer(n) = read[0][0] else { panic!("{read:?}") };
        let write = with("UPDATE n SET n = $1", [Value::Integer(n + 1)]);
        transaction.execute(write).await.unwrap();
        transaction.commit().await.unwrap();
    };
    let adds = (0..40).map(|number| add(&databases[number % 2]));
    futures_util::future::join_all(adds).await;
    assert_eq!(one(&databases[0], "SELECT n FROM n").await, Ok(Value::Integer(40)));
}

#[tokio::test]
async fn a_statement_that_comes_between_makes_a_conflict() {
    let directory = tempfile::tempdir().unwrap();
    let database = with_table(directory.path()).await;
    database.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.query(on("SELECT a FROM t")).await.unwrap();
    database.execute(on("UPDATE t SET a = 10")).await.unwrap();
    let met = transaction.execute(on("UPDATE t SET a = 2")).await;
    assert_eq!(met, Err(Error::Conflict));
    transaction.rollback().await.unwrap();
    assert_eq!(one(&database, "SELECT a FROM t").await, Ok(Value::Integer(10)));
}

#[tokio::test]
async fn constraints_are_told_with_their_values_and_leave_the_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let database = with_table(directory.path()).await;
    database.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("INSERT INTO t VALUES (2)")).await.unwrap();
    let double = transaction.execute(on("INSERT INTO t VALUES (1)")).await;
    let Err(Error::Constraint(words)) = double else { panic!("{double:?}") };
    assert!(words.contains("t_a_key") && words.contains("(a)=(1)"), "{words}");
    let wrong = transaction.execute(on("INSERT INTO nowhere VALUES (1)")).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    transaction.execute(on("INSERT INTO t VALUES (3)")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(one(&database, "SELECT sum(a) FROM t").await, Ok(Value::Integer(6)));
    let deferred = "CREATE TABLE d (a INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    database.execute(on(deferred)).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("INSERT INTO d VALUES (1), (1)")).await.unwrap();
    let late = transaction.commit().await;
    assert!(matches!(late, Err(Error::Constraint(_))), "{late:?}");
    assert_eq!(one(&database, "SELECT count(*) FROM d").await, Ok(Value::Integer(0)));
}

#[tokio::test]
async fn hosts_that_load_a_plugin_at_the_same_time_migrate_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = [open(directory.path()).await, open(directory.path()).await];
    let step = |name: &str, sql: &str| Migration { name: name.into(), sql: sql.into() };
    let all = [
        step("1", "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)"),
        step("2", "CREATE TYPE mood AS ENUM ('good'); ALTER TABLE t ADD COLUMN m mood"),
    ];
    let load = async |host: &Arc<dyn Databases>| {
        let database = host.open("p").await.unwrap();
        database.migrate(&all).await.unwrap();
        database
    };
    let (one_host, other) = tokio::join!(load(&hosts[0]), load(&hosts[1]));
    assert_eq!(one(&other, "SELECT count(*) FROM t").await, Ok(Value::Integer(1)));
    // The other host has statements that were compiled for the old table.
    let columns = async |database: &Arc<dyn Database>| {
        database.query(on("SELECT * FROM t")).await.map(|rows| rows.columns)
    };
    assert_eq!(columns(&other).await.unwrap(), ["a", "m"]);
    let mut open = other.begin().await.unwrap();
    open.query(on("SELECT * FROM t")).await.unwrap();
    open.commit().await.unwrap();
    one_host
        .migrate(&[all[0].clone(), all[1].clone(), step("3", "ALTER TABLE t DROP COLUMN m")])
        .await
        .unwrap();
    assert_eq!(columns(&other).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_late_member_on_another_host_waits_and_meets_the_offset() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = [open(directory.path()).await, open(directory.path()).await];
    let databases = [hosts[0].open("p").await.unwrap(), hosts[1].open("p").await.unwrap()];
    let place = Place { group: "g", topic: "t", partition: 0 };
    let mut early = databases[0].begin().await.unwrap();
    early.store_offset(place, 0, 5).await.unwrap();
    let late = async {
        let mut late = databases[1].begin().await.unwrap();
        late.store_offset(place, 0, 5).await
    };
    let (committed, late) = tokio::join!(early.commit(), late);
    assert_eq!((committed, late), (Ok(()), Err(Error::Conflict)));
    assert_eq!(databases[1].offset(place).await, Ok(Some(5)));
}

/// More plugins than connections: idle ones of others make room.
#[tokio::test]
async fn plugins_share_the_connections_of_a_host() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = testing::own_database(directory.path()).await;
    (settings.connections, settings.plugin_connections) = (3, 2);
    let all = Postgres::new(Server::open(settings).await.unwrap()).unwrap();
    let mut databases = Vec::new();
    for number in 0..5 {
        databases.push(all.open(&format!("p{number}")).await.unwrap());
    }
    let asks = (0..100).map(|number| one(&databases[number % 5], "SELECT pg_sleep(0.001), 1"));
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer, Ok(Value::Null));
    }
}
