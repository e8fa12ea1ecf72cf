//! Bans and mutes.

use serde_json::{Value, json};

use super::memory::{LOBBY, Memory};

#[test]
fn a_stranger_may_not_ban() {
    let mut world = Memory::new();
    world.named("1", "ada");
    let eve = world.named("2", "eve");
    let dj = world.member("3", "carl", "dj");
    for event in ["ban", "mute", "unban", "unmute"] {
        assert_eq!(world.refusal(eve, event, json!({"user": "ada"})), "forbidden");
        assert_eq!(world.refusal(dj, event, json!({"user": "ada"})), "forbidden");
        let payload = json!({"user": "ada", "role": "admin", "token": "a.b.c"});
        assert_eq!(world.refusal(eve, event, payload), "forbidden");
    }
    assert!(world.sanctions.is_empty() && world.closed.is_empty());
}

#[test]
fn a_moderator_bans_an_address_and_an_account() {
    for role in ["moderator", "manager", "admin"] {
        let mut world = Memory::new();
        let boss = world.member("1", "boss", role);
        let eve = world.member("2", "eve", "");
        let sibling = world.enter("2");
        let bob = world.named("3", "bob");
        world.inbox.clear();
        let answer = world.ask(boss, LOBBY, "ban", json!({"user": "Eve", "reason": "spam"}));
        assert_eq!(answer["status"], "ok", "{answer}");
        let mut closed = world.closed.clone();
        closed.sort_unstable();
        assert_eq!(closed, [(eve, 1008), (sibling, 1008)]);
        assert_eq!(world.got(eve, "banned").len(), 1);
        assert_eq!(world.got(eve, "banned")[0]["reason"], "spam");
        assert_eq!(world.got(bob, "banned")[0]["user"], "Eve");
        // From the address, and with the account from another one.
        let again = world.connect("2");
        world.ask(again, LOBBY, "phx_join", json!({}));
        assert_eq!(world.closed.last(), Some(&(again, 1008)));
        let elsewhere = world.enter("4");
        let payload = json!({"user": "eve", "token": world.token("eve", "")});
        assert_eq!(world.ask(elsewhere, LOBBY, "authorize_token", payload), Value::Null);
        assert_eq!(world.closed.last(), Some(&(elsewhere, 1008)));
    }
}

#[test]
fn a_moderator_behind_the_same_address_stays() {
    let mut world = Memory::new();
    let boss = world.member("1", "boss", "admin");
    let other = world.member("1", "mod", "moderator");
    let eve = world.named("1", "eve");
    world.ask(boss, LOBBY, "ban", json!({"user": "eve"}));
    assert_eq!(world.closed, [(eve, 1008)]);
    for one in [boss, other] {
        assert_eq!(world.ask(one, LOBBY, "history", json!({}))["status"], "ok");
    }
}

#[test]
fn nobody_bans_those_of_the_same_rank_or_above() {
    let mut world = Memory::new();
    let moderator = world.member("1", "mod", "moderator");
    world.member("2", "boss", "admin");
    let second = world.member("3", "second", "moderator");
    for name in ["boss", "second", "mod"] {
        assert_eq!(world.refusal(moderator, "ban", json!({"user": name})), "forbidden");
    }
    // Also when they are away.
    world.end(second);
    assert_eq!(world.refusal(moderator, "ban", json!({"user": "second"})), "forbidden");
    assert_eq!(world.refusal(moderator, "ban", json!({"user": "nobody"})), "unknown_user");
}

#[test]
fn the_token_of_a_frame_is_enough() {
    let mut world = Memory::new();
    let eve = world.named("1", "eve");
    let boss = world.enter("2");
    let payload = json!({"user": "eve", "token": world.token("boss", "admin")});
    assert_eq!(world.ask(boss, LOBBY, "ban", payload)["status"], "ok");
    assert_eq!(world.closed, [(eve, 1008)]);
}

#[test]
fn who_is_banned_bans_nobody() {
    let mut world = Memory::new();
    let admin = world.member("1", "boss", "admin");
    let fallen = world.member("2", "fallen", "moderator");
    world.named("3", "ada");
    world.ask(admin, LOBBY, "ban", json!({"user": "fallen"}));
    world.end(fallen);
    let again = world.enter("4");
    let payload = json!({"user": "ada", "token": world.token("fallen", "moderator")});
    assert_eq!(world.refusal(again, "ban", payload), "forbidden");
}

#[test]
fn somebody_who_has_gone_is_banned_by_what_was_said() {
    let mut world = Memory::new();
    let eve = world.named("2", "eve");
    world.say(eve, "eve", "spam");
    world.end(eve);
    let boss = world.member("1", "boss", "moderator");
    assert_eq!(world.ask(boss, LOBBY, "ban", json!({"user": "eve"}))["status"], "ok");
    let again = world.connect("2");
    world.ask(again, LOBBY, "phx_join", json!({}));
    assert_eq!(world.closed, [(again, 1008)]);
}

#[test]
fn a_ban_ends_and_is_lifted() {
    let mut world = Memory::new();
    let boss = world.member("1", "boss", "moderator");
    let eve = world.named("2", "eve");
    world.ask(boss, LOBBY, "ban", json!({"user": "eve", "minutes": 10}));
    world.end(eve);
    world.now_ms += 599_000;
    let again = world.connect("2");
    assert_eq!(world.ask(again, LOBBY, "phx_join", json!({})), Value::Null);
    world.now_ms += 1_000;
    assert_eq!(world.ask(again, LOBBY, "phx_join", json!({}))["status"], "ok");
    let eve = world.named("3", "eve2");
    world.ask(boss, LOBBY, "ban", json!({"user": "eve2"}));
    world.end(eve);
    assert_eq!(world.ask(boss, LOBBY, "unban", json!({"user": "EVE2"}))["response"]["lifted"], 1);
    world.named("3", "eve2");
    assert_eq!(world.refusal(boss, "unban", json!({"user": "eve2"})), "unknown_user");
}

#[test]
fn who_is_muted_hears_and_does_not_speak() {
    let mut world = Memory::new();
    let boss = world.member("1", "boss", "moderator");
    let eve = world.named("2", "eve");
    let member = world.member("2", "member", "");
    world.inbox.clear();
    assert_eq!(
        world.ask(boss, LOBBY, "mute", json!({"user": "eve", "minutes": 1}))["status"],
        "ok"
    );
    assert_eq!(world.got(eve, "muted").len(), 1);
    assert_eq!(world.say(eve, "eve", "hi")["response"]["reason"], "muted");
    // Without an account it is the address that is muted, and not who keeps the order there.
    assert_eq!(world.say(member, "member", "hi")["response"]["reason"], "muted");
    world.say(boss, "boss", "quiet now");
    assert_eq!(world.got(eve, "new:msg").len(), 1);
    world.now_ms += 60_000;
    assert_eq!(world.say(eve, "eve", "hi")["status"], "ok");
    // An account is muted wherever it is, and its address is not.
    assert_eq!(world.ask(boss, LOBBY, "mute", json!({"user": "member"}))["status"], "ok");
    world.now_ms += 10_000;
    assert_eq!(world.say(member, "member", "hi")["response"]["reason"], "muted");
    assert_eq!(world.say(eve, "eve", "hi again")["status"], "ok");
    assert_eq!(world.ask(boss, LOBBY, "unmute", json!({"user": "member"}))["status"], "ok");
    assert_eq!(world.say(member, "member", "hi")["status"], "ok");
}
