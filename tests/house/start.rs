//! Broken surroundings: a host that cannot start says why in a sentence and what to do, and ends.

use std::{fs, net::TcpListener, os::unix::fs::symlink, path::Path};

use crate::{
    command::{Ran, run, trellis},
    support::{Host, component},
};

/// Start a host in a directory of its own; these flags win over the usual ones.
async fn serve(prepare: impl FnOnce(&Path), flags: &[&str], variables: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("plugins")).unwrap();
    prepare(dir.path());
    let mut command = trellis(["serve"]);
    for (flag, value) in [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")] {
        if !flags.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command.args(flags).envs(variables.iter().copied()).current_dir(dir.path());
    let ran = run(command).await.refused();
    assert_eq!(ran.out, "");
    // One sentence, with hints and the line of a file below it: no dump.
    assert!(ran.err.lines().count() <= 7, "{ran:?}");
    ran
}

fn says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.err.contains(text), "{text}\n{}", ran.err);
    }
}

#[tokio::test]
async fn a_plugin_directory_that_is_a_file_is_refused() {
    let a_file = |dir: &Path| fs::write(dir.join("file"), "x").unwrap();
    let ran = serve(a_file, &["--plugins", "file"], &[]).await;
    says(&ran, &["the plugin directory `file` cannot be read: Not a directory", "hint: "]);
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_refused() {
    let a_file = |dir: &Path| fs::write(dir.join("file"), "x").unwrap();
    let ran = serve(a_file, &["--data", "file"], &[]).await;
    says(&ran, &["cannot make the directory `file`", "hint: ", "--data"]);
    let ran = serve(a_file, &["--data", "file/below"], &[]).await;
    says(&ran, &["cannot make the directory `file/below`", "hint: ", "--data"]);
    // Nobody can make files in there, not even root.
    let ran = serve(|_| {}, &["--data", "/proc"], &[]).await;
    says(&ran, &["cannot make the directory `/proc/run`", "hint: ", "--data"]);
}

#[tokio::test]
async fn a_data_directory_of_another_host_is_refused() {
    let host = Host::start(&[]).await;
    let data = host.data();
    let ran = serve(|_| {}, &["--data", data.to_str().unwrap()], &[]).await;
    says(&ran, &["is in use by another process; stop it first", "hint: ", "--data"]);
    assert_eq!(host.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_or_not_ours_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = serve(|_| {}, &["--listen", &address], &[]).await;
    says(&ran, &[&format!("cannot listen on `{address}`: Address already in use"), "`--listen`"]);
    let ran = serve(|_| {}, &["--admin", &address], &[]).await;
    says(&ran, &[&format!("cannot listen on `{address}`: Address already in use"), "`--admin`"]);
    let ran = serve(|_| {}, &["--listen", "192.0.2.1:80"], &[]).await;
    says(&ran, &["cannot listen on `192.0.2.1:80`: Cannot assign requested address"]);
    let ran = serve(|_| {}, &["--listen", "8080"], &[]).await;
    says(&ran, &["invalid value '8080' for '--listen <ADDR>'"]);
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong_are_refused_where_they_stand() {
    let ran = serve(|_| {}, &["--settings", "missing.toml"], &[]).await;
    says(&ran, &["the settings cannot be read: No such file", "--> missing.toml", "hint: "]);
    let settings =
        |text: &'static str| move |dir: &Path| fs::write(dir.join("s.toml"), text).unwrap();
    let ran = serve(settings("[http]\nlisen = 1\n"), &["--settings", "s.toml"], &[]).await;
    says(&ran, &["unknown key `lisen`", "--> s.toml:2:1", "hint: did you mean `listen`?"]);
    let ran =
        serve(settings("[log]\ntail-bytes = \"a lot\"\n"), &["--settings", "s.toml"], &[]).await;
    says(&ran, &["expected a size such as \"64MiB\"", "--> s.toml:2:14"]);
    let variable = [("TRELLIS_RUNTIME_TICK", "never")];
    let ran = serve(|_| {}, &[], &variable).await;
    says(&ran, &["expected a time such as \"5s\"", "--> TRELLIS_RUNTIME_TICK"]);
}

#[tokio::test]
async fn a_database_of_places_that_is_missing_or_broken_is_refused() {
    let ran = serve(|_| {}, &[], &[("TRELLIS_GEOIP_DATABASE", "city.mmdb")]).await;
    says(&ran, &["the database `city.mmdb` of `[geoip] database` cannot be read", "name another"]);
    let broken = |dir: &Path| fs::write(dir.join("city.mmdb"), vec![0; 100_000]).unwrap();
    let ran = serve(broken, &[], &[("TRELLIS_GEOIP_DATABASE", "city.mmdb")]).await;
    says(&ran, &["`city.mmdb` of `[geoip] database` is no MaxMind database", "name another"]);
}

#[tokio::test]
async fn a_plugin_directory_with_spaces_behind_links_is_followed() {
    let mut host = Host::start(&[]).await;
    host.stop().await;
    let dir = tempfile::tempdir().unwrap();
    let (real, elsewhere) = (dir.path().join("my plugins"), dir.path().join("built here"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(component("hello"), elsewhere.join("v 1.wasm")).unwrap();
    fs::remove_dir(host.plugins()).unwrap();
    symlink(&real, host.plugins()).unwrap();
    host.run().await;
    symlink(elsewhere.join("v 1.wasm"), real.join("hello.wasm")).unwrap();
    host.until("/hello/", |answer| answer.status == 200).await;
    fs::remove_file(real.join("hello.wasm")).unwrap();
    host.until("/hello/", |answer| answer.status == 404).await;
}
