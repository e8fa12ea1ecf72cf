#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;
use crate::manifest::problem;

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
    let variables = [("TRELLIS_ADMIN_LISEN", "x"), ("TRELLIS_PORT_80_TCP", "tcp://10.0.0.1:80")];
    insta::assert_debug_snapshot!(of("", &variables, &[]).unwrap().warnings, @r#"
    [
        "the environment variable `TRELLIS_ADMIN_LISEN` is no setting; did you mean `TRELLIS_ADMIN_LISTEN`?",
        "the environment variable `TRELLIS_PORT_80_TCP` is no setting",
    ]
    "#);
}
