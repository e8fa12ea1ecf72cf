//! A plugin that tries to get out.

use sqlx::{Executor, Row};

use super::*;

#[tokio::test]
async fn no_statement_leads_out_of_the_role_and_its_schema() {
    let directory = tempfile::tempdir().unwrap();
    let all = open(directory.path()).await;
    let victim = all.open("victim").await.unwrap();
    victim.execute(on("CREATE TABLE secrets (a TEXT)")).await.unwrap();
    let thief = all.open("thief").await.unwrap();
    let host = testing::own_database(directory.path()).await.user;
    let refused = [
        "SELECT * FROM plugin_victim.secrets".to_owned(),
        "INSERT INTO plugin_victim.secrets VALUES ('x')".into(),
        "CREATE TABLE plugin_victim.mine (a TEXT)".into(),
        "CREATE TABLE public.mine (a TEXT)".into(),
        "ALTER TABLE plugin_victim.secrets ADD COLUMN b TEXT".into(),
        "DROP TABLE plugin_victim.secrets".into(),
        "SELECT * FROM trellis.installation".into(),
        "SELECT * FROM trellis.plugins".into(),
        "SELECT * FROM pg_authid".into(),
        "SELECT * FROM pg_shadow".into(),
        "SELECT * FROM pg_hba_file_rules".into(),
        "SELECT current_setting('data_directory')".into(),
        "SELECT pg_read_file('postgresql.conf')".into(),
        "SELECT pg_read_binary_file('PG_VERSION')".into(),
        "SELECT pg_ls_dir('.')".into(),
        "SELECT lo_import('/etc/passwd')".into(),
        "SELECT lo_export(1, '/tmp/x')".into(),
        "SELECT pg_reload_conf()".into(),
        "SELECT pg_switch_wal()".into(),
        "SELECT dblink('dbname=postgres', 'SELECT 1')".into(),
        "SELECT set_config('session_authorization', 'postgres', false)".into(),
        "SELECT set_config('session_replication_role', 'replica', false)".into(),
        "SELECT set_config('log_statement', 'none', false)".into(),
        format!("SELECT set_config('role', '{host}', false)"),
        "SELECT query_to_xml('ALTER ROLE CURRENT_USER PASSWORD ''x''', true, true, '')".into(),
        "SELECT query_to_xml('SELECT * FROM plugin_victim.secrets', true, true, '')".into(),
        "SELECT query_to_xml('COPY (SELECT 1) TO PROGRAM ''sh''', true, true, '')".into(),
        "COPY (SELECT 1) TO PROGRAM 'sh'".into(),
        "SET ROLE postgres".into(),
        "DROP TABLE _trellis_offsets".into(),
        "DROP SCHEMA plugin_thief CASCADE".into(),
        "ALTER TABLE _trellis_turn OWNER TO CURRENT_USER".into(),
        "SELECT 1; SET ROLE postgres".into(),
    ];
    for sql in refused {
        let outcome = thief.query(on(&sql)).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{sql}: {outcome:?}");
    }
    let ended = one(
        &thief,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE usename LIKE '%victim' AND pid IS NOT NULL",
    );
    let ended = ended.await;
    assert!(matches!(ended, Err(Error::Invalid(_)) | Ok(Value::Integer(0))), "{ended:?}");
    assert_eq!(one(&victim, "SELECT count(*) FROM secrets").await, Ok(Value::Integer(0)));
    // What others run is not to be seen either.
    let seen = "SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user \
                AND query NOT LIKE '<insufficient%'";
    assert_eq!(one(&thief, seen).await, Ok(Value::Integer(0)));
    let me = one(&thief, "SELECT session_user = current_user AND current_user LIKE '%thief'").await;
    assert_eq!(me, Ok(Value::Boolean(true)));
}

