//! What other plugins tell the listeners: the title of a track, a notification.

use serde::Deserialize;
use serde_json::{Map, Value};
use trellis_sdk::channels;
use trellis_sdk::consumer::{Batch, Failure};

use crate::phoenix;
use crate::socket::FEEDS;

/// One notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notice {
    /// `metadata` or `notifications`.
    topic: String,
    /// `metadata`, `canonical_metadata`, or whatever clients understand.
    event: String,
    payload: Map<String, Value>,
}

impl Notice {
    /// Read one; the text says what is wrong with it.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let notice: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !FEEDS.contains(&notice.topic.as_str()) {
            return Err(format!("`{}` is not a topic for notices", notice.topic));
        }
        // Those steer clients.
        if notice.event.starts_with("phx_") || notice.event.starts_with("chan_reply_") {
            return Err(format!("`{}` is an event of the protocol", notice.event));
        }
        Ok(notice)
    }
}

/// Publish the notices of a batch.
pub fn publish(batch: &Batch<'_>) -> Result<(), Failure> {
    for (index, message) in batch.iter().enumerate() {
        let notice = Notice::read(message.value().unwrap_or_default())
            .map_err(|error| Failure::dead_letter(index, error))?;
        let payload = Value::Object(notice.payload);
        let frame = phoenix::broadcast(&notice.topic, &notice.event, &payload);
        channels::publish(&notice.topic, frame)
            .map_err(|error| Failure::dead_letter(index, format!("{error:?}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_notice_is_for_a_feed_and_steers_no_client() {
        let read = |topic: &str, event: &str| {
            let notice = serde_json::json!({"topic": topic, "event": event, "payload": {"a": 1}});
            Notice::read(notice.to_string().as_bytes())
        };
        assert_eq!(read("metadata", "canonical_metadata").unwrap().payload["a"], 1);
        assert!(read("rooms:lobby", "new:msg").is_err());
        assert!(read("metadata", "phx_close").is_err());
        assert!(Notice::read(b"").is_err());
    }
}
