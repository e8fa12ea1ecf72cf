//! Plugins in other languages than Rust, built with the tools that their writers have.

mod c;
mod go;
mod python;
mod typescript;

use std::{fs, path::Path};

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

/// Events of three types, and one that is none.
#[tokio::test]
async fn consumers_in_all_languages_agree() {
    let host = Host::start(&["tally-go", "tally-c"]).await;
    let create = crate::command::ask(&host, &["topics", "create", "events"]).await;
    assert_eq!(create.code, Some(0), "{create:?}");
    let events =
        [r#"{"type":"w"}"#, r#"{"a":[{"type":"x"}],"type":"of\u0066r"}"#, r#"{"type":"w"}"#, "[]"];
    let mut produce = vec!["topics", "produce", "events"];
    produce.extend(events.iter().copied().cycle().take(400));
    let produced = crate::command::ask(&host, &produce).await;
    assert_eq!(produced.code, Some(0), "{produced:?}");
    let counts = serde_json::json!({"offr": 100, "w": 200});
    for name in ["tally-go", "tally-c"] {
        host.until(&format!("/{name}"), |answer| answer.json() == counts).await;
        host.records(&format!("events.dead.{name}"), 100).await;
    }
}
