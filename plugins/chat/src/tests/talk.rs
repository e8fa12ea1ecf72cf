//! What is said: kept, told, paced.

use serde_json::json;

use super::memory::{LOBBY, Memory};
use crate::phoenix::Ref;
use crate::session::{Joined, MAX_TOPICS, Session};

#[test]
fn a_message_is_kept_and_told_with_its_number() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let bob = world.enter("2");
    world.inbox.clear();
    let answer = world.say(ada, "ada", " hello\0 ");
    assert_eq!(answer["response"], json!({"msg": "hello", "id": 1}));
    let told = &world.got(bob, "new:msg")[0];
    assert_eq!(
        (&told["id"], &told["user"], &told["body"]),
        (&json!(1), &json!("ada"), &json!("hello"))
    );
    assert_eq!((&told["verified"], &told["timestamp"]), (&json!(false), &json!(world.now_ms)));
    assert_eq!(world.got(ada, "new:msg").len(), 1);
    assert_eq!(world.messages.len(), 1);
    assert_eq!(world.bridged.len(), 1);
}

#[test]
fn a_clients_time_is_believed_when_its_clock_is_nearly_right() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let now = world.now_ms;
    for (said, wanted) in [(now - 1000, now - 1000), (now - 3_600_000, now), (0, now)] {
        let payload = json!({"user": "ada", "body": said.to_string(), "timestamp": said});
        world.ask(ada, LOBBY, "new:msg", payload);
        assert_eq!(world.got(ada, "new:msg").last().unwrap()["timestamp"], wanted);
    }
}

#[test]
fn a_message_with_a_token_has_the_role_of_the_token() {
    let mut world = Memory::new();
    let ada = world.enter("1");
    let token = world.token("ada", "dj");
    let payload = json!({"user": "ada", "body": "hi", "token": token, "role": "admin"});
    assert_eq!(world.ask(ada, LOBBY, "new:msg_with_token", payload)["status"], "ok");
    let told = &world.got(ada, "new:msg")[0];
    assert_eq!((&told["role"], &told["verified"]), (&json!("dj"), &json!(true)));
    assert!(told.get("token").is_none());
}

#[test]
fn who_has_a_name_speaks_under_no_other() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    assert_eq!(world.say(ada, "bob", "hi")["response"]["reason"], "name_mismatch");
    assert!(world.messages.is_empty());
    // Who has none may use one that nobody has, again and again.
    let bot = world.enter("2");
    assert_eq!(world.say(bot, "bot", "1")["status"], "ok");
    assert_eq!(world.say(bot, "bot", "2")["status"], "ok");
    assert_eq!(world.say(bot, "", "3")["response"]["reason"], "bad_name");
}

#[test]
fn a_message_has_a_body_of_some_length() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    assert_eq!(world.say(ada, "ada", " \n ")["response"]["reason"], "empty_message");
    assert_eq!(world.refusal(ada, "new:msg", json!({"user": "ada", "body": 7})), "empty_message");
    let answer = world.say(ada, "ada", &"é".repeat(1001));
    let wanted = json!({"reason": "message_too_long", "max_message_length": 1000});
    assert_eq!(answer["response"], wanted);
    assert_eq!(world.say(ada, "ada", &"é".repeat(1000))["status"], "ok");
}

#[test]
fn five_messages_at_once_and_then_one_a_second() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    for n in 0..5 {
        assert_eq!(world.say(ada, "ada", &n.to_string())["status"], "ok");
    }
    let answer = world.say(ada, "ada", "6");
    assert_eq!(answer["response"], json!({"reason": "rate_limited", "retry_after_ms": 1000}));
    world.now_ms += 5_000;
    assert_eq!(world.say(ada, "ada", "6")["status"], "ok");
}

#[test]
fn an_account_is_held_to_its_pace_over_all_its_connections() {
    let mut world = Memory::new();
    let clients = ["1", "2", "3"].map(|origin| world.member(origin, "ada", ""));
    let mut allowed = 0;
    for n in 0..9 {
        let answer = world.say(clients[n % 3], "ada", &n.to_string());
        allowed += usize::from(answer["status"] == "ok");
    }
    assert_eq!(allowed, 5);
}

#[test]
fn an_address_is_held_to_its_pace_over_all_its_connections() {
    let mut world = Memory::new();
    let mut allowed = 0;
    for client in 0..6 {
        let name = format!("c{client}");
        let connection = world.named("1", &name);
        for n in 0..5 {
            let answer = world.say(connection, &name, &n.to_string());
            allowed += usize::from(answer["status"] == "ok");
        }
    }
    assert_eq!(allowed, 20);
}

