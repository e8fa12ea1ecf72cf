//! An event before and after.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What the tracker recorded. Only `type` must be there.
#[derive(Debug, Deserialize)]
pub struct Raw<'a> {
    /// What happened.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// When, in milliseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub time: u64,
    /// The address of the client.
    #[serde(borrow, default)]
    pub ip: Cow<'a, str>,
    /// The host that the client asked.
    #[serde(borrow, default)]
    pub host: Cow<'a, str>,
    /// The path as it was sent.
    #[serde(borrow, default)]
    pub path: Cow<'a, str>,
    /// The query as it was sent.
    #[serde(borrow, default)]
    pub query: Cow<'a, str>,
    /// The user agent.
    #[serde(borrow, default)]
    pub agent: Cow<'a, str>,
    /// The node that took the event.
    #[serde(borrow, default)]
    pub node: Cow<'a, str>,
    /// What came with the event, as it was sent.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// What readers of the topic `events` get; what they look for first stands first.
#[derive(Debug, Serialize)]
pub struct Enriched<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    ts: u64,
    klag: u64,
    ip: &'a str,
    node: &'a str,
    geo: &'a RawValue,
    params: &'a RawValue,
    pod: &'a str,
    device: &'a RawValue,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    agent: &'a str,
}

impl<'a> Enriched<'a> {
    /// An event with its device and place, both written as JSON already.
    pub fn new(
        raw: &'a Raw<'a>,
        device: &'a str,
        place: &'a str,
        pod: &'a str,
        now_ms: u64,
    ) -> serde_json::Result<Self> {
        let params = match raw.params {
            Some(params) => params,
            None => serde_json::from_str("{}")?,
        };
        Ok(Self {
            kind: &raw.kind,
            ts: raw.time,
            klag: now_ms.saturating_sub(raw.time),
            ip: &raw.ip,
            node: &raw.node,
            geo: serde_json::from_str(place)?,
            params,
            pod,
            device: serde_json::from_str(device)?,
            host: &raw.host,
            path: &raw.path,
            query: &raw.query,
            agent: &raw.agent,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DEVICE: &str = r#"{"type":"pc"}"#;
    const PLACE: &str = r#"{"country":"DE","city":"XX"}"#;

    fn enriched(raw: &str, now_ms: u64) -> String {
        let raw: Raw<'_> = serde_json::from_str(raw).unwrap();
        let event = Enriched::new(&raw, DEVICE, PLACE, "p1", now_ms).unwrap();
        serde_json::to_string(&event).unwrap()
    }

    #[test]
    fn everything_recorded_passes_and_the_delay_is_counted() {
        let raw = r#"{"type":"a \"b\"","time":1000,"ip":"::1","host":"h","path":"/t/a","query":"x=1","agent":"A","node":"n","params":{"z": [1.50]}}"#;
        let wanted = r#"{"type":"a \"b\"","ts":1000,"klag":250,"ip":"::1","node":"n","geo":{"country":"DE","city":"XX"},"params":{"z": [1.50]},"pod":"p1","device":{"type":"pc"},"host":"h","path":"/t/a","query":"x=1","agent":"A"}"#;
        assert_eq!(enriched(raw, 1250), wanted);
    }

    #[test]
    fn a_clock_that_runs_behind_makes_no_delay() {
        assert!(enriched(r#"{"type":"w","time":1000}"#, 999).contains(r#""klag":0,"#));
    }

    #[test]
    fn what_has_no_type_is_no_event() {
        for text in ["", "{}", "7", r#"{"type":7}"#, r#"{"type":"w"} x"#] {
            assert!(serde_json::from_str::<Raw<'_>>(text).is_err(), "{text}");
        }
    }
}
