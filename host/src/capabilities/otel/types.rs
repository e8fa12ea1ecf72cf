//! `types`: what the other interfaces have in common.
#![allow(dead_code, reason = "the records have fields that the host knows better")]

use std::time::{Duration, SystemTime};

use wasmtime::component::{ComponentType, Lift, flags};

// `tracing.trace-flags`
flags! {
    TraceFlags {
        #[component(name = "sampled")]
        const SAMPLED;
    }
}

/// `types.key-value`: the value is JSON.
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// `types.resource`. The host knows itself who speaks, so only the shape matters.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Resource {
    pub attributes: Vec<KeyValue>,
    #[component(name = "schema-url")]
    pub schema_url: Option<String>,
}

/// `types.instrumentation-scope`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Scope {
    pub name: String,
    pub version: Option<String>,
    #[component(name = "schema-url")]
    pub schema_url: Option<String>,
    pub attributes: Vec<KeyValue>,
}

/// `wasi:clocks/wall-clock.datetime`
#[derive(Clone, Copy, Debug, ComponentType, Lift)]
#[component(record)]
pub struct Datetime {
    pub seconds: u64,
    pub nanoseconds: u32,
}

impl From<Datetime> for SystemTime {
    /// What is beyond the clock's end is its beginning.
    fn from(at: Datetime) -> Self {
        let since = Duration::from_secs(at.seconds)
            .checked_add(Duration::from_nanos(u64::from(at.nanoseconds)));
        since.and_then(|since| Self::UNIX_EPOCH.checked_add(since)).unwrap_or(Self::UNIX_EPOCH)
    }
}

/// A value as people read it: a text without its quotes, anything else as it is.
pub fn text(json: String) -> String {
    if !json.starts_with('"') {
        return json;
    }
    serde_json::from_str(&json).unwrap_or(json)
}
