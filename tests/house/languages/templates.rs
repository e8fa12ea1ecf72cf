//! The projects of `trellis new`, whose code is the guide's: in each language each kind is made,
//! built, tried and served as the guide says.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    command::{ask, run_within, trellis},
    support::Host,
    websocket::WebSocket,
};

/// What builds may take when all languages build at once.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder for projects of one language.
struct Bench {
    language: &'static str,
    dir: TempDir,
}

impl Bench {
    fn new(language: &'static str) -> Self {
        Self { language, dir: tempfile::tempdir().unwrap() }
    }

    /// Make a project, build it and try its cases; the component.
    async fn component(&self, name: &str, kind: &str) -> PathBuf {
        let (folder, out) = (self.dir.path().join(name), self.dir.path().join("out"));
        let new = ["new", name, "--lang", self.language, "--kind", kind];
        self.run(&new, &folder, "--dir").await;
        self.run(&["build", name], &out, "--out").await;
        if folder.join("cases").is_dir() {
            self.run(&["test", name, "--no-build"], &out, "--out").await;
        }
        out.join(format!("{name}.wasm"))
    }

    async fn run(&self, arguments: &[&str], folder: &Path, flag: &str) {
        let mut command = trellis(arguments);
        command.arg(flag).arg(folder).current_dir(self.dir.path());
        // The three projects in Rust have their dependencies in common.
        command.env("CARGO_TARGET_DIR", self.dir.path().join("target"));
        let ran = run_within(PATIENCE, command).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
}

/// Everything the guide does with a language.
async fn guide(language: &'static str) {
    let bench = Bench::new(language);
    let host = Host::start(&[]).await;
    for (name, kind) in [("tally", "consumer"), ("greeter", "http"), ("room", "connection")] {
        let component = bench.component(name, kind).await;
        host.install(&format!("{name}.wasm"), fs::read(component).unwrap());
        host.until_plugin(name, |plugin| plugin["state"] == "live").await;
    }

    let greeting = host.get("/greeter/ada%20%22l%22").await;
    assert_eq!((greeting.status, greeting.json()), (200, json!({"hello": "ada \"l\""})));

    let produced = ["topics", "produce", "events", r#"{"type":"w"}"#, "[]", r#"{"type":"w"}"#];
    let produced = ask(&host, &produced).await;
    assert_eq!(produced.code, Some(0), "{produced:?}");
    host.until("/tally?type=w", |answer| answer.text() == "2").await;
    assert_eq!(host.get("/tally?type=x").await.text(), "0");
    host.records("events.dead.tally", 1).await;

    let mut ada = WebSocket::open(&host, "/room/ada").await;
    ada.say("hello").await;
    assert_eq!(ada.text().await, "ada: hello");
    // Who comes later hears what was said before.
    let mut bob = WebSocket::open(&host, "/room/bob").await;
    assert_eq!(bob.text().await, "ada: hello");
    bob.say("hello ada").await;
    for listener in [&mut ada, &mut bob] {
        assert_eq!(listener.text().await, "bob: hello ada");
    }
}

#[tokio::test]
async fn the_guide_holds_in_rust() {
    guide("rust").await;
}

#[tokio::test]
async fn the_guide_holds_in_typescript() {
    guide("typescript").await;
}

#[tokio::test]
async fn the_guide_holds_in_javascript() {
    guide("javascript").await;
}

#[tokio::test]
async fn the_guide_holds_in_python() {
    guide("python").await;
}

#[tokio::test]
async fn the_guide_holds_in_go() {
    guide("go").await;
}

#[tokio::test]
async fn the_guide_holds_in_c() {
    guide("c").await;
}
