//! Plugins that do not begin, do not hand over, do not end.

use std::fs;

use crate::{
    scene::{Scene, tail},
    support::{Host, component},
};

/// A manifest for the hostile component under another name, with a deed for a hook.
fn sidecar(name: &str, hook: &str, deed: &str) -> String {
    format!(
        "name = \"{name}\"\n\
         [http]\nroutes = [\"/{name}/{{*deed}}\"]\n\
         [needs]\n\
         produce = {{ topics = [\"spam\"] }}\n\
         keyvalue = {{ stores = [\"default\"] }}\n\
         sql = {{}}\n\
         http = {{ hosts = [\"127.0.0.1:*\"], private = true }}\n\
         config = {{ keys = [\"start\", \"save\", \"stop\", \"consume\"] }}\n\
         [config]\n{hook} = \"{deed}\"\n\
         [limits]\nmemory = \"64MiB\"\ntimeout = \"1s\"\nstart-timeout = \"20s\"\n"
    )
}

fn install(host: &Host, name: &str, hook: &str, deed: &str) {
    host.install(&format!("{name}.toml"), sidecar(name, hook, deed));
    host.install(&format!("{name}.wasm"), fs::read(component("abuser")).unwrap());
}

#[tokio::test]
async fn plugins_that_never_start_keep_nobody_from_starting() {
    let scene = Scene::open().await;
    let attack = async {
        // More of them than components are loaded at a time.
        for number in 0..8 {
            install(&scene.host, &format!("sleeper-{number}"), "start", "sleep");
        }
        install(&scene.host, "late", "stop", "harmless");
        scene.host.until("/late/", |answer| answer.text() == "harmless").await;
        let first = scene.host.until_plugin("sleeper-0", |_| true).await;
        assert_eq!(first["state"], "loading", "it waited for those that never start: {first}");
    };
    scene.during(attack).await;
    scene.close().await;
}

#[tokio::test]
async fn what_never_stops_is_replaced_all_the_same() {
    let scene = Scene::open().await;
    install(&scene.host, "stayer", "stop", "loop");
    let attack = async {
        scene.host.until("/stayer/", |answer| answer.status == 200).await;
        scene.host.install("stayer.toml", sidecar("stayer", "start", "harmless"));
        scene.host.until_plugin("stayer", |status| status["generation"] == 2).await;
        assert_eq!(scene.host.get("/stayer/").await.text(), "harmless");
    };
    scene.during(attack).await;
    scene.close().await;
}

#[tokio::test]
async fn a_hook_that_never_ends_holds_up_the_end_of_the_host_for_a_bounded_time() {
    let mut scene = Scene::open().await;
    install(&scene.host, "stayer", "stop", "sleep");
    scene.host.until("/stayer/", |answer| answer.status == 200).await;
    install(&scene.host, "sleeper", "start", "sleep");
    scene.host.until_plugin("sleeper", |status| status["state"] == "loading").await;
    let code = scene.host.stop().await;
    assert_eq!(code, Some(0), "{}", tail(&scene.host));
    assert!(scene.host.log().contains("`stop` failed"), "{}", tail(&scene.host));
}

#[tokio::test]
async fn what_traps_or_hangs_in_save_keeps_its_place_and_harms_nobody() {
    let scene = Scene::open().await;
    install(&scene.host, "miser", "save", "panic");
    let attack = async {
        scene.host.until("/miser/", |answer| answer.status == 200).await;
        scene.host.install("miser.toml", sidecar("miser", "start", "harmless"));
        let status = scene.host.until_plugin("miser", |status| status["state"] == "failed").await;
        assert!(status["reason"].as_str().unwrap().contains("`save`"), "{status}");
        assert_eq!(scene.host.get("/miser/").await.text(), "harmless");
        // Whoever wants it gone takes it away: what it does not hand over is then lost.
        fs::remove_file(scene.host.plugins().join("miser.wasm")).unwrap();
        scene.host.until("/miser/", |answer| answer.status == 404).await;
        scene.host.install("miser.wasm", fs::read(component("abuser")).unwrap());
        scene.host.until("/miser/", |answer| answer.status == 200).await;
    };
    scene.during(attack).await;
    scene.close().await;
}

#[tokio::test]
async fn what_traps_in_every_export_is_told_and_nobody_else() {
    let scene = Scene::open().await;
    let attack = async {
        install(&scene.host, "bomb", "start", "panic");
        let status = scene.host.until_plugin("bomb", |status| status["state"] == "failed").await;
        assert!(status["reason"].as_str().unwrap().contains("`start` failed"), "{status}");
        scene.host.install("bomb.toml", sidecar("bomb", "stop", "panic"));
        scene.host.until("/bomb/", |answer| answer.status == 200).await;
        // A trap would cost the instance whose `stop` it is.
        fs::remove_file(scene.host.plugins().join("bomb.wasm")).unwrap();
        scene.host.until("/bomb/", |answer| answer.status == 404).await;
        let logged = async || match scene.host.log().contains("`stop` failed") {
            true => Ok(()),
            false => Err("`stop` has not failed yet".to_owned()),
        };
        scene.host.eventually(logged).await;
    };
    scene.during(attack).await;
    scene.close().await;
}
