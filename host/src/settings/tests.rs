#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;
use crate::{
    manifest::problem,
    quantity::{Bytes, Millis},
};

fn of(file: &str, variables: &[(&str, &str)], flags: &[Flag]) -> Result<Loaded, String> {
    let mut settings = tempfile::NamedTempFile::new().unwrap();
    settings.write_all(file.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let path = settings.path().display().to_string();
    load(Some(settings.path()), variables, flags)
        .map_err(|problem| problem.explain().replace(&path, "settings.toml"))
}

fn json(settings: &Settings) -> serde_json::Value {
    serde_json::to_value(settings).unwrap()
}

#[test]
fn the_file_of_defaults_is_the_defaults() {
    let file: Settings = problem::parse(DEFAULTS, "settings.toml").unwrap();
    assert_eq!(json(&file), json(&Settings::default()));
}

/// Asks each table for a key that it cannot have: the answer names those that it has.
fn known(table: &str) -> Vec<String> {
    let text = format!("[{table}]\n\"?\" = 1");
    let Err(error) = toml::from_str::<Settings>(&text) else { return Vec::new() };
    let mut names = error.message().split('`').skip(1).step_by(2);
    assert_eq!(names.next(), Some("?"), "{table}: {}", error.message());
    names.map(str::to_owned).collect()
}

#[test]
fn the_file_of_defaults_lists_every_key() {
    let listed = layers::keys(DEFAULTS);
    let tables = TABLES.iter().chain(capabilities::Settings::TABLES);
    let mut missing = Vec::new();
    for table in tables {
        for key in known(table) {
            let path = format!("{table}.{key}");
            let below = format!("{path}.");
            if !listed.iter().any(|listed| *listed == path || listed.starts_with(&below)) {
                missing.push(path);
            }
        }
    }
    let free = ["config.secrets", "config.values", "grants.plugins"];
    missing.sort();
    assert_eq!(missing, free, "only tables whose keys the operator makes up are not listed");
}

#[test]
fn a_key_without_a_default_is_one_that_the_host_knows() {
    for key in layers::keys(DEFAULTS) {
        let (table, key) = key.rsplit_once('.').unwrap();
        assert!(known(table).iter().any(|known| known == key), "[{table}] has no `{key}`");
    }
}

#[test]
fn flags_win_over_variables_over_the_file_over_the_defaults() {
    let file = "[host]\ndata = \"file\"\nplugins = \"file\"\n[runtime]\ninstances = 100\n";
    let variables =
        [("TRELLIS_HOST_DATA", "variable"), ("TRELLIS_HOST_PLUGINS", "variable"), ("HOME", "/")];
    let flag = Flag { name: "--data", key: "host.data", value: "flag".into() };
    let loaded = of(file, &variables, &[flag]).unwrap();
    assert_eq!(loaded.settings.host.data.to_str(), Some("flag"));
    assert_eq!(loaded.settings.host.plugins.to_str(), Some("variable"));
    assert_eq!(loaded.settings.runtime.instances, 100);
    assert_eq!(loaded.settings.runtime.tick, runtime::Settings::default().tick);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_variable_takes_the_type_of_its_key() {
    let variables = [
        ("TRELLIS_RUNTIME_INSTANCES", "7"),
        ("TRELLIS_RUNTIME_COMPILE_TIMEOUT", "3s"),
        ("TRELLIS_ADMIN_LISTEN", "127.0.0.1:1"),
        ("TRELLIS_ADMIN_TOKEN", "12345"),
        ("TRELLIS_HTTP_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("TRELLIS_HTTP_RATE_LIMIT", "{ per-second = 1, burst = 2 }"),
        ("TRELLIS_GEOIP_DATABASE", "city.mmdb"),
    ];
    let settings = of("", &variables, &[]).unwrap().settings;
    assert_eq!(settings.runtime.instances, 7);
    assert_eq!(settings.runtime.compile_timeout.0, 3000);
    assert_eq!(settings.admin.listen.port(), 1);
    assert_eq!(settings.admin.token.as_deref(), Some("12345"));
    assert_eq!(settings.http.listen.len(), 2);
    assert_eq!(settings.http.rate_limit.map(|limit| limit.burst), Some(2));
    assert_eq!(settings.capabilities.geoip.database.as_deref(), Some("city.mmdb".as_ref()));
}

#[test]
fn a_wrong_value_names_where_it_came_from() {
    let of = |file, variables| of(file, variables, &[]).unwrap_err();
    insta::assert_snapshot!(of("[runtime]\ninstances = \"many\"\n", &[]), @r#"
    invalid type: string "many", expected u32
      --> settings.toml:2:13
       |
     2 | instances = "many"
       |             ^^^^^^
    "#);
    insta::assert_snapshot!(of("[runtme]\n", &[]), @r#"
    unknown key `runtme`
      --> settings.toml:1:2
       |
     1 | [runtme]
       |  ^^^^^^
    hint: did you mean `runtime`?
    "#);
    insta::assert_snapshot!(of("[admin]\nlisen = 1\n", &[]), @r#"
    unknown key `lisen`
      --> settings.toml:2:1
       |
     2 | lisen = 1
       | ^^^^^
    hint: did you mean `listen`?
    "#);
    insta::assert_snapshot!(of("[grants.plugins.a]\nprodcue = { topics = [] }\n", &[]), @r#"
    unknown key `prodcue`
      --> settings.toml:2:1
       |
     2 | prodcue = { topics = [] }
       | ^^^^^^^
    hint: did you mean `produce`?
    "#);
    insta::assert_snapshot!(of("", &[("TRELLIS_RUNTIME_INSTANCES", "many")]), @r#"
    invalid type: string "many", expected u32
      --> TRELLIS_RUNTIME_INSTANCES
    "#);
    insta::assert_snapshot!(of("", &[("TRELLIS_ADMIN_LISTEN", "somewhere")]), @r#"
    invalid socket address syntax
      --> TRELLIS_ADMIN_LISTEN
    "#);
}

#[test]
fn a_variable_that_is_no_setting_is_a_warning() {
    // The last one is where toolchains are kept.
    let variables = [
        ("TRELLIS_ADMIN_LISEN", "x"),
        ("TRELLIS_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("TRELLIS_CACHE", "/var/cache/trellis"),
    ];
    insta::assert_debug_snapshot!(of("", &variables, &[]).unwrap().warnings, @r#"
    [
        "the environment variable `TRELLIS_ADMIN_LISEN` is no setting; did you mean `TRELLIS_ADMIN_LISTEN`?",
        "the environment variable `TRELLIS_PORT_80_TCP` is no setting",
    ]
    "#);
}

#[test]
fn sizes_and_times_are_taken_as_people_write_them_and_as_numbers() {
    let file = "[log]\ntail-bytes = \"8 MiB\"\nrevoke-deadline = 1500\n[outbound]\nmax-request-bytes = 1000\nconnect-timeout = \"2s\"\n[sql]\nmax-bytes = \"1GiB\"\n";
    let variables =
        [("TRELLIS_LOG_RETENTION_CHECK", "1h"), ("TRELLIS_OUTBOUND_MAX_RESPONSE_BYTES", "5")];
    let settings = of(file, &variables, &[]).unwrap().settings;
    assert_eq!(settings.backends.log.tail_bytes, Bytes(8 << 20));
    assert_eq!(settings.backends.log.revoke_deadline, Millis(1500));
    assert_eq!(settings.backends.log.retention_check, Millis(3_600_000));
    assert_eq!(settings.backends.sql.max_bytes, Bytes(1 << 30));
    assert_eq!(settings.capabilities.http.connect_timeout, Millis(2000));
    assert_eq!(settings.capabilities.http.max_request_bytes, Bytes(1000));
    assert_eq!(settings.capabilities.http.max_response_bytes, Bytes(5));
}

#[test]
fn a_value_that_no_host_could_run_with_is_pointed_at_with_the_remedy() {
    let of = |file, variables| of(file, variables, &[]).unwrap_err();
    insta::assert_snapshot!(of("[outbound]\nconnect-timeout = \"5 parsecs\"\n", &[]), @r#"
    invalid value: string "5 parsecs", expected a time such as "5s" or "100ms"
      --> settings.toml:2:19
       |
     2 | connect-timeout = "5 parsecs"
       |                   ^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(of("[log]\nretention-check = 0\n", &[]), @r#"
    `retention-check` cannot be 0ms
      --> settings.toml:2:19
       |
     2 | retention-check = 0
       |                   ^
    hint: make it at least 1ms
    "#);
    insta::assert_snapshot!(of("[runtime]\ntick = \"1h\"\n", &[]), @r#"
    `tick` cannot be 1h
      --> settings.toml:2:8
       |
     2 | tick = "1h"
       |        ^^^^
    hint: make it at most 1s
    "#);
    insta::assert_snapshot!(of("[sql]\nmax-bytes = \"4kB\"\n", &[]), @r#"
    `max-bytes` cannot be 4kB
      --> settings.toml:2:13
       |
     2 | max-bytes = "4kB"
       |             ^^^^^
    hint: make it at least 1MiB
    "#);
    insta::assert_snapshot!(of("[http]\nlisten = []\n", &[]), @r#"
    `listen` names no address
      --> settings.toml:2:10
       |
     2 | listen = []
       |          ^^
    hint: name one, as in `listen = ["127.0.0.1:8080"]`
    "#);
    insta::assert_snapshot!(of("[http.rate-limit]\nper-second = 0\nburst = 1\n", &[]), @r#"
    `per-second` cannot be 0
      --> settings.toml:2:14
       |
     2 | per-second = 0
       |              ^
    hint: make it at least 1
    "#);
    insta::assert_snapshot!(of("[http]\nrate-limit = { per-second = 1, burst = 2000000 }\n", &[]), @r#"
    `burst` cannot be 2000000
      --> settings.toml:2:40
       |
     2 | rate-limit = { per-second = 1, burst = 2000000 }
       |                                        ^^^^^^^
    hint: make it at most 1000000
    "#);
    insta::assert_snapshot!(of("[http]\nmax-connections = 9223372036854775807\n", &[]), @r#"
    `max-connections` cannot be 9223372036854775807
      --> settings.toml:2:19
       |
     2 | max-connections = 9223372036854775807
       |                   ^^^^^^^^^^^^^^^^^^^
    hint: make it at most 2305843009213693951
    "#);
    insta::assert_snapshot!(of("[observe]\nlog = \"plugin=loud\"\n", &[]), @r#"
    `plugin=loud` is no log filter
      --> settings.toml:2:7
       |
     2 | log = "plugin=loud"
       |       ^^^^^^^^^^^^^
    hint: write a level such as `info`, or `info,plugin=debug`
    "#);
    insta::assert_snapshot!(of("", &[("TRELLIS_ADMIN_TOKEN", " ")]), @r#"
    `token` is empty
      --> TRELLIS_ADMIN_TOKEN
    hint: give it a long random text, or take the key out and the host makes one up
    "#);
    insta::assert_snapshot!(of("", &[("TRELLIS_OUTBOUND_CONCURRENCY", "0")]), @r#"
    `concurrency` cannot be 0
      --> TRELLIS_OUTBOUND_CONCURRENCY
    hint: make it at least 1
    "#);
}

#[test]
fn a_server_that_is_not_named_right_is_pointed_at_with_the_remedy() {
    for (file, line, message, hint) in [
        ("[postgres]\n[sql]\nbackend = \"postgres\"\n", 1, "`host` names no server", "name one"),
        (
            "[postgres]\n[keyvalue]\nbackend = \"postgres\"\n",
            1,
            "`host` names no server",
            "name one",
        ),
        ("[postgres]\nca = \"ca.pem\"\n", 2, "`ca` is of no use without encryption", "tls = true"),
        ("[postgres]\nkey = \"a.key\"\n", 2, "go together", "add the other one"),
        ("[postgres]\nreplica = \"db2\"\n", 2, "is no server's address", "host:port"),
        ("[postgres]\nconnections = 0\n", 2, "`connections` cannot be 0", "at least 1"),
    ] {
        let explained = of(file, &[], &[]).unwrap_err();
        for part in [&format!("settings.toml:{line}:"), message, hint] {
            assert!(explained.contains(part), "{file}\n{explained}");
        }
    }
}

#[test]
fn a_secret_that_stands_in_the_wrong_place_is_not_shown() {
    for file in [
        "[config.secrets]\nmail-key = \"hunter2\"\n",
        "[config.secrets]\nmail-key = { value = \"hunter2\" }\n",
        "[config.secrets.mail-key]\nvalue = \"hunter2\"\n",
        "[config.secrets]\nmail-key = \"hunter2\n",
        "[config]\nsecrets.mail-key = \"hunter2\"\n",
        "[config]\nsecrets = { mail-key = \"hunter2\" }\n",
        "[log.kafka]\npassword = \"hunter2\"\n",
        "[log.kafka]\npassword = { value = \"hunter2\" }\n",
        "[log.kafka.password]\nvalue = \"hunter2\"\n",
        "[log]\nkafka.password = \"hunter2\"\n",
        "[log]\nkafka = { password = \"hunter2\" }\n",
        "[cache.redis]\npassword = \"hunter2\"\n",
        "[cache.redis.password]\nvalue = \"hunter2\"\n",
        "[cache]\nredis = { password = \"hunter2\" }\n",
        "[postgres]\npassword = \"hunter2\"\n",
        "[postgres]\npassword = { value = \"hunter2\" }\n",
        "[postgres.password]\nvalue = \"hunter2\"\n",
        "postgres = { password = \"hunter2\" }\n",
        "[admin]\ntoken = [\"hunter2\"]\n",
        "[admin]\ntoken = \"hunter2\n",
    ] {
        let explained = of(file, &[], &[]).unwrap_err();
        assert!(!explained.contains("hunter2"), "{file}\n{explained}");
    }
    insta::assert_snapshot!(of("[config.secrets]\nmail-key = \"hunter2\"\n", &[], &[]).unwrap_err(), @r#"
    the value of `mail-key` cannot be used here
      --> settings.toml:2:1
       |
     2 | mail-key = ***
       | ^^^^^^^^
    hint: say where the secret is: `{ env = "NAME" }` or `{ file = "/path" }`, never what it is
    "#);
}

#[test]
fn a_redis_that_cannot_be_used_is_pointed_at() {
    for (lines, message) in [
        ("", "`address` names no server"),
        ("address = \"r:1\"\nca = \"ca.pem\"", "`ca` is of no use without encryption"),
        ("address = \"r:1\"\nuser = \"u\"", "`user` needs a password"),
        ("address = \"r:1\"\nprefix = \"a:b\"", "`prefix` cannot be `a:b`"),
        ("address = \"r:1\"\nprefix = \"\"", "`prefix` cannot be ``"),
        ("address = \"r:1\"\ntimeout = 0", "`timeout` cannot be 0ms"),
    ] {
        let file = format!("[cache]\nbackend = \"redis\"\n[cache.redis]\n{lines}\n");
        let explained = of(&file, &[], &[]).unwrap_err();
        assert!(explained.contains(message), "{file}\n{explained}");
    }
    let file = "[cache]\nbackend = \"redis\"\n[cache.redis]\naddress = \"r:1\"\n";
    assert_eq!(of(file, &[], &[]).unwrap().settings.backends.cache.redis.prefix, "trellis");
}

#[test]
fn the_token_is_not_printed_with_the_settings() {
    let settings = of("", &[("TRELLIS_ADMIN_TOKEN", "hunter2")], &[]).unwrap().settings;
    assert!(!format!("{settings:?}").contains("hunter2"));
}
