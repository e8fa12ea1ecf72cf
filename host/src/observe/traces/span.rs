//! One span, and the place in a trace that goes with a call, a record or a request.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, KeyValue, Value,
    propagation::{Extractor, TextMapPropagator},
    trace::{Span as _, SpanContext, Status, TraceContextExt, TraceId},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace};

use super::TRACEPARENT;

/// A span that goes on until it is dropped.
pub struct Span(Box<trace::Span>);

/// A place in a trace that is recorded: what comes next belongs below it. A clone is a count.
#[derive(Clone, Debug)]
pub struct Trace(pub(super) Arc<SpanContext>);

/// What somebody else says about the trace of what they send.
pub(super) enum Wish {
    /// It goes on here.
    Traced(Trace),
    /// It is not recorded.
    Untraced,
}

impl Span {
    pub(super) fn new(span: trace::Span) -> Self {
        Self(Box::new(span))
    }

    /// What is below this span goes here.
    pub fn trace(&self) -> Trace {
        Trace(Arc::new(self.0.span_context().clone()))
    }

    /// Another name, now that more is known.
    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    /// Note an attribute.
    pub fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Note that it did not go well: the kind of error, and what to tell people of it.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>, reason: impl fmt::Display) {
        self.note("error.type", kind.into());
        self.0.set_status(Status::error(reason.to_string()));
    }
}

impl Trace {
    /// As the value of [`TRACEPARENT`].
    pub fn header(&self) -> String {
        format!("00-{}-{}-01", self.0.trace_id(), self.0.span_id())
    }

    /// Name it in the header fields of a message.
    pub fn put_into(&self, fields: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.header()) {
            fields.insert(TRACEPARENT, value);
        }
    }

    /// The trace's own name, the same for all its spans.
    pub fn id(&self) -> TraceId {
        self.0.trace_id()
    }

    /// Some place in a trace, for tests.
    #[cfg(test)]
    pub fn sample() -> Self {
        match Wish::read(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") {
            Some(Wish::Traced(trace)) => trace,
            _ => unreachable!("it is well formed and sampled"),
        }
    }

    pub(super) fn span_context(&self) -> SpanContext {
        SpanContext::clone(&self.0)
    }

    pub(super) fn context(&self) -> Context {
        Context::new().with_remote_span_context(self.span_context())
    }
}

impl Wish {
    /// What a [`TRACEPARENT`] says; `None` where it says nothing that can be understood.
    pub(super) fn read(given: &[u8]) -> Option<Self> {
        let given = Given(std::str::from_utf8(given).ok()?);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &given);
        let span = context.span();
        let context = span.span_context();
        match (context.is_valid(), context.is_sampled()) {
            (false, _) => None,
            (true, true) => Some(Self::Traced(Trace(Arc::new(context.clone())))),
            (true, false) => Some(Self::Untraced),
        }
    }
}

/// One header field.
struct Given<'a>(&'a str);

impl Extractor for Given<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