/// Each is set by one call, and the next one of many on the same connections must not see it.
#[tokio::test]
async fn what_a_call_sets_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let database = with_table(directory.path()).await;
    let plain = one(&database, "SELECT current_setting('search_path')").await.unwrap();
    for (set, look, clean, shared) in [
        (
            "SELECT set_config('search_path', 'public', false)",
            "SELECT current_setting('search_path')",
            plain,
            false,
        ),
        (
            "SELECT set_config('statement_timeout', '0', false)",
            "SELECT current_setting('statement_timeout')",
            Value::Text("30s".into()),
            false,
        ),
        (
            "SELECT set_config('my.note', 'x', false)",
            "SELECT coalesce(current_setting('my.note', true), '')",
            Value::Text(String::new()),
            false,
        ),
        (
            "SELECT pg_advisory_lock(1)",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
            Value::Integer(0),
            true,
        ),
        ("SELECT 7 AS a INTO TEMP t", "SELECT count(*) FROM t", Value::Integer(0), false),
        (
            "SELECT 7 AS a INTO pg_temp.hidden",
            "SELECT count(*) FROM pg_class WHERE relname = 'hidden'",
            Value::Integer(0),
            true,
        ),
    ] {
        for _ in 0..3 {
            database.query(on(set)).await.unwrap();
            // What other sessions see is gone a moment later.
            while shared && one(&database, look).await.as_ref() != Ok(&clean) {}
            // All connections there are come by.
            let looks = (0..16).map(|_| one(&database, look));
            for seen in futures_util::future::join_all(looks).await {
                assert_eq!(seen.as_ref(), Ok(&clean), "{set}");
            }
        }
    }
    // In a transaction too.
    let mut transaction = database.begin().await.unwrap();
    let set = "SELECT set_config('search_path', 'public', false), pg_advisory_lock(2)";
    transaction.query(on(set)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.execute(on("INSERT INTO t VALUES (1)")).await, Ok(1));
}

#[tokio::test]
async fn a_role_that_could_do_more_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).await.open("p").await.unwrap());
    let server = testing::server(directory.path()).await;
    let role = format!("trellis.{}.p", server.settings().database);
    for (give, take, word) in [
        ("ALTER ROLE r CREATEDB", "ALTER ROLE r NOCREATEDB", "rights over the server"),
        ("GRANT CREATE ON DATABASE d TO r", "REVOKE CREATE ON DATABASE d FROM r", "make schemas"),
        ("GRANT CREATE ON SCHEMA s TO r", "REVOKE CREATE ON SCHEMA s FROM r", "other schemas"),
        ("GRANT m TO r", "REVOKE m FROM r", "member of other roles"),
    ] {
        let group = format!("group of {}", server.settings().database);
        let run = async |sql: &str| {
            let own = |name: &str| crate::backends::postgres::quoted(name);
            let sql = sql
                .replace(" r", &format!(" {}", own(&role)))
                .replace(" m ", &format!(" {} ", own(&group)))
                .replace(" d ", &format!(" {} ", own(&server.settings().database)))
                .replace(" s ", " trellis ");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(server.own()).await.unwrap();
        };
        if word.starts_with("member") {
            let create = format!("CREATE ROLE \"{group}\"");
            server.own().execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        }
        run(give).await;
        let refused = open(directory.path()).await.open("p").await.map(drop).unwrap_err();
        assert!(refused.to_string().contains(word), "{refused}");
        run(take).await;
        open(directory.path()).await.open("p").await.unwrap();
    }
}

#[tokio::test]
async fn hosts_derive_one_password_and_set_the_role_right() {
    let directory = tempfile::tempdir().unwrap();
    let server = testing::server(directory.path()).await;
    let all = Postgres::new(server.clone()).unwrap();
    let database = all.open("p").await.unwrap();
    let role = super::super::Role::of(&server, "p").await.unwrap();
    // Another host derives the same.
    let other = testing::server(directory.path()).await;
    assert_eq!(super::super::Role::of(&other, "p").await.unwrap(), role);
    assert_eq!(role.password().len(), 64);
    // A password that somebody changed is set right when the next host comes.
    drop(database);
    let change = format!("ALTER ROLE \"{}\" PASSWORD 'other'", role.name);
    sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(server.own()).await.unwrap();
    let database = Postgres::new(other).unwrap().open("p").await.unwrap();
    assert_eq!(one(&database, "SELECT 1").await, Ok(Value::Integer(1)));
    let row = server.own().fetch_one("SELECT count(*) FROM trellis.plugins").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 1);
}
