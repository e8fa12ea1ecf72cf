//! A server that is killed, and statements that nobody waits for.

use std::time::Duration;

use super::*;

async fn start(directory: &Path) -> testing::Postgres {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || testing::Postgres::start(Some(&directory))).await.unwrap()
}

/// Ask until the database is there again.
async fn until_there(database: &Arc<dyn Database>) {
    loop {
        match database.query(on("SELECT 1")).await {
            Err(Error::Unavailable(_)) => tokio::task::yield_now().await,
            other => break drop(other.unwrap()),
        }
    }
}

#[tokio::test]
async fn a_killed_server_is_unavailable_and_nothing_half_done_is_there_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let postgres = start(directory.path()).await;
    let settings = testing::settings(&postgres, directory.path());
    let server = Server::open(settings).await.unwrap();
    let database = Postgres::new(server).unwrap().open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a INTEGER)")).await.unwrap();
    database.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    let mut open = database.begin().await.unwrap();
    open.execute(on("INSERT INTO t VALUES (2)")).await.unwrap();
    postgres.kill();
    let lost = open.execute(on("INSERT INTO t VALUES (3)")).await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
    assert_eq!(open.commit().await, Err(Error::Finished));
    let away = database.query(on("SELECT 1")).await;
    assert!(matches!(away, Err(Error::Unavailable(_))), "{away:?}");
    let _postgres = start(directory.path()).await;
    until_there(&database).await;
    assert_eq!(one(&database, "SELECT sum(a) FROM t").await, Ok(Value::Integer(1)));
    let transaction = database.begin().await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_statement_nobody_waits_for_is_ended_in_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let database = with_table(directory.path()).await;
    let sleep = database.query(on("SELECT pg_sleep(600)"));
    assert!(tokio::time::timeout(Duration::from_millis(100), sleep).await.is_err());
    let endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT 1 FROM c) ";
    let write = database.execute(on(&format!("{endless} INSERT INTO t SELECT max(x) FROM c")));
    assert!(tokio::time::timeout(Duration::from_millis(100), write).await.is_err());
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("INSERT INTO t VALUES (7)")).await.unwrap();
    let sleep = transaction.query(on("SELECT pg_sleep(600)"));
    assert!(tokio::time::timeout(Duration::from_millis(100), sleep).await.is_err());
    assert_eq!(transaction.commit().await, Err(Error::Finished));
    // Its turn is the next one's, and nothing of it is there.
    let next = database.begin().await.unwrap();
    next.commit().await.unwrap();
    assert_eq!(one(&database, "SELECT count(*) FROM t").await, Ok(Value::Integer(0)));
    loop {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                       AND usename = current_user AND pid <> pg_backend_pid()";
        if one(&database, running).await == Ok(Value::Integer(0)) {
            break;
        }
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = testing::own_database(directory.path()).await;
    settings.statement_timeout = crate::quantity::Millis(200);
    let server = Server::open(settings).await.unwrap();
    let database = Postgres::new(server).unwrap().open("p").await.unwrap();
    let cut_off = Err(Error::CutOff);
    assert_eq!(one(&database, "SELECT pg_sleep(600)").await, cut_off);
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("CREATE TABLE t (a TEXT)")).await.unwrap();
    let slept = transaction.query(on("SELECT pg_sleep(600)")).await;
    assert_eq!(slept.map(drop), cut_off.map(drop));
    // The rest of the transaction is as it was.
    transaction.commit().await.unwrap();
    assert_eq!(one(&database, "SELECT count(*) FROM t").await, Ok(Value::Integer(0)));
}

#[tokio::test]
async fn a_server_that_follows_answers_queries_that_may_be_late() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    for directory in [directory.path(), &first] {
        std::fs::create_dir_all(directory).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory, open).unwrap();
    }
    let postgres = start(&first).await;
    let replica = {
        let (first, second) = (first.clone(), second.clone());
        let follow = move || testing::Postgres::follow(&second, &first);
        tokio::task::spawn_blocking(follow).await.unwrap()
    };
    let mut settings = testing::settings(&postgres, directory.path());
    settings.replica = Some(format!("{}:{}", replica.host(), replica.port()));
    let server = Server::open(settings).await.unwrap();
    let database = Postgres::new(server).unwrap().open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a INTEGER)")).await.unwrap();
    database.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    let late = async |sql: &str| {
        let rows = database.query_behind(on(sql)).await;
        rows.map(|rows| rows.rows.into_iter().flatten().next())
    };
    let there = Ok(Some(Value::Integer(1)));
    // At first the role and its table may not have come there yet.
    while late("SELECT pg_is_in_recovery()").await != Ok(Some(Value::Boolean(true))) {}
    while late("SELECT a FROM t").await != there {}
    // What writes goes where one can.
    assert_eq!(
        late("WITH i AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM i").await,
        there
    );
    let locks = "SELECT pg_is_in_recovery() FROM t FOR UPDATE";
    assert_eq!(late(locks).await, Ok(Some(Value::Boolean(false))));
    replica.kill();
    let first = late("SELECT pg_is_in_recovery()").await;
    assert_eq!(first, Ok(Some(Value::Boolean(false))));
    // Who did not say so never sees the past.
    assert_eq!(one(&database, "SELECT pg_is_in_recovery()").await, Ok(Value::Boolean(false)));
}
