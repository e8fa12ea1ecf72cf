//! Frames nobody thought of.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::memory::{LOBBY, Memory};

const EVENTS: &[&str] = &[
    "phx_join",
    "phx_leave",
    "heartbeat",
    "authorize",
    "authorize_token",
    "new:msg",
    "new:msg_with_token",
    "track_playback",
    "ban",
    "mute",
    "unban",
    "unmute",
    "history",
    "disconnect",
    "constructor",
];
const MEMBERS: &[&str] = &[
    "user",
    "body",
    "token",
    "timestamp",
    "minutes",
    "reason",
    "after",
    "before",
    "nonce",
    "track_id",
    "session",
    "avatarUrl",
    "style",
    "pronouns",
];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-c]".prop_map(Value::from),
        Just(json!("x".repeat(20_000))),
        Just(json!([[[{}]]])),
    ]
}

fn payload() -> impl Strategy<Value = Value> {
    let members = prop::collection::vec((prop::sample::select(MEMBERS), value()), 0..6);
    prop_oneof![
        9 => members.prop_map(|members| {
            Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        }),
        1 => value(),
    ]
}

fn frame() -> impl Strategy<Value = String> {
    let topic = prop::sample::select(&[LOBBY, "metadata", "phoenix", "rooms:x", "__proto__"][..]);
    let reference = prop_oneof![Just(json!(null)), Just(json!("1")), Just(json!(7)), value()];
    let event = prop::sample::select(EVENTS);
    (reference.clone(), reference, topic, event, payload())
        .prop_map(|frame| serde_json::to_string(&frame).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_anything_fall(text in any::<String>()) {
        let mut world = Memory::new();
        let ada = world.enter("1");
        world.receive(ada, &text);
    }

    #[test]
    fn no_row_of_frames_makes_anything_fall(
        frames in prop::collection::vec((0u64..3, frame(), 0u64..5_000), 1..40)
    ) {
        let mut world = Memory::new();
        let clients = [world.connect("1"), world.enter("2"), world.member("1", "b", "admin")];
        for (client, text, later) in frames {
            world.now_ms += later;
            // Each tag is checked against its limit there.
            world.receive(clients[client as usize], &text);
        }
        // Who is shown is somebody with this name, once, and nobody has the number of another.
        for (connection, session) in &world.sessions {
            prop_assert_eq!(session.user.is_some(), session.meta.is_some(), "{}", connection);
        }
        for client in clients {
            world.end(client);
        }
        prop_assert!(crate::world::World::who(&mut world, LOBBY).is_empty());
    }
}
