#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::Sqlite;
use crate::{
    backends::sql::{
        Databases, Dialect, Error, Migration, Result, Settings, Statement, Value,
        text::{Kind, Text},
    },
    quantity::Bytes,
};

async fn open(directory: &Path) -> Arc<dyn Databases> {
    Arc::new(Sqlite::open(Settings::default(), directory).unwrap())
}

super::super::contract::contract!(super::open);

fn on(sql: &str) -> Statement {
    Statement::new(sql, Vec::new())
}

fn one(sql: &str) -> Result<Text> {
    Text::one(Dialect::Sqlite, sql)
}

fn many(sql: &str) -> Result<Vec<Text>> {
    Text::many(Dialect::Sqlite, sql)
}

#[test]
fn a_text_that_could_leave_the_database_is_refused() {
    for sql in [
        "ATTACH 'other.sqlite' AS other",
        "  -- a comment\n\tattach 'x' as y",
        "/* SELECT 1; */ PRAGMA journal_mode = delete",
        "EXPLAIN PRAGMA temp_store_directory = '/tmp'",
        "EXPLAIN QUERY PLAN EXPLAIN SELECT 1",
        "VACUUM INTO '/tmp/copy'",
        "DETACH other",
        ";ATTACH 'x' AS y",
        "\u{feff}ATTACH 'x' AS y",
        "SELECT 1\0; ATTACH 'x' AS y",
        "SELECT $a(';') ; ATTACH 'x' AS y --'",
        "SELECT :name",
        "SELECT ?",
        "SELECT $0",
        "SELECT 'open",
        "SELECT 1 /* open",
        "SELECT fts3_tokenizer($1)",
        "SELECT \"FTS3_tokenizer\"($1, $2)",
    ] {
        assert!(matches!(many(sql), Err(Error::Invalid(_))), "{sql}");
    }
}

#[test]
fn a_statement_is_known_by_its_words() {
    for (sql, kind) in [
        ("select ';' ; -- the end", Kind::Read),
        ("VALUES (1)", Kind::Read),
        ("WITH a AS (DELETE) SELECT 1", Kind::Read),
        ("WITH a(x) AS (SELECT 1) INSERT INTO t SELECT x FROM a", Kind::Write),
        ("EXPLAIN QUERY PLAN DELETE FROM t", Kind::Read),
        ("REPLACE INTO t VALUES ($1)", Kind::Write),
        ("CREATE TABLE t (a TEXT DEFAULT 'it''s;')", Kind::Define),
    ] {
        assert_eq!(one(sql).unwrap().kind, kind, "{sql}");
    }
}

#[test]
fn a_trigger_is_one_statement_and_nothing_hides_behind_it() {
    let body = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; \
                DELETE FROM b; END";
    assert_eq!(one(body).unwrap().kind, Kind::Define);
    for tail in ["; ATTACH 'x' AS y", "; END", "; ATTACH 'x' AS y; END"] {
        assert!(many(&format!("{body}{tail}")).is_err(), "{tail}");
    }
    assert!(one("CREATE TRIGGER t AFTER INSERT ON a BEGIN ATTACH 'x' AS y; END").is_ok());
    assert!(
        one("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; ATTACH 'x' AS y; END").is_err()
    );
}

#[test]
fn a_repeated_statement_has_parameters_of_its_own() {
    let text = one("INSERT INTO t VALUES ($2, '$1', $1, $2)").unwrap();
    let repeated = text.repeated(2);
    assert!(repeated.starts_with("INSERT INTO t VALUES ($2, '$1', $1, $2)\n;"));
    assert!(repeated.ends_with("INSERT INTO t VALUES ($8, '$1', $7, $8)\n;"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is let through, SQLite itself attaches nothing and stays outside of transactions.
    #[test]
    fn no_text_attaches_a_database(parts in prop::collection::vec(
        prop::sample::select(vec![
            "SELECT 1", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1", "END", "BEGIN",
            "ATTACH 'file:x?mode=memory' AS y", "PRAGMA temp_store = 2", ";", "'", "\"", "`", "[",
            "]", "--", "\n", "/*", "*/", " ", "$1", "$a(", ")", "x'", "''", "EXPLAIN", "WITH a AS (",
            "\u{feff}", "\u{a0}", "CASE", "\\", "-", "/", "END\u{feff}", "INSERT INTO t VALUES (1)",
        ]), 1..12))
    {
        let sql = parts.concat();
        if let Ok(texts) = many(&sql) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (attached, inside) = runtime.block_on(attached(&sql, texts));
            prop_assert_eq!((attached, inside), (1, false), "{}", sql);
        }
    }
}

/// Run a text as a whole, as SQLite would cut it, and then as it was cut here; how many databases
/// the connection has then, and whether a transaction is open.
async fn attached(sql: &str, texts: Vec<Text>) -> (usize, bool) {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
    connection.execute("CREATE TABLE t (a)").await.unwrap();
    let _ = connection.execute(AssertSqlSafe(sql.to_owned())).await;
    for text in texts {
        let _ = connection.execute(AssertSqlSafe(text.sql)).await;
    }
    let rows = connection.fetch_all("SELECT * FROM pragma_database_list WHERE name <> 'temp'");
    let attached = rows.await.unwrap().len();
    (attached, connection.execute("BEGIN").await.is_err())
}

#[tokio::test]
async fn a_conflict_that_rolls_back_ends_the_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await.open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a INTEGER PRIMARY KEY)")).await.unwrap();
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    let failed = transaction.execute(on("INSERT OR ROLLBACK INTO t VALUES (1)")).await;
    assert!(matches!(failed, Err(Error::Constraint(_))));
    let after = transaction.execute(on("INSERT INTO t VALUES (2)")).await;
    assert_eq!(after, Err(Error::Finished));
    assert_eq!(transaction.commit().await, Err(Error::Finished));
    let rows = database.query(on("SELECT * FROM t")).await.unwrap();
    assert!(rows.rows.is_empty());
}

