//! `tracing`: spans that the guest begins and ends.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower},
};

use super::{
    State,
    types::{Datetime, KeyValue, Scope, TraceFlags},
};
use crate::observe::traces::{self, At, Attribute, Happened, Outcome, Told};

/// The most spans in one another that the host follows.
const MAX_DEPTH: usize = 64;

/// `span-context`
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct SpanContext {
    #[component(name = "trace-id")]
    trace_id: String,
    #[component(name = "span-id")]
    span_id: String,
    #[component(name = "trace-flags")]
    trace_flags: TraceFlags,
    #[component(name = "is-remote")]
    is_remote: bool,
    #[component(name = "trace-state")]
    trace_state: Vec<(String, String)>,
}

/// `span-kind`
#[derive(Clone, Copy, Debug, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "guests make them")]
enum SpanKind {
    #[component(name = "client")]
    Client,
    #[component(name = "server")]
    Server,
    #[component(name = "producer")]
    Producer,
    #[component(name = "consumer")]
    Consumer,
    #[component(name = "internal")]
    Internal,
}

/// `event`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Event {
    name: String,
    time: Datetime,
    attributes: Vec<KeyValue>,
}

/// `link`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Link {
    #[component(name = "span-context")]
    span_context: SpanContext,
    attributes: Vec<KeyValue>,
}

/// `status`
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
enum Status {
    #[component(name = "unset")]
    Unset,
    #[component(name = "ok")]
    Ok,
    #[component(name = "error")]
    Error(String),
}

/// `span-data`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct SpanData {
    #[component(name = "span-context")]
    span_context: SpanContext,
    #[component(name = "parent-span-id")]
    parent_span_id: String,
    #[component(name = "span-kind")]
    span_kind: SpanKind,
    name: String,
    #[component(name = "start-time")]
    start_time: Datetime,
    #[component(name = "end-time")]
    end_time: Datetime,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
    links: Vec<Link>,
    status: Status,
    #[component(name = "instrumentation-scope")]
    instrumentation_scope: Scope,
    #[component(name = "dropped-attributes")]
    dropped_attributes: u32,
    #[component(name = "dropped-events")]
    dropped_events: u32,
    #[component(name = "dropped-links")]
    dropped_links: u32,
}

impl From<SpanContext> for At {
    fn from(context: SpanContext) -> Self {
        let sampled = context.trace_flags.contains(TraceFlags::SAMPLED);
        Self { trace: context.trace_id, span: context.span_id, sampled }
    }
}

impl From<At> for SpanContext {
    fn from(at: At) -> Self {
        let trace_flags = if at.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        Self {
            trace_id: at.trace,
            span_id: at.span,
            trace_flags,
            is_remote: false,
            trace_state: Vec::new(),
        }
    }
}

impl From<SpanKind> for traces::SpanKind {
    fn from(kind: SpanKind) -> Self {
        match kind {
            SpanKind::Client => Self::Client,
            SpanKind::Server => Self::Server,
            SpanKind::Producer => Self::Producer,
            SpanKind::Consumer => Self::Consumer,
            SpanKind::Internal => Self::Internal,
        }
    }
}

impl From<SpanData> for Told {
    fn from(data: SpanData) -> Self {
        let event = |event: Event| Happened {
            name: event.name,
            time: event.time.into(),
            attributes: attributes(event.attributes),
        };
        let link = |link: Link| (At::from(link.span_context), attributes(link.attributes));
        let outcome = match data.status {
            Status::Unset => Outcome::Unset,
            Status::Ok => Outcome::Ok,
            Status::Error(reason) => Outcome::Error(reason),
        };
        Self {
            at: data.span_context.into(),
            parent: data.parent_span_id,
            kind: data.span_kind.into(),
            name: data.name,
            start: data.start_time.into(),
            end: data.end_time.into(),
            attributes: attributes(data.attributes),
            events: data.events.into_iter().map(event).collect(),
            links: data.links.into_iter().map(link).collect(),
            outcome,
            scope: (data.instrumentation_scope.name, data.instrumentation_scope.version),
            left_out: [data.dropped_attributes, data.dropped_events, data.dropped_links],
        }
    }
}

fn attributes(all: Vec<KeyValue>) -> Vec<Attribute> {
    all.into_iter().map(|KeyValue { key, value }| (key, value)).collect()
}

/// Add the interface.
pub fn link(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.func_wrap("on-start", |store, (context,): (SpanContext,)| begun(store, context))?;
    interface.func_wrap("on-end", |store, (data,): (SpanData,)| ended(store, data))?;
    // The drafts have the one, what comes after them the other.
    for name in ["outer-span-context", "current-span-context"] {
        interface.func_wrap(name, |store: StoreContextMut<'_, State>, (): ()| {
            let at = At::of(store.data().call.trace.as_ref());
            Ok((SpanContext::from(at),))
        })?;
    }
    Ok(())
}

/// What the host does for the guest from now on belongs to this span.
fn begun(mut store: StoreContextMut<'_, State>, context: SpanContext) -> wasmtime::Result<()> {
    let State { call, own, .. } = store.data_mut();
    let (Some(otel), Some(trace)) = (&mut own.otel, &call.trace) else { return Ok(()) };
    if otel.above.len() < MAX_DEPTH
        && let Some(below) = trace.below(&context.into())
    {
        otel.above.extend(call.trace.replace(below));
    }
    Ok(())
}

fn ended(mut store: StoreContextMut<'_, State>, data: SpanData) -> wasmtime::Result<()> {
    let State { call, own, .. } = store.data_mut();
    let (Some(otel), Some(trace)) = (&mut own.otel, &call.trace) else { return Ok(()) };
    let told = Told::from(data);
    if trace.is(&told.at)
        && let Some(above) = otel.above.pop()
    {
        call.trace = Some(above);
    }
    if otel.prepared.admit() && traces::record(&call.plugin, told).is_err() {
        otel.prepared.dropped.increment(1);
    }
    Ok(())
}
