//! Consumers that never return, trap, or send to themselves as fast as they can.

use std::fs;

use crate::{scene::Scene, support::component};

/// The hostile component under another name, as a consumer that does the deed with every message.
/// It is new: one that had an earlier version would go back to that.
fn manifest(deed: &str) -> String {
    format!(
        "name = \"biter\"\n\
         [[consume]]\ntopics = [\"worms\"]\n\
         retry = {{ attempts = 2, backoff = \"50ms\", max-backoff = \"50ms\" }}\n\
         [needs]\n\
         produce = {{ topics = [\"spam\"] }}\n\
         keyvalue = {{ stores = [\"default\"] }}\n\
         sql = {{}}\n\
         http = {{ hosts = [\"127.0.0.1:*\"], private = true }}\n\
         config = {{ keys = [\"start\", \"save\", \"stop\", \"consume\"] }}\n\
         [config]\nconsume = \"{deed}\"\n\
         [topics]\nworms = {{ partitions = 2 }}\n\
         [limits]\nmemory = \"64MiB\"\ntimeout = \"1s\"\n"
    )
}

async fn ordeal(deed: &str) {
    let scene = Scene::open().await;
    scene.host.install("biter.toml", manifest(deed));
    scene.host.install("biter.wasm", fs::read(component("abuser")).unwrap());
    scene.host.until_plugin("biter", |status| status["state"] == "live").await;
    let attack = async {
        for _ in 0..3 {
            let record = "{\"records\":[{\"value\":\"worm\"}]}";
            let taken = scene.host.admin_post("/api/topics/worms/records", record).await;
            assert!((200..300).contains(&taken.status), "{taken:?}");
        }
        // Each comes twice, then it is a dead letter, and the partition goes on.
        scene.host.records("worms.dead.biter", 3).await;
    };
    scene.during(attack).await;
    scene.close().await;
}

#[tokio::test]
async fn a_consumer_that_never_returns_blocks_nobody_and_in_the_end_not_even_itself() {
    ordeal("loop").await;
}

#[tokio::test]
async fn a_consumer_that_sleeps_is_woken_and_its_messages_go_on() {
    ordeal("sleep").await;
}

#[tokio::test]
async fn a_consumer_that_traps_loses_its_messages_to_the_dead_letters() {
    ordeal("panic").await;
}

#[tokio::test]
async fn a_consumer_that_sends_without_end_is_cut_off() {
    ordeal("spam").await;
}
