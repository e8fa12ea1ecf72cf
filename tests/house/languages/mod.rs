//! Plugins in every language, built with the tools that their writers have.

mod c;
mod everything;
mod go;
mod messages;
mod python;
mod rust;
mod templates;
mod typescript;

use std::{fs, path::Path};

use tokio::sync::Mutex;

use crate::{
    command::{Ran, run, trellis},
    support::Host,
};

/// A project of these files.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// Build a project into a directory.
async fn build(project: &Path, out: &Path) -> Ran {
    // Packages of one name that share a target directory overwrite each other's component.
    static CARGO: Mutex<()> = Mutex::const_new(());
    let is_rust = [".", "it"].iter().any(|at| project.join(at).join("Cargo.toml").exists());
    let _alone = if is_rust { Some(CARGO.lock().await) } else { None };
    let mut command = trellis(["build"]);
    command.arg(project).arg("--out").arg(out);
    run(command).await
}

/// Build a project and have a host serve it.
async fn serve(host: &Host, project: &Path, name: &str) {
    let out = tempfile::tempdir().unwrap();
    let ran = build(project, out.path()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    host.install(
        &format!("{name}.wasm"),
        fs::read(out.path().join(format!("{name}.wasm"))).unwrap(),
    );
    host.until_plugin(name, |plugin| plugin["state"] == "live").await;
}

/// The statistics of two languages and the tally of five read one topic side by side.
#[tokio::test]
async fn consumers_in_all_languages_agree() {
    const TALLIES: &[&str] =
        &["tally-rust", "tally-typescript", "tally-python", "tally-go", "tally-c"];
    const STATISTICS: &[(&str, &str)] = &[
        ("counters", "/consumers/event_counter/data"),
        ("statistics", "/statistics/consumers/event_counter/data"),
    ];
    let statistics = STATISTICS.iter().map(|(name, _)| *name);
    let all: Vec<_> = TALLIES.iter().copied().chain(statistics).collect();
    let host = Host::start(&all).await;
    let create = crate::command::ask(&host, &["topics", "create", "events"]).await;
    assert_eq!(create.code, Some(0), "{create:?}");
    // Of three types, one of them spelt another way; and what is no event.
    let events = [
        r#"{"type":"w"}"#,
        r#"{"a":[{"type":"x"}],"type":"of\u0066r"}"#,
        r#" { "b" : "\"type\":\"x\"", "type" : "\u00e4 \ud83c\udf3f" } "#,
        r#"{"type":"w"}"#,
        "[]",
        r#"["w"]"#,
        r#"{"type":""}"#,
        r#"{"type":7}"#,
        r#"{"type":"w""#,
        "null",
    ];
    let mut produce = vec!["topics", "produce", "events"];
    produce.extend(events.iter().copied().cycle().take(1000));
    let produced = crate::command::ask(&host, &produce).await;
    assert_eq!(produced.code, Some(0), "{produced:?}");
    let counts = serde_json::json!({"offr": 100, "w": 200, "ä 🌿": 100});
    for name in TALLIES {
        host.until(&format!("/{name}"), |answer| answer.json() == counts).await;
    }
    for (_, path) in STATISTICS {
        host.until(path, |answer| pairs(&answer.json()["data"]) == counts).await;
    }
    for name in all {
        host.records(&format!("events.dead.{name}"), 600).await;
    }
}

/// A list of names and counts as an object.
fn pairs(list: &serde_json::Value) -> serde_json::Value {
    let pairs = list.as_array().into_iter().flatten();
    pairs.map(|pair| (pair[0].as_str().unwrap_or("?").to_owned(), pair[1].clone())).collect()
}
