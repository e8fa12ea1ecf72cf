//! Joining, leaving, and who is called what.

use serde_json::json;

use super::memory::{LOBBY, Memory};

#[test]
fn a_heartbeat_is_answered() {
    let mut world = Memory::new();
    let ada = world.connect("1");
    world.receive(ada, r#"[null,"7","phoenix","heartbeat",{}]"#);
    let wanted = json!([null, "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]);
    assert_eq!(world.inbox[&ada], [wanted]);
}

#[test]
fn the_lobby_and_the_feeds_are_open_and_other_rooms_are_not() {
    let mut world = Memory::new();
    let ada = world.connect("1");
    for topic in [LOBBY, "metadata", "notifications"] {
        assert_eq!(world.ask(ada, topic, "phx_join", json!({}))["status"], "ok", "{topic}");
    }
    for (topic, reason) in [("rooms:secret", "unauthorized"), ("other", "unmatched topic")] {
        let answer = world.ask(ada, topic, "phx_join", json!({}));
        assert_eq!(answer, json!({"status": "error", "response": {"reason": reason}}));
    }
    let answer = world.ask(ada, "metadata", "metadata", json!({"message": "mine"}));
    assert_eq!(answer["response"]["reason"], "unknown_event");
}

#[test]
fn who_joins_learns_who_is_here_and_what_was_said() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    world.say(ada, "ada", "hello");
    let bob = world.enter("2");
    let events: Vec<_> = world.inbox[&bob].iter().map(|frame| frame[3].clone()).collect();
    let wanted = ["phx_reply", "user:entered", "join", "presence_state", "history"];
    assert_eq!(events, wanted.map(|event| json!(event)));
    assert_eq!(world.got(bob, "join"), [json!({"status": "connected"})]);
    let state = &world.got(bob, "presence_state")[0];
    assert_eq!(state["ada"]["metas"][0]["username"], "ada");
    assert!(state["ada"]["metas"][0]["phx_ref"].is_string());
    let history = &world.got(bob, "history")[0];
    assert_eq!(history["messages"][0]["body"], "hello");
    assert_eq!((&history["last"], &history["more"]), (&json!(1), &json!(false)));
}

#[test]
fn frames_for_one_client_have_its_join_ref_and_broadcasts_have_none() {
    let mut world = Memory::new();
    let ada = world.connect("1");
    world.receive(ada, &json!(["3", "4", LOBBY, "phx_join", {}]).to_string());
    for frame in &world.inbox[&ada] {
        let wanted = if frame[3] == "user:entered" { json!(null) } else { json!("3") };
        assert_eq!(frame[0], wanted, "{frame}");
    }
}

#[test]
fn a_name_is_told_to_everybody() {
    let mut world = Memory::new();
    let bob = world.enter("2");
    let ada = world.enter("1");
    world.inbox.clear();
    let payload = json!({"user": "ada", "pronouns": "she/her", "role": "admin", "avatarUrl": "x"});
    let answer = world.ask(ada, LOBBY, "authorize", payload);
    assert_eq!(answer["response"]["msg"], "ada authorized");
    assert_eq!(world.got(bob, "user:authorized"), [json!({"user": "ada"})]);
    let diff = &world.got(bob, "presence_diff")[0];
    let meta = &diff["joins"]["ada"]["metas"][0];
    assert_eq!((&meta["pronouns"], &meta["verified"]), (&json!("she/her"), &json!(false)));
    // A role is what a token says, and a picture has an address.
    assert_eq!((meta.get("role"), meta.get("avatarUrl")), (None, None));
    assert_eq!(diff["leaves"], json!({}));
    let authorized = &world.got(ada, "authorized")[0];
    assert_eq!((&authorized["status"], &authorized["user"]), (&json!("authorized"), &json!("ada")));
    assert!(world.got(bob, "authorized").is_empty());
}

#[test]
fn a_name_of_thirty_one_characters_is_refused() {
    let mut world = Memory::new();
    let ada = world.enter("1");
    assert_eq!(world.refusal(ada, "authorize", json!({"user": "x".repeat(31)})), "bad_name");
    let told = &world.got(ada, "notauthorized")[0];
    assert_eq!(told["error"], "a name has at most 30 characters");
    // One of a megabyte as well, and the connection goes on.
    assert_eq!(world.refusal(ada, "authorize", json!({"user": "x".repeat(1 << 20)})), "bad_name");
    assert_eq!(world.ask(ada, LOBBY, "authorize", json!({"user": "ada"}))["status"], "ok");
}

#[test]
fn a_name_that_somebody_has_is_refused() {
    let mut world = Memory::new();
    world.named("1", "ada");
    let eve = world.enter("2");
    assert_eq!(world.refusal(eve, "authorize", json!({"user": "ADA"})), "name_taken");
    assert_eq!(world.refusal(eve, "new:msg", json!({"user": "ada", "body": "hi"})), "name_taken");
    let guess = json!({"user": "ada", "session": "guessed"});
    assert_eq!(world.refusal(eve, "authorize", guess), "name_taken");
}

#[test]
fn a_client_that_lost_its_connection_has_its_name_back() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let session = world.sessions[&ada].key.clone();
    let again = world.enter("2");
    world.inbox.clear();
    let answer = world.ask(again, LOBBY, "authorize", json!({"user": "ada", "session": session}));
    assert_eq!(answer["status"], "ok");
    assert_eq!(world.closed, [(ada, 4000)]);
    world.end(ada);
    // She did not leave.
    assert!(world.got(again, "user:left").is_empty());
}

#[test]
fn a_name_is_free_when_its_owner_has_gone() {
    let mut world = Memory::new();
    let bob = world.named("2", "bob");
    let ada = world.named("1", "ada");
    let reference = world.sessions[&ada].meta.clone().unwrap()["phx_ref"].clone();
    world.end(ada);
    assert_eq!(world.got(bob, "user:left"), [json!({"user": "ada"})]);
    let diff = &world.got(bob, "presence_diff")[0];
    assert_eq!(diff["leaves"]["ada"]["metas"][0]["phx_ref"], reference);
    world.named("3", "ada");
}

#[test]
fn a_name_with_a_token_is_the_members_own() {
    let mut world = Memory::new();
    let eve = world.named("2", "Ada");
    let ada = world.member("1", "ada", "dj");
    // Who sat on it is not shown any more, and cannot speak under it.
    let eves = world.refusal(eve, "new:msg", json!({"user": "Ada", "body": "it is me"}));
    assert_eq!(eves, "name_registered");
    world.end(ada);
    let mallory = world.enter("3");
    let refusal = world.refusal(mallory, "authorize", json!({"user": "ada"}));
    assert_eq!(refusal, "name_registered");
    assert_eq!(world.refusal(mallory, "authorize", json!({"user": "Admin"})), "name_registered");
}

#[test]
fn a_member_is_shown_once_for_each_connection() {
    let mut world = Memory::new();
    world.member("1", "ada", "dj");
    world.member("2", "ada", "dj");
    let bob = world.enter("3");
    let metas = world.got(bob, "presence_state")[0]["ada"]["metas"].clone();
    assert_eq!(metas.as_array().unwrap().len(), 2);
    assert_eq!((&metas[0]["role"], &metas[0]["verified"]), (&json!("dj"), &json!(true)));
}

#[test]
fn a_token_for_another_name_is_refused() {
    let mut world = Memory::new();
    let eve = world.enter("1");
    let token = world.token("eve", "");
    let payload = json!({"user": "ada", "token": token});
    assert_eq!(world.refusal(eve, "authorize_token", payload), "bad_token");
    assert_eq!(world.got(eve, "notauthorized").len(), 1);
    let payload = json!({"user": "ada", "token": "a.b.c", "body": "hi"});
    assert_eq!(world.refusal(eve, "new:msg_with_token", payload), "bad_token");
    assert_eq!(world.refusal(eve, "authorize_token", json!({"user": "ada"})), "bad_token");
}

#[test]
fn a_token_that_has_expired_proves_nothing_any_more() {
    let mut world = Memory::new();
    let ada = world.member("1", "ada", "admin");
    let token = world.token("ada", "admin");
    world.now_ms += 3_601_000;
    assert_eq!(
        world.refusal(ada, "new:msg", json!({"user": "ada", "body": "hi"})),
        "token_expired"
    );
    assert_eq!(world.refusal(ada, "ban", json!({"user": "bob"})), "forbidden");
    let payload = json!({"user": "ada", "token": token});
    assert_eq!(world.refusal(ada, "authorize_token", payload), "token_expired");
}

#[test]
fn who_leaves_is_told_and_may_come_back() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let bob = world.enter("2");
    world.inbox.clear();
    assert_eq!(world.ask(ada, LOBBY, "phx_leave", json!({}))["status"], "ok");
    assert_eq!(world.got(ada, "phx_close").len(), 1);
    assert_eq!(world.got(bob, "user:left"), [json!({"user": "ada"})]);
    assert_eq!(world.say(ada, "ada", "hi")["response"]["reason"], "unmatched topic");
    assert_eq!(world.ask(ada, LOBBY, "phx_leave", json!({}))["status"], "ok");
    assert_eq!(world.ask(ada, LOBBY, "phx_join", json!({}))["status"], "ok");
    assert_eq!(world.ask(ada, LOBBY, "authorize", json!({"user": "ada"}))["status"], "ok");
}

