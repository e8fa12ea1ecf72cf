//! `trellis test` tries plugins with their cases, in its own process.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    command::{Ran, run, trellis},
    support::component,
};

/// A plugin's folder with one case, and where its component is.
struct Bench {
    dir: TempDir,
}

impl Bench {
    /// The plugin of this repository, whose only case is this text.
    fn new(plugin: &str, case: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["plugins", "tests/components"].map(|folder| root.join(folder).join(plugin));
        let folder = folders.into_iter().find(|folder| folder.is_dir()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join(plugin);
        fs::create_dir_all(copy.join("cases")).unwrap();
        fs::copy(folder.join("plugin.toml"), copy.join("plugin.toml")).unwrap();
        for migration in fs::read_dir(folder.join("migrations")).into_iter().flatten() {
            let from = migration.unwrap().path();
            fs::create_dir_all(copy.join("migrations")).unwrap();
            fs::copy(&from, copy.join("migrations").join(from.file_name().unwrap())).unwrap();
        }
        fs::write(copy.join("cases/1.json"), case).unwrap();
        Self { dir }
    }

    async fn test(&self, flags: &[&str]) -> Ran {
        test(self.dir.path(), flags).await
    }

    fn case(&self, plugin: &str) -> String {
        fs::read_to_string(self.dir.path().join(plugin).join("cases/1.json")).unwrap()
    }
}

/// Try what is below a folder, with components that are built already.
async fn test(folder: &Path, flags: &[&str]) -> Ran {
    let out = component("tracker");
    let mut command = trellis(["test", ".", "--no-build", "--out"]);
    command.arg(out.parent().unwrap()).args(flags).current_dir(folder);
    // Compiled once for all tests, and not among the user's own.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    run(command).await
}

#[tokio::test]
async fn the_cases_of_all_plugins_are_as_expected() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let ran = test(&plugins, &["--json"]).await.well();
    let lines = ran.json_lines();
    for plugin in ["chat", "counters", "enricher", "live", "tracker", "video"] {
        let passed = |line: &serde_json::Value| line["plugin"] == plugin && line["passed"] == true;
        assert!(lines.iter().any(passed), "{plugin}: {ran:?}");
    }
}

#[tokio::test]
async fn a_step_that_sees_something_else_shows_the_difference_and_where_it_is() {
    let case = r#"{"steps": [
  {"request": {"path": "/ledger/add/tea"}, "expect": {"status": 200, "body": "added"}},
  {"request": {"path": "/ledger/trap/milk"},
   "expect": {"sql": {"query": "SELECT text FROM entries", "rows": [["tea"], ["milk"]]}}}
]}"#;
    let ran = Bench::new("ledger", case).test(&[]).await.refused();
    for line in [
        "failed ./ledger/cases/1.json:3: step 2: something else was seen",
        "-        \"milk\"",
        "ledger         1 case ",
        "1 failed",
    ] {
        assert!(ran.out.contains(line), "{line}: {ran:?}");
    }
    assert!(ran.err.contains("1 case failed") && !ran.out.contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn a_case_sees_databases_stores_and_its_own_clock() {
    let case = r#"{"now": "2026-01-02T03:04:05Z", "steps": [
  {"request": {"path": "/ledger/add/tea"}, "expect": {"body": "added"}},
  {"request": {"path": "/ledger/put/milk"},
   "expect": {"status": 200, "keyvalue": {"default": {"text": "milk", "other": null}}}},
  {"expect": {"sql": [
    {"query": "SELECT count(*) FROM entries WHERE text = $1", "params": ["tea"], "rows": [[1]]},
    {"query": "SELECT text FROM entries", "rows": [["tea"]]}]}}
]}"#;
    Bench::new("ledger", case).test(&[]).await.well();
    let case = r#"{"now": "2026-01-02T03:04:05Z", "steps": [
  {"request": {"path": "/t/w"},
   "expect": {"topic": "raw", "records": [{"json": {"time": 1767323045000}, "time": "2026-01-02T03:04:05Z"}]}},
  {"advance": "1h", "request": {"path": "/t/w"},
   "expect": {"topic": "raw", "records": [{"json": {"time": 1767326645000}, "time": "2026-01-02T04:04:05Z"}]}}
]}"#;
    Bench::new("tracker", case).test(&[]).await.well();
}

#[tokio::test]
async fn what_was_seen_is_written_into_the_case_and_is_the_same_the_next_time() {
    let case = r#"{"steps": [
  {"request": {"path": "/socket/longpoll?vsn=2.0.0"}},
  {"request": {"path": "/chat"},   "expect": {"status": 500}}
]}"#;
    let bench = Bench::new("chat", case);
    bench.test(&["--update"]).await.well();
    let updated = bench.case("chat");
    assert!(updated.contains(r#""path": "/chat"},   "expect": {"status": 200}}"#), "{updated}");
    // The token is random elsewhere.
    assert!(updated.contains(r#""token": ""#), "{updated}");
    bench.test(&[]).await.well();
    let again = Bench::new("chat", case);
    again.test(&["--update"]).await.well();
    assert_eq!(again.case("chat"), updated);
}

#[tokio::test]
async fn a_call_of_another_host_is_the_one_that_is_due_or_the_step_fails() {
    let case = |upstream: &str| {
        let case = r#"{"now": "2026-01-02T03:04:05Z",
  "config": {"discord-webhook": "https://discord.com/api/webhooks/1/x"}, "steps": [{
    "produce": {"topic": "chat-bridge", "records": [{"json": {"user": "ada", "body": "hi", "at": 1767323045000}}]},
    "upstream": [UPSTREAM], "expect": {"calls": []}
  }]}"#;
        case.replace("UPSTREAM", upstream)
    };
    let gone = r#"{"request": {"method": "POST"}, "response": {"status": 404}}"#;
    let other = gone.replace("POST", "PUT");
    for (upstream, said) in [
        ("", "a call that no `upstream` answers".to_owned()),
        (&*other, "another call was made".to_owned()),
        (&*format!("{gone}, {gone}"), "this call was not made".to_owned()),
    ] {
        let bench = Bench::new("chat", &case(upstream));
        let ran = bench.test(&["--update"]).await.refused();
        assert!(ran.out.contains(&said), "{said}: {ran:?}");
        assert_eq!(bench.case("chat"), case(upstream), "an error is nothing to expect");
    }
}

#[tokio::test]
async fn a_misspelt_key_is_shown_where_it_stands() {
    let bench = Bench::new("tracker", "{\"steps\": [\n  {\"request\": {\"pth\": \"/t\"}}\n]}");
    let ran = bench.test(&[]).await.refused();
    for part in ["unknown key `pth` in `request`", "cases/1.json:2:17", "did you mean `path`?"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    let ran = bench.test(&["--case", "nothing"]).await.refused();
    assert!(ran.err.contains("there is no case whose name has `nothing` below `.`"), "{ran:?}");
}
