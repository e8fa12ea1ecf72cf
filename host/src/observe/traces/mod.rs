//! Traces: what became of one event on its way over plugins and hosts.
//!
//! ```text
//!  request ─ server span ─┬─ span of each send ──── `traceparent` in the record ─┐
//!                         └─ span of each request ─ `traceparent` to other hosts │
//!            process span of each message, in the trace that its record names ◀──┘
//! ```
//!
//! Whether there is a trace is decided where an event comes in: by a trusted proxy, or by
//! [`Settings::sample`]. Everywhere below, spans are begun for the calls that have a [`Trace`],
//! and nothing is done for the others. Names and attributes follow OpenTelemetry's semantic
//! conventions, context travels as W3C Trace Context says.

use std::sync::OnceLock;

pub use opentelemetry::trace::SpanKind;
use opentelemetry::{
    Context,
    trace::{Link, SpanBuilder, Tracer as _},
};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer};

mod export;
mod settings;
mod span;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod told;

pub use export::Export;
pub use settings::{Fault, Settings};
use span::Wish;
pub use span::{Span, Trace};
pub use told::{At, Attribute, Happened, Outcome, Told, Unfit, record};

/// The header field, and the header of a record, that carries a trace.
pub const TRACEPARENT: &str = "traceparent";
/// The most spans that a batch of messages begins, and the most that one of them links to.
pub const MAX_LINKS: usize = 128;

/// What spans are begun with, once the process has an export.
static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Begins spans.
struct Tracer {
    sdk: SdkTracer,
    /// Where spans go that plugins tell of.
    told: BatchSpanProcessor,
    /// The part of the requests without a wish of their own that is traced.
    sample: f64,
}

/// Whether anything is traced.
pub fn on() -> bool {
    TRACER.get().is_some()
}

/// The span of a request that came in with this `traceparent`, if the sender is believed. `None`
/// where it is not to be traced.
pub fn server(given: Option<&[u8]>, name: &str) -> Option<Span> {
    TRACER.get()?.server(given, name)
}

/// The trace that a header of a record names, if it is to be traced.
pub fn named(given: &[u8]) -> Option<Trace> {
    TRACER.get()?;
    match Wish::read(given)? {
        Wish::Traced(trace) => Some(trace),
        Wish::Untraced => None,
    }
}

/// The span of something done within a trace, with links to others that it was also done for.
pub fn child(
    of: &Trace,
    kind: SpanKind,
    name: String,
    links: impl IntoIterator<Item = Trace>,
) -> Option<Span> {
    Some(TRACER.get()?.child(of, kind, name, links))
}

impl Tracer {
    fn server(&self, given: Option<&[u8]>, name: &str) -> Option<Span> {
        let builder = || SpanBuilder::from_name(name.to_owned()).with_kind(SpanKind::Server);
        match given.and_then(Wish::read) {
            Some(Wish::Untraced) => None,
            Some(Wish::Traced(parent)) => Some(self.begin(builder(), &parent.context())),
            None if fastrand::f64() < self.sample => Some(self.begin(builder(), &Context::new())),
            None => None,
        }
    }

    fn child(
        &self,
        of: &Trace,
        kind: SpanKind,
        name: String,
        links: impl IntoIterator<Item = Trace>,
    ) -> Span {
        let links = links.into_iter().map(|trace| Link::with_context(trace.span_context()));
        let links = links.take(MAX_LINKS).collect();
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_links(links);
        self.begin(builder, &of.context())
    }

    fn begin(&self, builder: SpanBuilder, parent: &Context) -> Span {
        Span::new(self.sdk.build_with_context(builder, parent))
    }
}