#[test]
fn a_newer_join_takes_the_place_of_the_older_one() {
    let mut world = Memory::new();
    let ada = world.connect("1");
    world.receive(ada, &json!(["1", "1", LOBBY, "phx_join", {}]).to_string());
    world.receive(ada, &json!(["2", "2", LOBBY, "phx_join", {}]).to_string());
    let close = json!(["1", "1", LOBBY, "phx_close", {}]);
    assert!(world.inbox[&ada].contains(&close));
    // What was meant for the older one is not answered.
    world.inbox.clear();
    world.receive(ada, &json!(["1", "3", LOBBY, "authorize", {"user": "ada"}]).to_string());
    assert!(world.inbox.is_empty());
    world.receive(ada, &json!(["2", "4", LOBBY, "authorize", {"user": "ada"}]).to_string());
    assert!(!world.inbox.is_empty());
}

#[test]
fn disconnect_gives_the_name_up_and_keeps_the_room() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    let answer = world.ask(ada, LOBBY, "disconnect", json!({"user": "ada"}));
    assert_eq!(answer["response"]["msg"], "ada disconnected");
    assert_eq!(world.got(ada, "user:left"), [json!({"user": "ada"})]);
    let bob = world.named("2", "ada");
    assert_eq!(world.say(bob, "ada", "mine now")["status"], "ok");
    assert_eq!(world.got(ada, "new:msg").len(), 1);
}

#[test]
fn another_name_takes_the_place_of_the_first() {
    let mut world = Memory::new();
    let ada = world.named("1", "ada");
    assert_eq!(world.ask(ada, LOBBY, "authorize", json!({"user": "lovelace"}))["status"], "ok");
    let diff = &world.got(ada, "presence_diff")[0];
    assert!(diff["joins"]["lovelace"].is_object() && diff["leaves"]["ada"].is_object());
    assert_eq!(world.got(ada, "user:left"), [json!({"user": "ada"})]);
    world.named("2", "ada");
}
