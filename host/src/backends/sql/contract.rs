//! What every implementation must pass: each check is given the databases, or a way to open the
//! same ones again.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::{
    Database, Databases, Error, MAX_STATEMENTS, Migration, MigrationError, Place, Statement, Value,
};

const PLACE: Place<'static> = Place { group: "counters", topic: "hits", partition: 3 };

fn on(sql: &str, params: Vec<Value>) -> Statement {
    Statement::new(sql, params)
}

fn migration(name: &str, sql: &str) -> Migration {
    Migration { name: name.into(), sql: sql.into() }
}

async fn counters(all: &Arc<dyn Databases>) -> Arc<dyn Database> {
    let database = all.open("counters").await.unwrap();
    let table = migration(
        "0001_create.sql",
        "CREATE TABLE hits (path TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n < 1000));",
    );
    database.migrate(&[table]).await.unwrap();
    database
}

fn upsert(path: &str, n: i64) -> Statement {
    let params = vec![Value::Text(path.into()), Value::Integer(n)];
    on("INSERT INTO hits VALUES ($1, $2) ON CONFLICT (path) DO UPDATE SET n = hits.n + $2", params)
}

async fn sum(database: &Arc<dyn Database>) -> i64 {
    let rows = database.query(on("SELECT coalesce(sum(n), 0) FROM hits", vec![])).await.unwrap();
    match rows.rows[0][0] {
        Value::Integer(sum) => sum,
        ref other => panic!("{other:?}"),
    }
}

/// Values of every type come back as they went in.
pub async fn values_come_back(all: Arc<dyn Databases>) {
    let database = all.open("values").await.unwrap();
    let create = "CREATE TABLE v (i BIGINT, r DOUBLE PRECISION, t TEXT, n TEXT)";
    database.execute(on(create, vec![])).await.unwrap();
    let row = vec![
        Value::Integer(i64::MIN),
        Value::Real(-0.5),
        Value::Text("it's ü;--".into()),
        Value::Null,
    ];
    let insert = on("INSERT INTO v VALUES ($1, $2, $3, $4)", row.clone());
    assert_eq!(database.execute(insert).await, Ok(1));
    let rows = database.query(on("SELECT * FROM v", vec![])).await.unwrap();
    assert_eq!(rows.columns, ["i", "r", "t", "n"]);
    assert_eq!(rows.rows, [row]);
    let none =
        database.query(on("SELECT i, t AS name FROM v WHERE i = $1", vec![Value::Integer(1)]));
    let none = none.await.unwrap();
    assert_eq!((none.columns, none.rows.len()), (vec!["i".into(), "name".into()], 0));
}

/// What returned is there after the databases were opened again, in its own database only.
pub async fn commits_last(mut reopen: impl AsyncFnMut() -> Arc<dyn Databases>) {
    let all = reopen().await;
    let database = counters(&all).await;
    assert_eq!(database.execute(upsert("/", 1)).await, Ok(1));
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(upsert("/", 2)).await.unwrap();
    transaction.store_offset(PLACE, 0, 7).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(upsert("/", 100)).await.unwrap();
    drop((transaction, database, all));
    let all = reopen().await;
    let database = counters(&all).await;
    assert_eq!(sum(&database).await, 3);
    assert_eq!(database.offset(PLACE).await, Ok(Some(7)));
    let other = all.open("other").await.unwrap();
    assert!(matches!(other.query(on("SELECT * FROM hits", vec![])).await, Err(Error::Invalid(_))));
}

