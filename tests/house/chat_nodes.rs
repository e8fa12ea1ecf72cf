//! The chat on two hosts whose topics are in one Kafka cluster: one room, one order, one list of who
//! is here.

use serde_json::{Value, json};

use crate::{
    channels_nodes::{start, two},
    chat::{self, Guest, LOBBY, token},
    support::Host,
};

/// What the hosts share, beside what the chat needs.
fn settings(broker: &servers::Broker) -> String {
    let broker = broker.plain();
    chat::settings(&format!("[log]\nbackend = \"kafka\"\n[log.kafka]\nbrokers = [\"{broker}\"]\n"))
}

/// Somebody who comes to look who is here, and who that is.
async fn look(host: &Host, name: &str) -> (Guest, Vec<String>) {
    let mut guest = Guest::join(host, name).await;
    guest.ok("phx_leave", json!({})).await;
    guest.push(LOBBY, "phx_join", json!({})).await;
    let names = people(&guest.event("presence_state").await);
    guest.ok("authorize", json!({"user": name})).await;
    (guest, names)
}

fn people(state: &Value) -> Vec<String> {
    state.as_object().unwrap().keys().cloned().collect()
}

/// The next change in which somebody leaves: who.
async fn leaves(guest: &mut Guest) -> Vec<String> {
    loop {
        let left = people(&guest.event("presence_diff").await["leaves"]);
        if !left.is_empty() {
            return left;
        }
    }
}

#[tokio::test]
async fn people_of_two_hosts_share_a_room_and_those_of_a_killed_host_leave_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let [mut one, other] = two(&["chat"], &settings(&broker)).await;
    let mut ada = Guest::join(&one, "ada").await;
    let mut eve = Guest::join(&one, "eve").await;
    let mut bob = Guest::join(&other, "bob").await;
    ada.say("hello").await;
    // Of what is said on two hosts at once, either may come first.
    assert_eq!(bob.message().await["body"], "hello");
    bob.say("hello yourself").await;
    assert_eq!(ada.message().await["body"], "hello");
    for guest in [&mut ada, &mut bob] {
        assert_eq!(guest.message().await["body"], "hello yourself");
    }
    eve.ok("phx_leave", json!({})).await;
    assert_eq!(leaves(&mut bob).await, ["eve"]);

    one.kill();
    let begun = std::time::Instant::now();
    assert_eq!(leaves(&mut bob).await, ["ada"]);
    println!("they left {:?} after the kill", begun.elapsed());
    let (mut carol, here) = look(&other, "carol").await;
    assert_eq!(here, ["bob"], "who is here when carol comes");
    carol.say("who else?").await;
    // Nobody else has left before that, and nobody twice.
    loop {
        let frame = bob.socket.json().await;
        let left = frame[3] == "presence_diff" && frame[4]["leaves"] != json!({});
        assert!(!left || people(&frame[4]["leaves"]) == ["carol"], "{frame}");
        if frame[3] == "new:msg" {
            break;
        }
    }
}

#[tokio::test]
async fn who_is_banned_on_one_host_is_put_out_of_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let [one, other] = two(&["chat"], &settings(&broker)).await;
    let mut eve = Guest::join_from(&one, "eve", "203.0.113.66").await;
    let mut boss = Guest::join(&other, "guest").await;
    let proof = token("boss", "moderator");
    boss.ok("authorize_token", json!({"user": "boss", "token": proof})).await;
    // She is known here in a moment.
    other
        .eventually(async || {
            let answer = boss.ask(LOBBY, "ban", json!({"user": "eve", "reason": "a test"})).await;
            if answer["status"] == "ok" { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    assert_eq!(eve.event("banned").await["reason"], "a test");
    assert_eq!(eve.socket.closed().await, 1008);
}
