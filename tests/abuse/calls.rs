//! Calls that take time, memory, stack, lines, numbers: each caller is told, nobody else notices.

use crate::scene::{CROWD, Scene, tail};

/// The deed done by a crowd: every answer is one of these, and the first of them is there.
async fn ordeal(deed: &str, expected: &[u16]) {
    let scene = Scene::open().await;
    let statuses = scene.during(scene.crowd(deed, "")).await;
    let unexpected: Vec<_> = statuses.iter().filter(|got| !expected.contains(got)).collect();
    assert!(unexpected.is_empty(), "{deed}: {unexpected:?}\n{}", tail(&scene.host));
    assert!(statuses.contains(&expected[0]), "{deed}: {statuses:?}");
    scene.close().await;
}

#[tokio::test]
async fn loops_are_cut_off() {
    ordeal("loop", &[504, 503]).await;
}

#[tokio::test]
async fn naps_between_computations_give_no_right_to_the_processor() {
    ordeal("nap", &[504, 503]).await;
}

#[tokio::test]
async fn sleep_ends_at_the_deadline() {
    ordeal("sleep", &[504, 503]).await;
}

#[tokio::test]
async fn memory_is_shared_by_all_calls_of_a_plugin() {
    ordeal("allocate", &[500, 503, 504]).await;
}

#[tokio::test]
async fn a_stack_without_end_ends() {
    ordeal("recurse", &[500, 503]).await;
}

#[tokio::test]
async fn traps_cost_their_callers_alone() {
    ordeal("panic", &[500, 503]).await;
}

#[tokio::test]
async fn random_bytes_come_in_small_pieces() {
    ordeal("random", &[500, 503]).await;
}

#[tokio::test]
async fn a_flood_of_lines_leaves_the_log_to_others() {
    let scene = Scene::open().await;
    let statuses = scene.during(scene.crowd("log", "")).await;
    assert!(statuses.iter().all(|status| [503, 504].contains(status)), "{statuses:?}");
    let lines = scene.host.admin("/api/logs?plugin=innocent").await.text();
    assert!(lines.contains("live in"), "what was said of others is gone: {lines}");
    scene.close().await;
}

#[tokio::test]
async fn a_flood_of_output_is_a_flood_of_lines() {
    ordeal("print", &[504, 503]).await;
}

#[tokio::test]
async fn series_come_to_an_end() {
    let scene = Scene::open().await;
    let statuses = scene.during(scene.crowd("series", "")).await;
    assert!(statuses.iter().all(|status| [503, 504].contains(status)), "{statuses:?}");
    let metrics = scene.host.admin("/metrics").await.text();
    let series = metrics.lines().filter(|line| line.starts_with("plugin_flood{")).count();
    assert!((1..=1000).contains(&series), "{series}");
    scene.close().await;
}

#[tokio::test]
async fn observations_do_not_pile_up() {
    ordeal("values", &[504, 503]).await;
}

#[tokio::test]
async fn records_without_end_wait_for_their_turn() {
    ordeal("spam", &[504, 503]).await;
}

#[tokio::test]
async fn pages_lines_and_lists_beyond_all_measure_are_refused() {
    let scene = Scene::open().await;
    for deed in ["page", "line", "list", "headers"] {
        let statuses = scene.during(scene.crowd(deed, "")).await;
        let refused = statuses.iter().all(|status| [500, 503, 504].contains(status));
        assert!(refused && statuses.contains(&500), "{deed}: {statuses:?}");
    }
    scene.close().await;
}

/// A component written by hand, because no toolchain makes one like it, asked by a crowd.
async fn ordeal_of(name: &str, component: &str) {
    let scene = Scene::open().await;
    scene.host.install(
        &format!("{name}.toml"),
        format!(
            "name = \"{name}\"\n[http]\nroutes = [\"/{name}\"]\n\
             [limits]\nmemory = \"32MiB\"\ntimeout = \"1s\"\n"
        ),
    );
    scene.host.install(&format!("{name}.wasm"), wat::parse_str(component).unwrap());
    scene.host.until_plugin(name, |status| status["state"] == "live").await;
    let path = format!("/{name}");
    let crowd = futures_util::future::join_all((0..CROWD).map(|_| scene.host.get(&path)));
    let answers = scene.during(crowd).await;
    let told = answers.iter().all(|answer| [500, 503, 504].contains(&answer.status));
    assert!(told, "{answers:?}\n{}", tail(&scene.host));
    scene.close().await;
}

#[tokio::test]
async fn lengths_that_lie_are_not_believed() {
    ordeal_of("liar", include_str!("guests/liar.wat")).await;
}

#[tokio::test]
async fn many_memories_are_one_memory() {
    ordeal_of("hoarder", include_str!("guests/hoarder.wat")).await;
}
