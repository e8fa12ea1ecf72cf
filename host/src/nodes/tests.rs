#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use super::*;
use crate::{backends::keyvalue::embedded::Embedded, plugins::status};

/// A host on a store that others share.
struct House {
    nodes: Nodes,
    state: watch::Sender<State>,
}

fn house(store: &Embedded, name: &str, settings: &Settings) -> House {
    let (sender, state) = watch::channel(State::Starting);
    let addresses = node::Addresses {
        http: vec![(Ipv4Addr::LOCALHOST, 8080).into()],
        admin: (Ipv4Addr::LOCALHOST, 9080).into(),
    };
    let settings = Settings { name: Some(name.into()), ..settings.clone() };
    let statuses = || vec![Status::new("tracker".into(), status::State::Live, 0)];
    House { nodes: Nodes::new(store, settings, addresses, statuses, state), state: sender }
}

fn store() -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(&dir.path().join("keyvalue")).unwrap();
    (dir, store)
}

fn shown(nodes: &[Node]) -> Vec<(&str, &str)> {
    nodes.iter().map(|node| (node.name.as_str(), node.state.as_str())).collect()
}

#[tokio::test]
async fn every_node_sees_every_other_with_its_state_and_its_plugins() {
    let (_dir, store) = store();
    let [a, b] = ["a", "b"].map(|name| house(&store, name, &Settings::default()));
    b.state.send_replace(State::Ready);
    a.nodes.beat().await.unwrap();
    b.nodes.beat().await.unwrap();
    let seen = a.nodes.list().await.unwrap();
    assert_eq!(shown(&seen), [("a", "starting"), ("b", "ready")]);
    assert_eq!(seen, b.nodes.list().await.unwrap());
    assert_eq!(seen[1].plugins[0].name, "tracker");
}

#[tokio::test]
async fn a_node_that_ends_in_order_leaves_the_list_and_a_silent_one_is_lost_then_forgotten() {
    let (_dir, store) = store();
    let quick = Settings { lost_after: Millis(0), ..Settings::default() };
    let [a, b] = ["a", "b"].map(|name| house(&store, name, &quick));
    a.nodes.beat().await.unwrap();
    b.nodes.beat().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(shown(&a.nodes.list().await.unwrap()), [("a", "lost"), ("b", "lost")]);

    let closed = CancellationToken::new();
    closed.cancel();
    b.nodes.run(closed).await;
    assert_eq!(shown(&a.nodes.list().await.unwrap()), [("a", "lost")]);

    let forgetful = Settings { forgotten_after: Millis(0), ..quick };
    let c = house(&store, "c", &forgetful);
    tokio::time::sleep(Duration::from_millis(2)).await;
    c.nodes.beat().await.unwrap();
    assert!(a.nodes.list().await.unwrap().iter().all(|node| node.name == "c"), "a is forgotten");
}

#[tokio::test]
async fn a_change_of_state_is_told_at_once() {
    let (_dir, store) = store();
    let slow = Settings { beat: Millis(3_600_000), ..Settings::default() };
    let a = house(&store, "a", &slow);
    let (closed, watcher) = (CancellationToken::new(), house(&store, "b", &slow));
    let (state, nodes) = (a.state, Arc::new(a.nodes));
    let running = tokio::spawn({
        let (nodes, closed) = (Arc::clone(&nodes), closed.clone());
        async move { nodes.run(closed).await }
    });
    for (next, told) in [(State::Ready, "ready"), (State::Stopping, "stopping")] {
        state.send_replace(next);
        while shown(&watcher.nodes.list().await.unwrap()) != [("a", told)] {
            tokio::task::yield_now().await;
        }
    }
    closed.cancel();
    running.await.unwrap();
    assert!(watcher.nodes.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out() {
    let (_dir, store) = store();
    let a = house(&store, "a", &Settings::default());
    let foreign = store.store(Namespace::Host("nodes"));
    foreign.set_many(vec![("x".into(), "{}".into())]).await.unwrap();
    a.nodes.beat().await.unwrap();
    assert_eq!(shown(&a.nodes.list().await.unwrap()), [("a", "starting")]);
}
