#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;

fn plugin() -> Plugin {
    let config = [("colour", "red"), ("size", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    Plugin { name: "shop".into(), generation: 1, config: config.into() }
}

async fn prepare(settings: &str, grant: &str) -> anyhow::Result<Prepared> {
    let config = Config { settings: toml::from_str(settings)? };
    config.prepare(&plugin(), &toml::from_str(grant)?).await
}

fn shown(pairs: Vec<Pair>) -> Vec<String> {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[tokio::test]
async fn the_operators_values_win_over_the_plugins_own_and_other_keys_take_a_grant() {
    let settings = "[values.shop]\ncolour = 'blue'\nhidden = 'h'\n[values.other]\nsize = '9'";
    let own = prepare(settings, "").await.unwrap();
    assert_eq!(shown(own.all()), ["colour=blue", "size=1"]);
    assert_eq!(own.get("hidden"), None);
    let granted = prepare(settings, "keys = ['hidden', 'missing']").await.unwrap();
    assert_eq!(shown(granted.all()), ["colour=blue", "hidden=h", "size=1"]);
    assert_eq!(granted.get("missing"), None);
}

#[tokio::test]
async fn a_secret_is_read_by_its_name_alone_and_only_with_the_grant() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "s3cret").unwrap();
    let settings = format!("[secrets]\nkey = {{ file = '{}' }}", file.path().display());
    let granted = prepare(&settings, "secrets = ['key']").await.unwrap();
    assert_eq!(granted.get("key").as_deref(), Some("s3cret"));
    assert_eq!(shown(granted.all()), ["colour=red", "size=1"]);
    assert!(!format!("{granted:?}").contains("s3cret"));
    assert_eq!(prepare(&settings, "").await.unwrap().get("key"), None);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_refuses_the_generation_and_names_the_place_only() {
    let mut binary = tempfile::NamedTempFile::new().unwrap();
    binary.write_all(b"s3cret\xff").unwrap();
    let settings = format!(
        "[secrets]\nno-variable = {{ env = 'TRELLIS_TEST_UNSET' }}\nno-file = {{ file = '/none' }}\n\
         binary = {{ file = '{}' }}\ncolour = {{ env = 'PATH' }}",
        binary.path().display()
    );
    for (name, part) in [
        ("nowhere", "add `[config.secrets] nowhere = { env"),
        ("no-variable", "`TRELLIS_TEST_UNSET`"),
        ("no-file", "`/none`"),
        ("binary", "not UTF-8"),
        ("colour", "both a secret and a key"),
    ] {
        let error = prepare(&settings, &format!("secrets = ['{name}']")).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_need_beyond_the_grant_is_named_as_the_operator_would_write_it() {
    let need = Grant { keys: vec!["a".into(), "b".into()], secrets: vec!["s".into()] };
    let allowed = Grant { keys: vec!["b".into()], secrets: vec![] };
    assert_eq!(Config::beyond(&need, &allowed), ["keys = [\"a\"]", "secrets = [\"s\"]"]);
}

#[tokio::test]
async fn the_environment_has_the_values_that_fit_into_one_and_no_secrets() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "s3cret").unwrap();
    let settings = format!(
        "[values.shop]\nsize = \"1\\u00002\"\n\"a=b\" = 'x'\n'' = 'x'\n[secrets]\nkey = {{ file = '{}' }}",
        file.path().display()
    );
    let own = prepare(&settings, "keys = ['a=b', '']\nsecrets = ['key']").await.unwrap();
    assert_eq!(own.all().len(), 4);
    assert_eq!(own.environment().collect::<Vec<_>>(), [("colour", "red")]);
}
