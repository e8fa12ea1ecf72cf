//! Every type of column, as a parameter and as a value.

use super::*;

#[tokio::test]
async fn columns_of_every_type_take_values_and_give_them_back() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(directory.path()).await.open("p").await.unwrap();
    database.execute(on("CREATE TYPE mood AS ENUM ('good', 'bad')")).await.unwrap();
    database.execute(on("CREATE DOMAIN small AS INTEGER CHECK (VALUE < 10)")).await.unwrap();
    let text = |text: &str| Value::Text(text.into());
    for (kind, given, kept) in [
        ("SMALLINT", Value::Integer(-3), Value::Integer(-3)),
        ("INTEGER", Value::Integer(70_000), Value::Integer(70_000)),
        ("BIGINT", Value::Integer(i64::MAX), Value::Integer(i64::MAX)),
        ("BOOLEAN", Value::Boolean(true), Value::Boolean(true)),
        ("BOOLEAN", Value::Integer(0), Value::Boolean(false)),
        ("REAL", Value::Real(0.5), Value::Real(0.5)),
        ("DOUBLE PRECISION", Value::Real(1e300), Value::Real(1e300)),
        ("TEXT", text("ü'\\\"$1"), text("ü'\\\"$1")),
        ("VARCHAR(10)", text("x"), text("x")),
        ("BYTEA", Value::Blob(vec![0, 255]), Value::Blob(vec![0, 255])),
        ("NUMERIC", text("-12345678901234567890.0012300"), text("-12345678901234567890.0012300")),
        ("NUMERIC(10, 2)", Value::Integer(7), text("7.00")),
        (
            "UUID",
            text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("JSON", text("{\"a\": 1}"), text("{\"a\": 1}")),
        ("JSONB", text("{\"a\":1}"), text("{\"a\": 1}")),
        ("DATE", text("2024-02-29"), text("2024-02-29")),
        ("DATE", text("0044-03-15 BC"), text("0044-03-15 BC")),
        ("TIME", text("12:34:56.5"), text("12:34:56.5")),
        ("TIMETZ", text("12:34:56+05:30"), text("12:34:56+05:30")),
        ("TIMESTAMP", text("2024-02-29T12:00:00"), text("2024-02-29T12:00:00")),
        ("TIMESTAMPTZ", text("2024-02-29 12:00:00+02"), text("2024-02-29T10:00:00Z")),
        ("TIMESTAMPTZ", text("infinity"), text("infinity")),
        ("INTERVAL", text("1 year 2 days 03:04:05.6"), text("P1Y2DT3H4M5.6S")),
        ("mood", text("bad"), text("bad")),
        ("small", Value::Integer(9), Value::Integer(9)),
    ] {
        let create = format!("CREATE TABLE v (v {kind})");
        database.execute(on(&create)).await.unwrap();
        let insert = with("INSERT INTO v VALUES ($1)", [given.clone()]);
        assert_eq!(database.execute(insert).await, Ok(1), "{kind}");
        assert_eq!(one(&database, "SELECT v FROM v").await, Ok(kept.clone()), "{kind}");
        // What was read can be written back.
        let write = with("UPDATE v SET v = $1", [kept.clone()]);
        assert_eq!(database.execute(write).await, Ok(1), "{kind}");
        assert_eq!(one(&database, "SELECT v FROM v").await, Ok(kept), "{kind}");
        database.execute(with("INSERT INTO v VALUES ($1)", [Value::Null])).await.unwrap();
        database.execute(on("DROP TABLE v")).await.unwrap();
    }
}

#[tokio::test]
async fn what_does_not_fit_is_invalid_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let database = with_table(directory.path()).await;
    let insert = |value| database.execute(with("INSERT INTO t VALUES ($1)", [value]));
    let words = async |value| match insert(value).await {
        Err(Error::Invalid(words)) => words,
        other => panic!("{other:?}"),
    };
    let large = words(Value::Integer(3_000_000_000)).await;
    assert_eq!(large, "`$1` is INTEGER, and `3000000000` is none");
    assert_eq!(words(Value::Text("x".into())).await, "`$1` is INTEGER, and this text is none");
    let array = database.query(on("SELECT ARRAY[1] AS list")).await;
    let Err(Error::Invalid(words)) = array else { panic!("{array:?}") };
    assert!(words.contains("`list`") && words.contains("CAST(list AS TEXT)"), "{words}");
    assert_eq!(
        one(&database, "SELECT CAST(ARRAY[1] AS TEXT)").await,
        Ok(Value::Text("{1}".into()))
    );
    let mut transaction = database.begin().await.unwrap();
    transaction.execute(on("INSERT INTO t VALUES (1)")).await.unwrap();
    assert!(transaction.query(on("SELECT ARRAY[1]")).await.is_err());
    transaction.commit().await.unwrap();
    assert_eq!(one(&database, "SELECT count(*) FROM t").await, Ok(Value::Integer(1)));
}