/// All statements of a batch have an effect, in order, or none has.
pub async fn batches_are_whole(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    let many: Vec<_> = (0..100).map(|n| upsert(&format!("/{}", n % 10), 1)).collect();
    assert_eq!(database.batch(many.clone()).await, Ok(vec![1; 100]));
    assert_eq!(sum(&database).await, 100);
    let mut failing = many.clone();
    failing.push(upsert("/0", 1000));
    assert!(matches!(database.batch(failing.clone()).await, Err(Error::Constraint(_))));
    assert_eq!(sum(&database).await, 100);
    let mixed = vec![
        upsert("/new", 5),
        on("SELECT 1", vec![]),
        on("DELETE FROM hits WHERE n = $1", vec![Value::Integer(10)]),
    ];
    assert_eq!(database.batch(mixed).await, Ok(vec![1, 0, 10]));
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(upsert("/kept", 1)).await.unwrap();
    assert!(transaction.batch(failing).await.is_err());
    assert_eq!(transaction.batch(many).await, Ok(vec![1; 100]));
    transaction.commit().await.unwrap();
    assert_eq!(sum(&database).await, 106);
    let beyond = vec![upsert("/", 1); MAX_STATEMENTS + 1];
    assert_eq!(database.batch(beyond).await, Err(Error::TooLarge));
}

/// A transaction that is dropped or rolled back leaves nothing, and lets the next one in.
pub async fn a_dropped_transaction_leaves_nothing(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    for drops in [true, false] {
        let mut transaction = database.begin().await.unwrap();
        transaction.execute(upsert("/", 1)).await.unwrap();
        let seen = transaction.query(on("SELECT n FROM hits", vec![])).await.unwrap();
        assert_eq!(seen.rows, [[Value::Integer(1)]]);
        if drops {
            drop(transaction);
        } else {
            transaction.rollback().await.unwrap();
        }
        let next = database.begin().await.unwrap();
        assert_eq!(sum(&database).await, 0);
        next.rollback().await.unwrap();
    }
}

/// A savepoint takes back what came behind it and no more.
pub async fn savepoints_take_back(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(upsert("/a", 1)).await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.execute(upsert("/b", 10)).await.unwrap();
    transaction.rollback_to_savepoint().await.unwrap();
    transaction.savepoint().await.unwrap();
    transaction.execute(upsert("/c", 100)).await.unwrap();
    transaction.release().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(sum(&database).await, 101);
}

/// The same records are not counted twice, whoever comes late.
pub async fn offsets_only_go_on(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    assert_eq!(database.offset(PLACE).await, Ok(None));
    for (from, next, stored) in
        [(0, 5, true), (5, 9, true), (0, 5, false), (7, 12, false), (20, 21, true)]
    {
        let mut transaction = database.begin().await.unwrap();
        transaction.execute(upsert("/", 1)).await.unwrap();
        match transaction.store_offset(PLACE, from, next).await {
            Ok(()) => transaction.commit().await.unwrap(),
            Err(error) => {
                assert_eq!((error, stored), (Error::Conflict, false));
                transaction.rollback().await.unwrap();
            }
        }
    }
    assert_eq!(database.offset(PLACE).await, Ok(Some(21)));
    assert_eq!(database.offset(Place { partition: 4, ..PLACE }).await, Ok(None));
    assert_eq!(sum(&database).await, 3);
}

/// An operator may move a group, and it goes on from there.
pub async fn offsets_are_put_anywhere(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    for next in [7, 3, 9] {
        database.put_offset(PLACE, next).await.unwrap();
        assert_eq!(database.offset(PLACE).await, Ok(Some(next)));
    }
    database.put_offset(PLACE, 0).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.store_offset(PLACE, 0, 4).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.offset(PLACE).await, Ok(Some(4)));
    assert_eq!(database.offset(Place { partition: 4, ..PLACE }).await, Ok(None));
}

/// Texts that would do more than their call says are refused and have no effect.
pub async fn texts_stay_in_their_call(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    let refused = [
        "",
        "INSERT INTO hits VALUES ('/', 1); DELETE FROM hits",
        "BEGIN",
        "/* x */ COMMIT",
        "END",
        "rollback",
        "SAVEPOINT s",
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT $1",
    ];
    for sql in refused {
        let outcome = database.execute(on(sql, vec![])).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{sql}: {outcome:?}");
    }
    let few = database.execute(on("SELECT $1", vec![Value::Null, Value::Null])).await;
    assert!(matches!(few, Err(Error::Invalid(_))));
    assert_eq!(sum(&database).await, 0);
    assert_eq!(database.execute(upsert("/", 1)).await, Ok(1));
}

