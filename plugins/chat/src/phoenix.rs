//! Frames of Phoenix channels, version 2 of the serializer: `[join_ref, ref, topic, event, payload]`.
//!
//! A frame to one client carries the `join_ref` that this client joined with. One that is broadcast
//! has none, so all who joined get the same bytes; clients take such a frame for current.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the client calls a join or a push. Clients count in strings; numbers are sent back as such.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ref {
    /// Nothing, `null`.
    #[default]
    None,
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// The longest reference that is sent back: it is kept for as long as the connection.
const MAX_REF: usize = 32;
/// The longest topic and the longest event, so that an answer is not larger than its question.
const MAX_WORD: usize = 128;

impl Ref {
    fn is_short(&self) -> bool {
        !matches!(self, Self::Text(text) if text.len() > MAX_REF)
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Which join it belongs to.
    pub join_ref: Ref,
    /// What its answer is to be called.
    pub reference: Ref,
    pub topic: String,
    pub event: String,
    pub payload: Value,
}

impl Frame {
    /// Read a text message; `None` for what is no frame.
    pub fn read(text: &str) -> Option<Self> {
        let (join_ref, reference, topic, event, payload) =
            serde_json::from_str::<(Ref, Ref, String, String, Value)>(text).ok()?;
        let short = join_ref.is_short()
            && reference.is_short()
            && topic.len() <= MAX_WORD
            && event.len() <= MAX_WORD;
        short.then_some(Self { join_ref, reference, topic, event, payload })
    }

    /// A member of the payload, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name)?.as_str()
    }

    /// A member of the payload, if it is a whole number that is not negative.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.payload.get(name)?.as_u64()
    }
}

/// A frame for all who hear a topic.
pub fn broadcast(topic: &str, event: &str, payload: &Value) -> String {
    json!([null, null, topic, event, payload]).to_string()
}

/// A frame for one client that joined a topic.
pub fn push(join_ref: &Ref, topic: &str, event: &str, payload: &Value) -> String {
    json!([join_ref, null, topic, event, payload]).to_string()
}

/// The answer to a frame: `ok` or `error`.
pub fn reply(to: &Frame, status: &str, response: &Value) -> String {
    let payload = json!({"status": status, "response": response});
    json!([to.join_ref, to.reference, to.topic, "phx_reply", payload]).to_string()
}

/// Tells a client that it has left a topic.
pub fn close(join_ref: &Ref, topic: &str) -> String {
    json!([join_ref, join_ref, topic, "phx_close", {}]).to_string()
}

/// Tells a client that what it sent is no frame. Nobody knows which topic it was for, so this is in
/// the one of heartbeats.
pub fn no_frame() -> String {
    json!([null, null, "phoenix", "phx_error", {"reason": "no_frame"}]).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_frame_has_five_parts() {
        let frame =
            Frame::read(r#"["1","2","rooms:lobby","new:msg",{"user":"ada","n":7}]"#).unwrap();
        assert_eq!(frame.join_ref, Ref::Text("1".into()));
        assert_eq!((frame.text("user"), frame.number("n")), (Some("ada"), Some(7)));
        assert_eq!((frame.text("n"), frame.number("user")), (None, None));
        for no_frame in ["", "{}", "[]", r#"["1","2","t","e"]"#, r#"[{},"2","t","e",{}]"#, "null"] {
            assert_eq!(Frame::read(no_frame), None, "{no_frame}");
        }
    }

    #[test]
    fn an_answer_repeats_the_references_as_they_came() {
        let frame = Frame::read(r#"[null,7,"phoenix","heartbeat",{}]"#).unwrap();
        assert_eq!(
            reply(&frame, "ok", &json!({})),
            r#"[null,7,"phoenix","phx_reply",{"response":{},"status":"ok"}]"#
        );
    }

    #[test]
    fn what_is_kept_or_sent_back_is_short() {
        let long = "x".repeat(200);
        assert_eq!(Frame::read(&json!([long, null, "t", "e", {}]).to_string()), None);
        assert_eq!(Frame::read(&json!([null, long, "t", "e", {}]).to_string()), None);
        assert_eq!(Frame::read(&json!([null, null, long, "e", {}]).to_string()), None);
        assert_eq!(Frame::read(&json!([null, null, "t", long, {}]).to_string()), None);
    }
}
