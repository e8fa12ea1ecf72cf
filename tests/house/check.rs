//! `trellis check` says for sure whether a host would load a component.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    command::{Ran, run, trellis},
    support::component,
};

/// Check bytes under a name, with files beside them.
async fn check(name: &str, bytes: &[u8], beside: &[(&str, &str)], flags: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir, name, bytes);
    for (name, text) in beside {
        write(&dir, name, text.as_bytes());
    }
    let mut command = trellis(["check".as_ref(), file.as_os_str()]);
    command.args(flags).current_dir(dir.path());
    run(command).await
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn built(name: &str) -> Vec<u8> {
    fs::read(component(name)).unwrap()
}

/// The same component, where it names one thing by another name of the same length.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "there is no {from}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[tokio::test]
async fn a_good_component_is_described_and_loads() {
    let ran = check("tracker.wasm", &built("tracker"), &[], &["--json"]).await.well();
    let report = ran.json();
    assert_eq!(report["loads"], true);
    assert_eq!(report["name"], "tracker");
    assert_eq!(report["refusals"], serde_json::json!([]));
    let has = |list: &str, item: &str| {
        let found = report[list].as_array().unwrap().iter().any(|found| found == item);
        assert!(found, "{list} lacks {item}: {report}");
    };
    has("exports", "trellis:http/packed-handler@0.1.0");
    has("imports", "trellis:kafka/packed-producer@0.1.0");
    has("routes", "/t/{*path}");
    has("grants", "produce = { topics = [\"raw\"] }");
    let text = check("tracker.wasm", &built("tracker"), &[], &[]).await.well().out;
    assert!(text.ends_with("would be loaded\n"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_what_it_is() {
    let whole = built("hello");
    for (bytes, reason) in [
        (&whole[..whole.len() / 2], "cut off or broken at byte"),
        (b"\0asm\x01\0\0\0", "a core module, not a component"),
        (b"#!/bin/sh\n", "not a WebAssembly file"),
        (b"", "the file is empty"),
    ] {
        let ran = check("thing.wasm", bytes, &[], &[]).await.refused();
        assert_eq!(ran.code, Some(1));
        assert!(ran.out.contains(reason), "{ran:?}");
        let report = check("thing.wasm", bytes, &[], &["--json"]).await.refused().json();
        assert_eq!(report["loads"], false);
        assert!(report["refusals"][0]["reason"].as_str().unwrap().contains(reason), "{report}");
    }
}

#[tokio::test]
async fn a_missing_grant_is_named_with_the_line_that_gives_it() {
    let nothing = ("settings.toml", "");
    let flags = ["--settings", "settings.toml", "--json"];
    let report = check("enricher.wasm", &built("enricher"), &[nothing], &flags).await.refused();
    let refusals = report.json()["refusals"].clone();
    let of = |reason: &str| {
        let found = refusals.as_array().unwrap().iter().find(|found| found["reason"] == reason);
        found.unwrap_or_else(|| panic!("{reason}: {refusals}"))["hint"].as_str().unwrap()
    };
    let hint = of("plugin `enricher` needs `geoip` without a grant");
    assert!(hint.contains("add `geoip = true` to `[grants.plugins.enricher]`"), "{hint}");
    let hint = of("plugin `enricher` needs `config` without a grant: keys = [\"pod\"]");
    assert!(hint.contains("add `config = { keys = [\"pod\"] }` to"), "{hint}");

    let report = check("enricher.wasm", &built("enricher"), &[], &["--json"]).await.well().json();
    let grants: Vec<String> = serde_json::from_value(report["grants"].clone()).unwrap();
    let all = format!("[grants.plugins.enricher]\n{}\n", grants.join("\n"));
    let given = ("settings.toml", all.as_str());
    check("enricher.wasm", &built("enricher"), &[given], &flags).await.well();
}

#[tokio::test]
async fn imports_that_the_host_does_not_have_are_refused() {
    let ours = renamed(&built("hello"), "wasi:config/store", "acme:config/store");
    let ran = check("hello.wasm", &ours, &[], &[]).await.refused();
    assert!(ran.out.contains("imports `acme:config/store@0.2.0-rc.1`, which this host"), "{ran:?}");
    assert!(ran.out.contains("hint: `wasi:config/store@0.2.0-rc.1` is offered"), "{ran:?}");
    // Only the linker knows what there is of WASI.
    let of_wasi = renamed(&built("hello"), "wasi:cli/exit", "wasi:cli/exot");
    let ran = check("hello.wasm", &of_wasi, &[], &[]).await.refused();
    assert!(ran.out.contains("does not fit this host"), "{ran:?}");
    assert!(ran.out.contains("wasi:cli/exot"), "{ran:?}");
}

#[tokio::test]
async fn manifests_that_do_not_fit_and_migrations_that_fail_are_refused() {
    for (manifest, reason) in [
        ("name = \"hello\"\n[[consum]]\n", "unknown key `consum`"),
        ("name = \"hello\"\n[[consume]]\ntopics = [\"a\"]\n", "exports no consumer"),
        (
            "name = \"hello\"\n[needs.sql]\nmigrations = [{ name = \"1.sql\", sql = \"CREATE TABL\" }]\n",
            "migration `1.sql` failed",
        ),
        ("name = \"hello\"\n[topics.\"a b\"]\n", "`a b` is no name for a topic"),
    ] {
        let sidecar = ("hello.toml", manifest);
        let ran = check("hello.wasm", &built("hello"), &[sidecar], &[]).await.refused();
        assert!(ran.out.contains(reason), "{ran:?}");
    }
}

#[tokio::test]
async fn secrets_are_looked_for_where_the_settings_say() {
    let sidecar = ("hello.toml", "name = \"hello\"\n[needs.config]\nsecrets = [\"key\"]\n");
    check("hello.wasm", &built("hello"), &[sidecar], &[]).await.well();
    let settings = "[grants]\ndefault = \"needs\"\n[config.secrets]\nkey = { file = \"key\" }\n";
    let beside = [sidecar, ("settings.toml", settings)];
    let flags = ["--settings", "settings.toml"];
    let ran = check("hello.wasm", &built("hello"), &beside, &flags).await.refused();
    assert!(ran.out.contains("the file `key` cannot be read"), "{ran:?}");
    let beside = [sidecar, ("settings.toml", settings), ("key", "hunter2")];
    let ran = check("hello.wasm", &built("hello"), &beside, &flags).await.well();
    assert!(!ran.out.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let ran = run(trellis(["check", "nothing.wasm"])).await.refused();
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("cannot read `nothing.wasm`"), "{ran:?}");
}
