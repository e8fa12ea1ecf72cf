//! `logs`: records become lines of the log.

use std::fmt::Write;

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance},
};

use super::{
    State,
    types::{Datetime, KeyValue, Resource, Scope, TraceFlags, text},
};
use crate::capabilities::logging::Level;

/// The most bytes of a line that are put together; the log cuts it anyway.
const MAX_LINE: usize = 8 << 10;

/// `log-record`. The line has the host's time and the call's trace.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
#[allow(dead_code, reason = "of some fields the host knows better")]
pub(super) struct LogRecord {
    timestamp: Option<Datetime>,
    #[component(name = "observed-timestamp")]
    observed_timestamp: Option<Datetime>,
    #[component(name = "severity-text")]
    severity_text: Option<String>,
    #[component(name = "severity-number")]
    pub(super) severity_number: Option<u8>,
    pub(super) body: Option<String>,
    pub(super) attributes: Option<Vec<KeyValue>>,
    #[component(name = "event-name")]
    event_name: Option<String>,
    resource: Option<Resource>,
    #[component(name = "instrumentation-scope")]
    scope: Option<Scope>,
    #[component(name = "trace-id")]
    trace_id: Option<String>,
    #[component(name = "span-id")]
    span_id: Option<String>,
    #[component(name = "trace-flags")]
    trace_flags: Option<TraceFlags>,
}

/// How much a line matters, of a severity from 1 to 24.
pub(super) fn level(severity: Option<u8>) -> Level {
    match severity {
        Some(1..=4) => Level::Trace,
        Some(5..=8) => Level::Debug,
        Some(13..=16) => Level::Warn,
        Some(17..=20) => Level::Error,
        Some(21..=24) => Level::Critical,
        _ => Level::Info,
    }
}

/// The line: the body, and the attributes behind it.
pub(super) fn line(body: Option<String>, attributes: Option<Vec<KeyValue>>) -> String {
    let mut line = body.map(text).unwrap_or_default();
    for KeyValue { key, value } in attributes.unwrap_or_default() {
        if line.len() > MAX_LINE {
            break;
        }
        let gap = if line.is_empty() { "" } else { " " };
        // Writing to a text does not fail.
        let _ = write!(line, "{gap}{key}={value}");
    }
    line
}

/// Add the interface.
pub fn link(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.func_wrap("on-emit", |store: StoreContextMut<'_, State>, (record,): (LogRecord,)| {
        let State { call, own, .. } = store.data();
        if let Some(log) = &own.logging {
            let context = record.event_name.or(record.scope.map(|scope| scope.name));
            let line = line(record.body, record.attributes);
            let context = context.unwrap_or_default();
            log.write(level(record.severity_number), call, &context, &line);
        }
        Ok(())
    })
}
