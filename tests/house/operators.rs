//! The commands that ask a running host: `plugins`, `logs`, `topics`.

use std::process::Stdio;

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use crate::{
    command::{ask, asking, run, trellis},
    support::{Host, PATIENCE},
};

async fn ended(child: &mut Child) -> std::process::ExitStatus {
    tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap()
}

async fn errors(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn plugins_are_listed_with_their_state_and_reason() {
    let host = Host::start(&["hello", "tracker"]).await;
    assert_eq!(host.get("/hello/").await.status, 200);
    host.install("tracker.wasm", "broken");
    host.until_plugin("tracker", |status| status["state"] == "failed").await;

    let text = ask(&host, &["plugins"]).await.well().out;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{text}");
    assert!(lines[1].starts_with("hello") && lines[1].contains("live"), "{text}");
    assert!(lines[2].starts_with("tracker") && lines[2].contains("failed"), "{text}");
    assert!(lines[3].contains("not a WebAssembly file: it starts with `brok`"), "{text}");
    assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
    let colour = ask(&host, &["plugins", "--color", "always"]).await.well().out;
    assert!(colour.contains("\x1b["), "{colour}");

    let all = ask(&host, &["plugins", "--json"]).await.well().json();
    assert_eq!(all[0]["name"], "hello");
    assert_eq!((&all[0]["calls"], &all[0]["instances"]), (&json!(1), &json!(1)));
    let one = ask(&host, &["plugins", "tracker", "--json"]).await.well().json();
    assert_eq!((&one["state"], &one["generation"]), (&json!("failed"), &json!(1)));
    let none = ask(&host, &["plugins", "trakcer"]).await.refused();
    assert_eq!(none.code, Some(1));
    assert!(none.err.contains("plugin `trakcer` is not installed"), "{none:?}");
    assert!(none.err.contains("hint: installed are `hello`, `tracker`"), "{none:?}");
}

#[tokio::test]
async fn a_wrong_token_and_a_missing_host_are_told_apart() {
    let host = Host::start(&[]).await;
    let wrong = ask(&host, &["plugins", "--token", "wrong"]).await.refused();
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.starts_with("error: the token is wrong\nhint: "), "{wrong:?}");
    let address = host.address("admin");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut without = trellis(["topics", "list", "--admin", &address, "--data"]);
    without.arg(elsewhere.path());
    let without = run(without).await.refused();
    assert!(without.err.starts_with("error: a token is missing\nhint: "), "{without:?}");

    for command in [&["plugins"][..], &["logs"], &["topics", "lag"]] {
        let mut nowhere = trellis(command);
        nowhere.arg("--data").arg(elsewhere.path());
        let ran = run(nowhere).await.refused();
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.starts_with("error: no host runs here: there is no `"), "{ran:?}");
        assert!(ran.err.contains("\nhint: start one"), "{ran:?}");
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut nobody = trellis(command);
        nobody.args(["--admin", &silent.to_string()]);
        let ran = run(nobody).await.refused();
        assert!(ran.err.contains(&format!("no host answers at http://{silent}")), "{ran:?}");
        assert!(ran.err.contains("Connection refused (os error 111)\nhint: start one"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_host_that_was_killed_is_not_found_either() {
    let mut host = Host::start(&[]).await;
    host.kill();
    let ran = ask(&host, &["plugins"]).await.refused();
    assert!(ran.err.contains("no host answers at"), "{ran:?}");
    assert!(ran.err.contains("hint: "), "{ran:?}");
}

#[tokio::test]
async fn topics_are_created_written_and_read() {
    let host = Host::start(&[]).await;
    let create = ["topics", "create", "orders", "--partitions", "2"];
    assert_eq!(ask(&host, &create).await.well().out, "created `orders` with 2 partitions\n");
    let again = ask(&host, &create).await.refused();
    assert!(again.err.contains("`orders`"), "{again:?}");
    let bad = ask(&host, &["topics", "create", "a b"]).await.refused();
    assert!(bad.err.contains("`a b`"), "{bad:?}");

    let one = ["topics", "produce", "orders", "first", "--partition", "1", "--key", "k", "--json"];
    let at = ask(&host, &one).await.well().json_lines();
    assert_eq!((&at[0]["partition"], &at[0]["offset"]), (&json!(1), &json!(0)));
    let mut lines = asking(&host, &["topics", "produce", "orders", "--partition", "1"]);
    let mut lines = lines.stdin(Stdio::piped()).spawn().unwrap();
    lines.stdin.take().unwrap().write_all(b"second\nthird\n").await.unwrap();
    assert!(ended(&mut lines).await.success(), "{}", errors(&mut lines).await);

    let read = ask(&host, &["topics", "consume", "orders", "--json"]).await.well().json_lines();
    let values: Vec<_> = read.iter().map(|record| record["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["first", "second", "third"]);
    assert_eq!(read[0]["key"], "k");
    let text = ask(&host, &["topics", "consume", "orders", "--from", "1", "--limit", "1"]).await;
    let text = text.well().out;
    assert!(text.starts_with("1:1 ") && text.ends_with(" null second\n"), "{text}");

    let list = ask(&host, &["topics", "list", "--json"]).await.well().json();
    assert_eq!((&list[0]["name"], &list[0]["partitions"]), (&json!("orders"), &json!(2)));
    let listed = ask(&host, &["topics", "list"]).await.well().out;
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with("orders  2")), "{listed}");
    let unknown = ask(&host, &["topics", "consume", "nothing"]).await.refused();
    assert!(unknown.err.contains("`nothing`"), "{unknown:?}");
}

#[tokio::test]
async fn a_group_is_shown_with_its_lag_and_moved_back() {
    let host = Host::start(&["tracker", "enricher"]).await;
    for _ in 0..5 {
        assert_eq!(host.get("/t/visit").await.status, 200);
    }
    host.records("events", 5).await;
    let lag = ask(&host, &["topics", "lag", "--group", "enricher", "--json"]).await.well().json();
    let sum = |field: &str| -> u64 {
        lag.as_array().unwrap().iter().filter_map(|partition| partition[field].as_u64()).sum()
    };
    assert_eq!((sum("committed"), sum("end"), sum("lag")), (5, 5, 0));
    let listed = ask(&host, &["topics", "lag"]).await.well().out;
    assert!(listed.starts_with("GROUP") && listed.contains("\nenricher  raw"), "{listed}");

    let replay = ["topics", "replay", "raw", "--group", "enricher", "--to", "earliest"];
    let moved = ask(&host, &replay).await.well().out;
    assert_eq!(moved, "group `enricher` goes on in `raw` at earliest\n");
    host.records("events", 10).await;
    let nowhere = ["topics", "replay", "raw", "--group", "enricher", "--to", "yesterday"];
    let nowhere = ask(&host, &nowhere).await.refused();
    assert!(nowhere.err.contains("`yesterday` is no place in a topic"), "{nowhere:?}");
}

#[tokio::test]
async fn logs_are_followed_until_ctrl_c() {
    let host = Host::start(&["hello", "tracker"]).await;
    // Where tests run in the background, their signals may be switched off.
    let mut following = Command::new("env");
    following.args(["--default-signal=INT", env!("CARGO_BIN_EXE_trellis"), "logs", "-f", "--json"]);
    following.args(["--plugin", "hello", "--data"]).arg(host.data()).kill_on_drop(true);
    let following = following.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut following = following.spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line");
        serde_json::from_str::<serde_json::Value>(&line.unwrap().unwrap()).unwrap()
    };
    assert_eq!(next().await["plugin"], "hello");
    host.install("tracker.wasm", "broken");
    host.until_plugin("tracker", |status| status["state"] == "failed").await;
    host.install("hello.wasm", "broken");
    loop {
        let line = next().await;
        assert_eq!(line["plugin"], "hello");
        if line["level"] == "ERROR" {
            assert!(line["message"].as_str().unwrap().contains("generation 1 serves on"), "{line}");
            break;
        }
    }
    let pid = rustix::process::Pid::from_raw(following.id().unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = ended(&mut following).await;
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert!(signal == Some(2) || status.code() == Some(130), "{status:?}");
    assert_eq!(errors(&mut following).await, "");

    let recent = ask(&host, &["logs", "--last", "1", "--plugin", "hello"]).await.well().out;
    assert!(recent.contains("ERROR hello: not loaded") && !recent.contains('\x1b'), "{recent}");
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_a_command_in_peace() {
    let host = Host::start(&["hello"]).await;
    ask(&host, &["topics", "create", "long", "--partitions", "1"]).await.well();
    let mut produce = asking(&host, &["topics", "produce", "long"]);
    let mut produce = produce.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // More than fits a pipe.
    let records = format!("{}\n", "x".repeat(1000)).repeat(1000);
    produce.stdin.take().unwrap().write_all(records.as_bytes()).await.unwrap();
    assert!(ended(&mut produce).await.success(), "{}", errors(&mut produce).await);

    for arguments in [
        &["topics", "consume", "long"][..],
        &["topics", "consume", "long", "--follow", "--json"],
        &["logs", "--follow"],
    ] {
        let mut reading = asking(&host, arguments).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(reading.stdout.take().unwrap()).read_line(&mut first).await.unwrap();
        assert!(!first.is_empty(), "{arguments:?}");
        if arguments[0] == "logs" {
            // It notices at the next line.
            host.install("hello.wasm", "broken");
        }
        let status = ended(&mut reading).await;
        assert!(status.success(), "{arguments:?} {status:?}");
        assert_eq!(errors(&mut reading).await, "", "{arguments:?}");
    }
}
