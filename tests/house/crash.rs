//! The host is killed while clients send, and every acknowledged event is counted once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::support::Host;

/// How often the host is killed.
const ROUNDS: usize = 3;
/// Clients that send at the same time.
const CLIENTS: usize = 8;

/// What the clients know of their events, each of which has a type of its own.
#[derive(Default)]
struct Sent {
    next: AtomicU64,
    acknowledged: watch::Sender<u64>,
}

/// Send events until the host is gone: those that were acknowledged, and those of which nobody
/// knows.
async fn client(host: &Host, sent: &Sent) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut acknowledged, mut unanswered) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let event = format!("e-{}", sent.next.fetch_add(1, Ordering::Relaxed));
        let request = http::Request::get(host.url(&format!("/t/{event}")));
        let answer = host.try_request(request.body(Default::default()).unwrap()).await;
        match answer {
            Ok(answer) if answer.status == 200 => {
                sent.acknowledged.send_modify(|count| *count += 1);
                acknowledged.insert(event);
            }
            Ok(_) => drop(unanswered.insert(event)),
            Err(_) => {
                unanswered.insert(event);
                return (acknowledged, unanswered);
            }
        }
    }
}

#[tokio::test]
async fn every_acknowledged_event_is_counted_once_whenever_the_host_is_killed() {
    let mut host = Host::start(&["tracker", "enricher", "counters"]).await;
    let sent = Sent::default();
    let (mut acknowledged, mut unanswered) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..ROUNDS {
        let enough = *sent.acknowledged.borrow() + fastrand::u64(1..400);
        let clients = futures_util::future::join_all((0..CLIENTS).map(|_| client(&host, &sent)));
        let end = async {
            let mut acknowledged = sent.acknowledged.subscribe();
            acknowledged.wait_for(|count| *count >= enough).await.unwrap();
            host.strike();
        };
        let (clients, ()) = tokio::join!(clients, end);
        for (known, unknown) in clients {
            acknowledged.extend(known);
            unanswered.extend(unknown);
        }
        host.kill();
        host.run().await;
    }
    host.until_all_counted().await;
    let data = host.get("/consumers/event_counter/data?limit=100000").await.json();
    let pairs = data["data"].as_array().unwrap().iter();
    let counted: BTreeMap<String, u64> = pairs
        .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_u64().unwrap()))
        .collect();
    let lost: Vec<_> = acknowledged.iter().filter(|event| !counted.contains_key(*event)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let doubled: Vec<_> = counted.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "counted more than once: {doubled:?}");
    let known = |event: &String| acknowledged.contains(event) || unanswered.contains(event);
    assert!(counted.keys().all(known), "counted and never sent");
    assert_eq!(host.stop().await, Some(0));
}
