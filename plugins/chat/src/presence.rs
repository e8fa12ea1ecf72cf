//! Who is here, in the shapes of Phoenix.Presence: `presence_state` to one who comes in,
//! `presence_diff` to all.

use serde_json::{Map, Value, json};

use crate::access::{Proof, hex};
use crate::names;
use crate::phoenix::{self, Frame};
use crate::session::Connection;
use crate::world::{Person, World};

/// The most bytes of a state, of what may wait for a client that polls.
const MAX_STATE: usize = 96 << 10;
/// The longest address of a picture.
const MAX_URL: usize = 300;
/// The longest of the other texts that decorate a name.
const MAX_DECOR: usize = 30;

/// `{"ada": {"metas": [{"phx_ref": …}]}}`, with a meta for each connection of that name: as many as
/// may wait for one client, about a thousand, those first who came first.
pub fn state(people: &[Person]) -> Value {
    let mut state = Map::new();
    let mut room = MAX_STATE;
    for person in people {
        let Some(left) = room.checked_sub(person.meta.len() + 2 * person.key.len()) else {
            break;
        };
        room = left;
        let meta = serde_json::from_str(&person.meta).unwrap_or_else(|_| json!({}));
        let entry = state.entry(person.key.clone()).or_insert_with(|| json!({"metas": []}));
        if let Some(metas) = entry["metas"].as_array_mut() {
            metas.push(meta);
        }
    }
    Value::Object(state)
}

/// Tell a room who came and who went; each a name and its meta.
pub fn tell(
    world: &mut dyn World,
    topic: &str,
    came: Option<(&str, &Value)>,
    went: Option<(&str, &Value)>,
) {
    let side = |one: Option<(&str, &Value)>| {
        let entry = one.map(|(name, meta)| (name.to_owned(), json!({"metas": [meta]})));
        Value::Object(entry.into_iter().collect())
    };
    let diff = json!({"joins": side(came), "leaves": side(went)});
    world.publish(topic, phoenix::broadcast(topic, "presence_diff", &diff));
}

/// The other connections that are shown in a room under a name, or one that reads the same.
pub fn others(world: &mut dyn World, topic: &str, key: &str, me: Connection) -> Vec<Person> {
    let people = world.who(topic).iter();
    people.filter(|person| person.connection != me && person.name_key == key).cloned().collect()
}

/// What others see of somebody.
pub fn meta(world: &mut dyn World, name: &str, proof: Option<&Proof>, frame: &Frame) -> Value {
    let reference = world.random().map_or_else(String::new, |bytes| hex(&bytes[..8]));
    let mut meta = json!({
        "phx_ref": reference,
        // Seconds in a text, as clients of the original expect them.
        "online_at": (world.now_ms() / 1000).to_string(),
        "username": name,
        "verified": proof.is_some(),
    });
    decorate(&mut meta, proof, frame);
    meta
}

/// Add what decorates a name. The role is that of the token, whatever the client says.
pub fn decorate(value: &mut Value, proof: Option<&Proof>, frame: &Frame) {
    if let Some(role) = proof.map(|proof| &proof.role).filter(|role| !role.is_empty()) {
        value["role"] = json!(role);
    }
    if let Some(url) = frame.text("avatarUrl").filter(|url| is_picture(url)) {
        value["avatarUrl"] = json!(url);
    }
    for name in ["style", "pronouns"] {
        if let Some(text) = frame.text(name).and_then(|text| names::line(text, MAX_DECOR)) {
            value[name] = json!(text);
        }
    }
}

/// Whether a text can be taken for the address of a picture wherever it is put.
fn is_picture(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\`(){}".contains(&byte);
    url.len() <= MAX_URL && url.starts_with("https://") && url.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_a_meta_for_each_connection_of_a_name() {
        let person = |connection, key: &str, meta: &str| {
            Person::new(connection, key.to_owned(), meta.to_owned())
        };
        let people =
            [person(1, "ada", r#"{"phx_ref":"a"}"#), person(2, "bob", "{}"), person(3, "ada", "x")];
        let wanted = json!({"ada": {"metas": [{"phx_ref": "a"}, {}]}, "bob": {"metas": [{}]}});
        assert_eq!(state(&people), wanted);
    }

    #[test]
    fn a_state_of_very_many_is_no_larger_than_may_wait() {
        let meta = json!({"phx_ref": "0123456789abcdef", "online_at": "1700000000"}).to_string();
        let person = |n: u64| Person::new(n, format!("person {n}"), meta.clone());
        let people: Vec<_> = (0..10_000).map(person).collect();
        let size = state(&people).to_string().len();
        assert!((64 << 10..160 << 10).contains(&size), "{size}");
    }

    #[test]
    fn only_plain_addresses_are_pictures() {
        assert!(is_picture("https://example.org/a.png?b=c"));
        for url in ["http://example.org", "javascript:alert(1)", "https://e/\"x", "https://e/ x"] {
            assert!(!is_picture(url), "{url}");
        }
    }
}
