#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use tempfile::TempDir;

use super::{Instance, Migration, Open, Prepared, Sql, Statement};
use crate::{
    backends::sql::{Databases, Error, Settings, Value, sqlite::Sqlite},
    capabilities::Capability,
};

const AT: (&str, &str, u32) = ("counters", "hits", 0);

async fn prepared() -> (TempDir, Arc<Prepared>) {
    let directory = tempfile::tempdir().unwrap();
    let all = Sqlite::open(Settings::default(), directory.path()).unwrap();
    let database = all.open("counters").await.unwrap();
    let create = Migration { name: "1".into(), sql: "CREATE TABLE t (a INTEGER UNIQUE)".into() };
    database.migrate(&[create]).await.unwrap();
    (directory, Arc::new(Prepared { database, stale_reads: false }))
}

fn insert(value: i64) -> Statement {
    Statement::new("INSERT INTO t VALUES ($1)", vec![Value::Integer(value)])
}

async fn count(prepared: &Arc<Prepared>) -> i64 {
    let rows = prepared.database.query(Statement::new("SELECT count(*) FROM t", vec![])).await;
    match rows.unwrap().rows[0][0] {
        Value::Integer(count) => count,
        ref other => panic!("{other:?}"),
    }
}

async fn commit(instance: &mut Instance, from: u64, next: u64) -> Result<(), Error> {
    instance.commit_batch(AT.0, AT.1, AT.2, from, next).await
}

#[tokio::test]
async fn a_batch_commits_with_its_offset_or_leaves_nothing() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    instance.begin_batch();
    instance.execute(insert(1)).await.unwrap();
    instance.batch(vec![insert(2), insert(3)]).await.unwrap();
    Sql::end_call(&mut instance);
    assert_eq!(count(&prepared).await, 0);
    commit(&mut instance, 0, 10).await.unwrap();
    assert_eq!(count(&prepared).await, 3);
    assert_eq!(instance.offset(AT.0, AT.1, AT.2).await, Ok(Some(10)));
    instance.begin_batch();
    instance.execute(insert(4)).await.unwrap();
    instance.rollback_batch().await.unwrap();
    instance.begin_batch();
    instance.execute(insert(5)).await.unwrap();
    assert_eq!(commit(&mut instance, 9, 12).await, Err(Error::Conflict));
    assert_eq!(count(&prepared).await, 3);
}

#[tokio::test]
async fn a_batch_that_does_not_use_the_database_stores_its_offset() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    instance.begin_batch();
    assert!(matches!(instance.open, Open::Batch));
    commit(&mut instance, 0, 1).await.unwrap();
    assert_eq!(instance.offset(AT.0, AT.1, AT.2).await, Ok(Some(1)));
}

#[tokio::test]
async fn a_transaction_in_a_batch_is_a_savepoint() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    instance.begin_batch();
    instance.execute(insert(1)).await.unwrap();
    for (value, commits) in [(2, true), (3, false)] {
        let number = instance.begin().await.unwrap();
        instance.transaction(number).unwrap().execute(insert(value)).await.unwrap();
        instance.end(number, commits).await.unwrap();
        assert_eq!(instance.end(number, true).await, Err(Error::Finished));
    }
    let left_open = instance.begin().await.unwrap();
    instance.transaction(left_open).unwrap().execute(insert(4)).await.unwrap();
    Sql::end_call(&mut instance);
    commit(&mut instance, 0, 1).await.unwrap();
    assert_eq!(count(&prepared).await, 2);
    assert!(instance.transaction(left_open).is_err());
}

#[tokio::test]
async fn the_end_of_a_call_rolls_back_what_the_guest_left_open() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    let number = instance.begin().await.unwrap();
    instance.transaction(number).unwrap().execute(insert(1)).await.unwrap();
    Sql::end_call(&mut instance);
    assert_eq!(instance.end(number, true).await, Err(Error::Finished));
    instance.execute(insert(2)).await.unwrap();
    assert_eq!(count(&prepared).await, 1);
}

#[tokio::test]
async fn a_dropped_instance_frees_the_database() {
    let (_directory, prepared) = prepared().await;
    let mut trapped = Sql::instance(&prepared);
    let number = trapped.begin().await.unwrap();
    trapped.transaction(number).unwrap().execute(insert(1)).await.unwrap();
    drop(trapped);
    let mut next = Sql::instance(&prepared);
    next.execute(insert(2)).await.unwrap();
    assert_eq!(count(&prepared).await, 1);
}

#[tokio::test]
async fn what_would_wait_for_itself_is_refused() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    let number = instance.begin().await.unwrap();
    assert!(matches!(instance.begin().await, Err(Error::Invalid(_))));
    assert!(matches!(instance.execute(insert(1)).await, Err(Error::Invalid(_))));
    instance.end(number, true).await.unwrap();
    assert_eq!(instance.execute(insert(1)).await, Ok(1));
}

#[tokio::test]
async fn a_batch_whose_transaction_was_lost_cannot_commit() {
    let (_directory, prepared) = prepared().await;
    let mut instance = Sql::instance(&prepared);
    instance.execute(insert(1)).await.unwrap();
    instance.begin_batch();
    instance.execute(insert(2)).await.unwrap();
    let rolls_back = Statement::new("INSERT OR ROLLBACK INTO t VALUES (1)", vec![]);
    assert!(matches!(instance.execute(rolls_back).await, Err(Error::Constraint(_))));
    assert_eq!(instance.execute(insert(3)).await, Err(Error::Finished));
    assert_eq!(commit(&mut instance, 0, 1).await, Err(Error::Finished));
    assert_eq!(count(&prepared).await, 1);
    assert_eq!(instance.offset(AT.0, AT.1, AT.2).await, Ok(None));
}
