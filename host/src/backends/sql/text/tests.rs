#![allow(clippy::unwrap_used)]

use super::*;

fn one(sql: &str) -> Result<Text> {
    Text::one(Dialect::Postgres, sql)
}

#[test]
fn postgres_has_words_of_its_own_that_no_plugin_may_use() {
    for sql in [
        "SET ROLE postgres",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION postgres",
        "COPY t TO PROGRAM 'sh'",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CALL p()",
        "LISTEN c",
        "PREPARE p AS SELECT 1",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "LOCK TABLE t",
        "GRANT ALL ON t TO PUBLIC",
        "TRUNCATE t",
        "ALTER ROLE CURRENT_USER PASSWORD 'x'",
        "ALTER USER CURRENT_USER SET search_path = x",
        "ALTER SYSTEM SET x = y",
        "ALTER DATABASE d RESET ALL",
        "CREATE ROLE r",
        "CREATE EXTENSION dblink",
        "CREATE OR REPLACE FUNCTION f() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
        "CREATE TEMP TABLE t (a TEXT)",
        "DROP OWNED BY CURRENT_USER",
        "DROP SCHEMA s CASCADE",
        "-- \rALTER ROLE CURRENT_USER PASSWORD 'x'\n",
        "/* /* */ SELECT 1; */ SET ROLE x",
        "SELECT 1; SELECT 2",
        "SELECT $tag$ open",
        "SELECT E'open\\'",
        "SELECT $0",
    ] {
        assert!(matches!(one(sql), Err(Error::Invalid(_))), "{sql}");
    }
}

#[test]
fn postgres_texts_are_cut_as_the_server_cuts_them() {
    for (sql, kind, params, changes) in [
        ("SELECT $1::BIGINT, ARRAY[1, 2], a ->> 'k', a ? 'k', a @> b", Kind::Read, 1, false),
        ("SELECT $$;$1$$, $a$ $$ ; $a$, E'\\';', \"a;b\"", Kind::Read, 0, false),
        ("/* one /* two */ ; */ VALUES ($2)", Kind::Read, 2, false),
        ("-- a\rSELECT 1", Kind::Read, 0, false),
        ("WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d", Kind::Read, 0, true),
        ("WITH a AS (SELECT 1) UPDATE t SET a = 1", Kind::Write, 0, true),
        ("CREATE UNIQUE INDEX i ON t (a)", Kind::Define, 0, false),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", Kind::Define, 0, false),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", Kind::Define, 0, false),
        ("ALTER TABLE t ADD COLUMN a TEXT;", Kind::Define, 0, false),
        ("DROP TYPE IF EXISTS mood", Kind::Define, 0, false),
    ] {
        let text = one(sql).unwrap();
        assert_eq!((text.kind, text.params, text.changes), (kind, params, changes), "{sql}");
    }
    let many =
        Text::many(Dialect::Postgres, "CREATE TABLE a (b TEXT); INSERT INTO a VALUES ($$;$$);");
    assert_eq!(many.unwrap().len(), 2);
}
