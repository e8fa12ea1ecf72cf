//! A secret reaches the plugin that it was granted to, and nobody else.

use std::fs;

use crate::{
    command::{run, trellis},
    support::{Host, component},
};

const SECRET: &str = "correct-horse-battery-staple";

/// A host whose `hello` answers with its secret.
async fn host(dir: &tempfile::TempDir, manifest: &str) -> Host {
    let file = dir.path().join("secret");
    fs::write(&file, SECRET).unwrap();
    let settings = format!(
        "[grants]\ndefault = \"needs\"\n[observe]\nlog = \"trace\"\n[config.secrets]\nanswer = {{ file = {file:?} }}\n"
    );
    let host = Host::start_with(&[], &settings).await;
    fs::write(host.plugins().join("hello.toml"), manifest).unwrap();
    fs::copy(component("hello"), host.plugins().join("hello.wasm")).unwrap();
    host
}

const GRANTED: &str = "name = \"hello\"\n[http]\nroutes = [\"/hello/{*path}\"]\n[needs.config]\nsecrets = [\"answer\"]\n[limits]\ntimeout = \"1s\"\n";

#[tokio::test]
async fn a_secret_is_in_no_log_no_listing_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir, GRANTED).await;
    host.until("/hello/", |answer| answer.text() == SECRET).await;
    assert_eq!(host.get("/hello/panic").await.status, 500);
    assert_eq!(host.get("/hello/loop").await.status, 504);
    // A version that is refused, while the old one holds the secret.
    fs::write(host.plugins().join("hello.toml"), GRANTED.replace("answer", "unknown")).unwrap();
    host.until_plugin("hello", |status| status["state"] == "failed").await;

    let mut seen = vec![host.log()];
    for path in ["/api/plugins", "/api/plugins/hello", "/api/logs?last=10000", "/metrics"] {
        seen.push(host.admin(path).await.text());
    }
    let data = host.data().display().to_string();
    for arguments in [
        &["plugins", "--json"][..],
        &["plugins", "hello"],
        &["logs", "--last", "10000"],
        &["logs", "--json", "--plugin", "hello"],
    ] {
        seen.push(run(trellis(arguments.iter().chain(&["--data", &data]))).await.well().out);
    }
    for text in &seen {
        assert!(!text.is_empty() && !text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_is_named_but_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let clash = format!("{GRANTED}[config]\nanswer = \"public\"\n");
    let host = host(&dir, &clash).await;
    let status = host.until_plugin("hello", |status| status["state"] == "failed").await;
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("`answer` is both a secret and a key"), "{reason}");
    // What is read is no text: the reason names the file, not what is in it.
    fs::write(dir.path().join("secret"), [SECRET.as_bytes(), b"\xff"].concat()).unwrap();
    fs::write(host.plugins().join("hello.toml"), GRANTED).unwrap();
    let status = host
        .until_plugin("hello", |status| {
            status["reason"].as_str().is_some_and(|reason| reason.contains("UTF-8"))
        })
        .await;
    assert!(!status.to_string().contains(SECRET), "{status}");
    assert!(!host.log().contains(SECRET));
}

#[tokio::test]
async fn the_token_of_the_admin_api_is_in_no_log_and_no_answer() {
    let settings = format!("[admin]\ntoken = \"{SECRET}\"\n[observe]\nlog = \"trace\"\n");
    let host = Host::start_with(&[], &settings).await;
    let data = host.data().display().to_string();
    let asked = |token: &str| {
        let mut command = trellis(["plugins", "--json", "--token", token]);
        command.args(["--data", &data]);
        run(command)
    };
    assert_eq!(asked(SECRET).await.well().out, "[]\n");
    let refused = asked("wrong").await.refused();
    assert!(refused.err.contains("the token is wrong"), "{refused:?}");
    assert!(!refused.err.contains(SECRET) && !host.log().contains(SECRET));
}
