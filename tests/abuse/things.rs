//! Ten thousand of everything, and all the disk that can be had.

use tokio::net::TcpListener;

use crate::scene::{Scene, tail};

async fn ordeal(deeds: &[&str], expected: &[u16]) {
    let scene = Scene::open().await;
    for deed in deeds {
        let statuses = scene.during(scene.crowd(deed, "")).await;
        let unexpected: Vec<_> = statuses.iter().filter(|got| !expected.contains(got)).collect();
        assert!(unexpected.is_empty(), "{deed}: {unexpected:?}\n{}", tail(&scene.host));
        assert!(statuses.contains(&expected[0]), "{deed}: {statuses:?}");
    }
    scene.close().await;
}

#[tokio::test]
async fn handles_that_are_never_let_go_run_out() {
    ordeal(&["buckets", "timers"], &[500, 503]).await;
}

#[tokio::test]
async fn fields_that_are_never_let_go_count_as_memory() {
    let scene = Scene::open().await;
    // Whichever comes first, the end of the memory or of the time.
    let statuses = scene.during(scene.crowd("fields", "")).await;
    assert!(statuses.iter().all(|status| [500, 503, 504].contains(status)), "{statuses:?}");
    scene.close().await;
}

#[tokio::test]
async fn transactions_that_are_never_let_go_run_out() {
    // Those whose turn never comes are told so, or late.
    ordeal(&["transactions"], &[504, 503, 500, 409]).await;
}

#[tokio::test]
async fn requests_to_a_server_that_never_answers_run_out() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let scene = Scene::open().await;
    let taken = async {
        let mut held = Vec::new();
        loop {
            held.push(silent.accept().await.unwrap());
        }
    };
    let attack = async {
        tokio::select! {
            statuses = scene.crowd("calls", &address) => statuses,
            () = taken => unreachable!("it accepts for ever"),
        }
    };
    let statuses = scene.during(attack).await;
    assert!(statuses.iter().all(|status| [500, 503, 504].contains(status)), "{statuses:?}");
    scene.close().await;
}

#[tokio::test]
async fn a_full_database_is_full_for_its_plugin_alone() {
    let scene = Scene::open().await;
    let filling = async {
        scene.crowd("rows", "").await;
        // A slow disk takes more than one attack.
        scene.host.until("/abuser/rows", |answer| answer.status == 409).await
    };
    let full = scene.during(filling).await;
    assert!(full.text().contains("full"), "{}", full.text());
    scene.close().await;
}

#[tokio::test]
async fn a_query_without_end_is_cut_off() {
    ordeal(&["query"], &[504, 503, 409]).await;
}

#[tokio::test]
async fn values_under_ever_new_keys_wait_for_their_turn() {
    ordeal(&["keys"], &[504, 503]).await;
}