#[tokio::test]
async fn a_statement_nobody_waits_for_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await.open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a)")).await.unwrap();
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) ";
    let read = database.query(on(&format!("{endless} SELECT count(*) FROM c")));
    assert!(tokio::time::timeout(Duration::from_millis(20), read).await.is_err());
    let write = database.execute(on(&format!("{endless} INSERT INTO t SELECT max(x) FROM c")));
    assert!(tokio::time::timeout(Duration::from_millis(20), write).await.is_err());
    // The writer is free again, so the statement has ended.
    assert_eq!(database.execute(on("INSERT INTO t VALUES (1)")).await, Ok(1));
    let rows = database.query(on("SELECT a FROM t")).await.unwrap();
    assert_eq!(rows.rows, [[Value::Integer(1)]]);
}

/// The threads of a database that are there now.
fn threads(plugin: &str) -> usize {
    let name = format!("sql-{plugin}");
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.starts_with(&name)).count()
}

#[tokio::test]
async fn statements_that_cannot_be_cut_off_take_no_more_threads_than_others() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { readers: 2, ..Settings::default() };
    let all = Sqlite::open(settings, directory.path()).unwrap();
    let database = all.open("runaway").await.unwrap();
    // One long step: SQLite compares half of a text at each place of its other half.
    let runaway = "SELECT instr(printf('%.*c', 400000, 'a'), printf('%.*c', 200000, 'a') || 'b')";
    for _ in 0..20 {
        let read = database.query(on(runaway));
        assert!(tokio::time::timeout(Duration::from_millis(10), read).await.is_err());
    }
    let taken = threads("runaway");
    assert!((1..=6).contains(&taken), "{taken} threads");
    // When one has come to its end, the next query has its place.
    let rows = loop {
        match database.query(on("SELECT 1")).await {
            Err(Error::Unavailable(_)) => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(rows.rows, [[Value::Integer(1)]]);
}

#[tokio::test]
async fn a_migration_may_rebuild_a_table_that_others_point_to() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await.open("p").await.unwrap();
    let step = |name: &str, sql: &str| Migration { name: name.into(), sql: sql.into() };
    let first = step(
        "1",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER REFERENCES parent (id) ON DELETE CASCADE);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);",
    );
    let second = step(
        "2",
        "CREATE TABLE rebuilt (id INTEGER PRIMARY KEY, name TEXT);
         INSERT INTO rebuilt SELECT id, 'x' FROM parent;
         DROP TABLE parent; ALTER TABLE rebuilt RENAME TO parent;",
    );
    database.migrate(&[first.clone(), second.clone()]).await.unwrap();
    let rows = database.query(on("SELECT id FROM child")).await.unwrap();
    assert_eq!(rows.rows, [[Value::Integer(1)]]);
    let orphan = step("3", "DELETE FROM parent");
    let failed = database.migrate(&[first, second, orphan]).await.unwrap_err().to_string();
    assert_eq!(failed, "migration `3` failed: FOREIGN KEY constraint failed in table `child`");
}

#[tokio::test]
async fn a_full_database_says_so_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { max_bytes: Bytes(64 * 4096), ..Settings::default() };
    let all = Sqlite::open(settings, directory.path()).unwrap();
    let database = all.open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a BLOB)")).await.unwrap();
    database.execute(on("INSERT INTO t VALUES (randomblob(1000))")).await.unwrap();
    let full = database.execute(on("INSERT INTO t VALUES (randomblob(1000000))")).await;
    assert_eq!(full, Err(Error::Unavailable("the database is full".into())));
    let rows = database.query(on("SELECT count(*) FROM t")).await.unwrap();
    assert_eq!(rows.rows, [[Value::Integer(1)]]);
}

#[tokio::test]
async fn a_name_cannot_lead_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let all = open(directory.path()).await;
    for name in ["", "../up", "a/b", "a.b"] {
        assert!(matches!(all.open(name).await, Err(Error::Invalid(_))), "{name}");
    }
}