#[test]
fn a_flood_of_frames_is_answered_and_goes_no_further() {
    let mut world = Memory::new();
    let ada = world.enter("1");
    world.inbox.clear();
    for _ in 0..100 {
        world.ask(ada, LOBBY, "history", json!({}));
    }
    let answers = world.got(ada, "phx_reply");
    let limited = answers.iter().filter(|answer| answer["response"]["reason"] == "rate_limited");
    // 60 frames at once, five of them for the join and for each page.
    assert_eq!((answers.len(), limited.count()), (100, 89));
}

#[test]
fn a_message_that_comes_twice_is_one() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let payload = json!({"user": "ada", "body": "hi", "nonce": "n1"});
    assert_eq!(world.ask(ada, LOBBY, "new:msg", payload.clone())["response"]["id"], 1);
    // The answer was lost with the connection, and the client says it again on the next.
    world.end(ada);
    let ada = world.named("1", "ada");
    assert_eq!(world.ask(ada, LOBBY, "new:msg", payload)["response"]["id"], 1);
    assert_eq!((world.messages.len(), world.got(ada, "new:msg").len()), (1, 0));
    // An event that the host hands over again is told again, with the same number.
    let text = json!([null, "9", LOBBY, "new:msg", {"user": "ada", "body": "ho"}]).to_string();
    world.receive(ada, &text);
    world.receive(ada, &text);
    let ids: Vec<_> = world.got(ada, "new:msg").iter().map(|m| m["id"].clone()).collect();
    assert_eq!((world.messages.len(), ids), (2, vec![json!(2), json!(2)]));
}

#[test]
fn history_is_read_in_pages_without_a_gap() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    for n in 1..=120 {
        world.now_ms += 6_000;
        assert_eq!(world.say(ada, "ada", &n.to_string())["status"], "ok");
    }
    let mut seen = Vec::new();
    loop {
        world.now_ms += 6_000;
        let after = seen.last().copied().unwrap_or(0);
        let page = world.ask(ada, LOBBY, "history", json!({"after": after}))["response"].clone();
        seen.extend(page["messages"].as_array().unwrap().iter().map(|m| m["id"].as_u64().unwrap()));
        assert_eq!(page["last"], 120);
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, (1..=120).collect::<Vec<u64>>());
    let page = world.ask(ada, LOBBY, "history", json!({"before": 11}))["response"].clone();
    assert_eq!(page["messages"].as_array().unwrap().len(), 10);
    let page = world.ask(ada, LOBBY, "history", json!({}))["response"].clone();
    assert_eq!((&page["messages"][0]["id"], &page["more"]), (&json!(71), &json!(true)));
}

#[test]
fn without_a_database_nothing_is_said_and_nobody_falls() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    world.is_down = true;
    assert_eq!(world.say(ada, "ada", "hi")["response"]["reason"], "unavailable");
    assert_eq!(world.ask(ada, LOBBY, "history", json!({}))["response"]["reason"], "unavailable");
    let bob = world.enter("2");
    assert_eq!(world.refusal(bob, "authorize", json!({"user": "bob"})), "unavailable");
    world.is_down = false;
    assert_eq!(world.say(ada, "ada", "hi")["status"], "ok");
}

#[test]
fn a_track_counts_once_in_a_while() {
    let mut world = Memory::new();
    let ada = world.enter("1");
    for track in [json!(7), json!("7"), json!("a-b_c.d")] {
        let answer = world.ask(ada, LOBBY, "track_playback", json!({"track_id": track}));
        assert_eq!(answer["status"], "ok");
    }
    assert_eq!((world.plays["7"], world.plays["a-b_c.d"]), (1, 1));
    world.now_ms += 30_000;
    world.ask(ada, LOBBY, "track_playback", json!({"track_id": 7}));
    assert_eq!(world.plays["7"], 2);
    for track in [json!(""), json!("a b"), json!("x".repeat(65)), json!({}), json!(null)] {
        let refusal = world.refusal(ada, "track_playback", json!({"track_id": track}));
        assert_eq!(refusal, "bad_track");
    }
}

#[test]
fn the_largest_session_fits_into_a_tag() {
    let mut world = Memory::new();
    let ada = world.enter("1");
    let name = "\u{1f34d}".repeat(30);
    let (url, line) = (format!("https://{}", "x".repeat(292)), "\"".repeat(30));
    let payload = json!({
        "user": name, "token": world.token(&name, &"\\".repeat(30)),
        "avatarUrl": url, "style": line, "pronouns": line,
    });
    let answer = world.ask(ada, LOBBY, "authorize_token", payload);
    assert_eq!(answer["status"], "ok", "{answer}");
    let mut session: Session = world.sessions[&ada].clone();
    session.joined = (0..MAX_TOPICS)
        .map(|n| Joined {
            topic: format!("rooms:{n}{}", "x".repeat(120)),
            join_ref: Ref::Text("\"".repeat(32)),
        })
        .collect();
    assert!(session.tag().len() <= 4096, "{}", session.tag().len());
}