/// An answer beyond the limits is cut off, and the database goes on.
pub async fn answers_are_limited(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    assert_eq!(database.query(on(endless, vec![])).await, Err(Error::TooLarge));
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(upsert("/", 1)).await.unwrap();
    assert_eq!(transaction.query(on(endless, vec![])).await, Err(Error::TooLarge));
    transaction.commit().await.unwrap();
    assert_eq!(sum(&database).await, 1);
}

/// Migrations are applied once, in order, all or none.
pub async fn migrations_are_whole(all: Arc<dyn Databases>) {
    let database = counters(&all).await;
    let first = migration(
        "0001_create.sql",
        "CREATE TABLE hits (path TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n < 1000));",
    );
    database.execute(upsert("/", 1)).await.unwrap();
    // A reader has compiled a statement for the old columns.
    database.query(on("SELECT * FROM hits", vec![])).await.unwrap();
    let second = migration("0002_more.sql", "ALTER TABLE hits ADD COLUMN more TEXT; -- and so on");
    let broken =
        migration("0003_broken.sql", "CREATE TABLE fine (a TEXT); INSERT INTO nowhere VALUES (1)");
    let failed = database.migrate(&[first.clone(), second.clone(), broken]).await.unwrap_err();
    let MigrationError::Failed { name, reason } = &failed else { panic!("{failed:?}") };
    assert_eq!(name, "0003_broken.sql");
    assert!(reason.contains("nowhere"), "{reason}");
    let before = database.query(on("SELECT * FROM hits", vec![])).await.unwrap();
    assert_eq!(before.columns, ["path", "n"]);
    database.migrate(&[first.clone(), second.clone()]).await.unwrap();
    let after = database.query(on("SELECT * FROM hits", vec![])).await.unwrap();
    assert_eq!(after.columns, ["path", "n", "more"]);
    database.migrate(&[first.clone(), second.clone()]).await.unwrap();
    // An earlier generation comes back.
    database.migrate(std::slice::from_ref(&first)).await.unwrap();
    let changed = migration("0002_more.sql", "ALTER TABLE hits ADD COLUMN other TEXT");
    let refused = database.migrate(&[first.clone(), changed]).await;
    assert_eq!(refused, Err(MigrationError::Changed("0002_more.sql".into())));
    let late = migration("0001b.sql", "CREATE TABLE late (a TEXT)");
    let refused = database.migrate(&[first.clone(), late, second]).await.unwrap_err();
    assert!(matches!(refused, MigrationError::OutOfOrder { .. }));
    let double = database.migrate(&[first.clone(), first]).await;
    assert_eq!(double, Err(MigrationError::Double("0001_create.sql".into())));
}

/// Make the tests of an implementation: `$open` opens the databases in a directory.
macro_rules! contract {
    ($open:expr) => {
        mod contract {
            use crate::backends::sql::contract;

            #[tokio::test]
            async fn commits_last() {
                let directory = tempfile::tempdir().expect("a directory");
                contract::commits_last(async || $open(directory.path()).await).await;
            }

            macro_rules! one {
                ($name:ident) => {
                    #[tokio::test]
                    async fn $name() {
                        let directory = tempfile::tempdir().expect("a directory");
                        contract::$name($open(directory.path()).await).await;
                    }
                };
            }
            one!(values_come_back);
            one!(batches_are_whole);
            one!(a_dropped_transaction_leaves_nothing);
            one!(savepoints_take_back);
            one!(offsets_only_go_on);
            one!(offsets_are_put_anywhere);
            one!(texts_stay_in_their_call);
            one!(answers_are_limited);
            one!(migrations_are_whole);
        }
    };
}
pub(super) use contract;
