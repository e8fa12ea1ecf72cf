//! `wasi:otel`: what the visitor tells of itself.

use crate::{
    bindings::wasi::{
        clocks::wall_clock,
        otel::{
            logs::{self, LogRecord},
            metrics::{
                self, Metric, MetricData, MetricNumber, ResourceMetrics, ScopeMetrics, Sum,
                SumDataPoint, Temporality,
            },
            tracing::{self, SpanContext, SpanData, SpanKind, Status, TraceFlags},
            types::{InstrumentationScope, KeyValue, Resource},
        },
    },
    letters,
};

/// A `span` with a letter sent in it, a `line`, or a `count`.
pub fn answer(deed: &str, name: &str) -> Result<Vec<u8>, String> {
    match deed {
        "span" => span(name),
        "line" => {
            line(name);
            Ok(b"told".to_vec())
        }
        "count" => count(name).map(|()| b"told".to_vec()),
        _ => Err(format!("there is no `diary/{deed}`")),
    }
}

fn scope() -> InstrumentationScope {
    let name = "visitor".to_owned();
    InstrumentationScope { name, version: None, schema_url: None, attributes: Vec::new() }
}

fn stop() -> Vec<KeyValue> {
    vec![KeyValue { key: "stop.number".to_owned(), value: "7".to_owned() }]
}

/// Says where the call was in its trace.
fn span(name: &str) -> Result<Vec<u8>, String> {
    let outer = tracing::outer_span_context();
    let context = SpanContext {
        span_id: "00f067aa0ba902b7".to_owned(),
        trace_flags: TraceFlags::SAMPLED,
        ..outer.clone()
    };
    let start_time = wall_clock::now();
    tracing::on_start(&context);
    letters::answer("send", "letters", name.as_bytes())?;
    tracing::on_end(&SpanData {
        span_context: context,
        parent_span_id: outer.span_id.clone(),
        span_kind: SpanKind::Internal,
        name: name.to_owned(),
        start_time,
        end_time: wall_clock::now(),
        attributes: stop(),
        events: Vec::new(),
        links: Vec::new(),
        status: Status::Ok,
        instrumentation_scope: scope(),
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    });
    Ok(format!("{} {}", outer.trace_id, outer.span_id).into_bytes())
}

fn line(text: &str) {
    logs::on_emit(&LogRecord {
        timestamp: None,
        observed_timestamp: None,
        severity_text: None,
        severity_number: Some(13),
        body: Some(format!("\"{text}\"")),
        attributes: Some(stop()),
        event_name: None,
        resource: None,
        instrumentation_scope: Some(scope()),
        trace_id: None,
        span_id: None,
        trace_flags: None,
    });
}

/// One more of what is named.
fn count(name: &str) -> Result<(), String> {
    let now = wall_clock::now();
    let data_points = vec![SumDataPoint {
        attributes: stop(),
        value: MetricNumber::U64(1),
        exemplars: Vec::new(),
    }];
    let data = MetricData::U64Sum(Sum {
        data_points,
        start_time: now,
        time: now,
        temporality: Temporality::Delta,
        is_monotonic: true,
    });
    let (description, unit) = (String::new(), String::new());
    let metrics = vec![Metric { name: name.to_owned(), description, unit, data }];
    metrics::export(&ResourceMetrics {
        resource: Resource { attributes: Vec::new(), schema_url: None },
        scope_metrics: vec![ScopeMetrics { scope: scope(), metrics }],
    })
}
