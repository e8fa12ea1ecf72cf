//! Spans that plugins tell of, through `wasi:otel`: they go to the same collector, from a queue of
//! their own, so that no plugin pushes the host's spans out.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};

use super::{MAX_LINKS, TRACER, Trace};

/// The most bytes of text that one span keeps; what is beyond is left out and counted in it.
const MAX_TEXT: usize = 8 << 10;
/// The most attributes of a span, of an event and of a link, and the most events.
const MAX_ATTRIBUTES: usize = 128;
const MAX_EVENTS: usize = 128;
/// The most elements of a list that is an attribute.
const MAX_ELEMENTS: usize = 128;

/// An attribute: its name, and its value in JSON.
pub type Attribute = (String, String);

/// Where a span is, as a plugin writes it: hexadecimal.
#[derive(Clone, Debug, Default)]
pub struct At {
    /// 32 digits.
    pub trace: String,
    /// 16 digits.
    pub span: String,
    /// Whether it is recorded.
    pub sampled: bool,
}

/// Something that happened during a span.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What.
    pub name: String,
    /// When.
    pub time: SystemTime,
    /// Notes on it.
    pub attributes: Vec<Attribute>,
}

/// How a span ended.
#[derive(Clone, Debug, Default)]
pub enum Outcome {
    /// Nobody says.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Not well, and why.
    Error(String),
}

/// A span that has ended in a plugin.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where it is.
    pub at: At,
    /// The span above it: 16 digits, or nothing.
    pub parent: String,
    /// What it stands for.
    pub kind: SpanKind,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Notes on it.
    pub attributes: Vec<Attribute>,
    /// What happened meanwhile.
    pub events: Vec<Happened>,
    /// Other spans that it has to do with.
    pub links: Vec<(At, Vec<Attribute>)>,
    /// How it ended.
    pub outcome: Outcome,
    /// The library that made it, and its version.
    pub scope: (String, Option<String>),
    /// Attributes, events and links that the plugin left out itself.
    pub left_out: [u32; 3],
}

/// Why a span is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing is traced, or this is not.
    Untraced,
    /// It does not say where it is.
    Malformed,
}

impl At {
    /// The place of a call, as a plugin reads it; zeros where it is not traced.
    pub fn of(trace: Option<&Trace>) -> Self {
        let context = trace.map_or(SpanContext::NONE, Trace::span_context);
        Self {
            trace: context.trace_id().to_string(),
            span: context.span_id().to_string(),
            sampled: context.is_sampled(),
        }
    }

    fn context(&self) -> Option<SpanContext> {
        // Longer ones are nonsense, and none is read in vain.
        if self.trace.len() != 32 || self.span.len() != 16 {
            return None;
        }
        let (trace, span) =
            (TraceId::from_hex(&self.trace).ok()?, SpanId::from_hex(&self.span).ok()?);
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let context = SpanContext::new(trace, span, flags, false, TraceState::NONE);
        context.is_valid().then_some(context)
    }
}

impl Trace {
    /// The place of a span that a plugin has begun, if it belongs to this trace.
    pub fn below(&self, at: &At) -> Option<Self> {
        let context = at.context().filter(SpanContext::is_sampled)?;
        (context.trace_id() == self.id()).then(|| Self(Arc::new(context)))
    }

    /// Whether this is that span's place.
    pub fn is(&self, at: &At) -> bool {
        at.context().is_some_and(|context| context.span_id() == self.0.span_id())
    }
}

/// Send a span that a plugin tells of, with the plugin's name on it.
///
/// # Errors
/// [`Unfit`]: it goes nowhere.
pub fn record(plugin: &Arc<str>, told: Told) -> Result<(), Unfit> {
    let tracer = TRACER.get().ok_or(Unfit::Untraced)?;
    tracer.told.on_end(data(plugin, told)?);
    Ok(())
}

/// A span as the collector wants it.
pub(super) fn data(plugin: &Arc<str>, told: Told) -> Result<SpanData, Unfit> {
    let span_context = told.at.context().ok_or(Unfit::Malformed)?;
    if !span_context.is_sampled() {
        return Err(Unfit::Untraced);
    }
    let mut room = Room { left: MAX_TEXT };
    let name = room.cut(told.name);
    let (mut attributes, left_out) = room.attributes(told.attributes);
    attributes.push(KeyValue::new("trellis.plugin", plugin.clone()));
    let status = match told.outcome {
        Outcome::Unset => Status::Unset,
        Outcome::Ok => Status::Ok,
        Outcome::Error(reason) => Status::error(room.cut(reason)),
    };
    let scope = InstrumentationScope::builder(room.cut(told.scope.0));
    let scope = match told.scope.1 {
        Some(version) => scope.with_version(room.cut(version)),
        None => scope,
    };
    let [attributes_before, events_before, links_before] = told.left_out;
    let mut events = room.events(told.events);
    events.dropped_count = events.dropped_count.saturating_add(events_before);
    let mut links = room.links(told.links);
    links.dropped_count = links.dropped_count.saturating_add(links_before);
    Ok(SpanData {
        span_context,
        parent_span_id: SpanId::from_hex(&told.parent).unwrap_or(SpanId::INVALID),
        parent_span_is_remote: false,
        span_kind: told.kind,
        name: name.into(),
        start_time: told.start,
        end_time: told.end,
        attributes,
        dropped_attributes_count: left_out.saturating_add(attributes_before),
        events,
        links,
        status,
        instrumentation_scope: scope.build(),
    })
}

/// What is left of [`MAX_TEXT`].
struct Room {
    left: usize,
}

impl Room {
    /// As much of a text as there is room for.
    fn cut(&mut self, mut text: String) -> String {
        text.truncate(text.floor_char_boundary(self.left));
        // What was cut off is not kept either.
        text.shrink_to_fit();
        self.left -= text.len();
        text
    }

    /// Those that fit, and how many do not.
    fn attributes(&mut self, all: Vec<Attribute>) -> (Vec<KeyValue>, u32) {
        let count = all.len();
        let mut kept = Vec::with_capacity(count.min(MAX_ATTRIBUTES));
        for (key, json) in all.into_iter().take(MAX_ATTRIBUTES) {
            let size = key.len() + json.len();
            if size <= self.left {
                self.left -= size;
                kept.push(KeyValue::new(key, value(json)));
            }
        }
        let left_out = u32::try_from(count - kept.len()).unwrap_or(u32::MAX);
        (kept, left_out)
    }

    fn events(&mut self, all: Vec<Happened>) -> SpanEvents {
        let mut events = SpanEvents::default();
        events.dropped_count = all.len().saturating_sub(MAX_EVENTS) as u32;
        for Happened { name, time, attributes } in all.into_iter().take(MAX_EVENTS) {
            let name = self.cut(name);
            let (attributes, left_out) = self.attributes(attributes);
            events.events.push(Event::new(name, time, attributes, left_out));
        }
        events
    }

    fn links(&mut self, all: Vec<(At, Vec<Attribute>)>) -> SpanLinks {
        let count = all.len();
        let mut links = SpanLinks::default();
        for (at, attributes) in all.into_iter().take(MAX_LINKS) {
            if let Some(context) = at.context() {
                let (attributes, left_out) = self.attributes(attributes);
                links.links.push(Link::new(context, attributes, left_out));
            }
        }
        links.dropped_count = u32::try_from(count - links.links.len()).unwrap_or(u32::MAX);
        links
    }
}

/// What a value in JSON stands for; itself, as a text, where that is nothing that can be noted.
fn value(json: String) -> Value {
    let read = serde_json::from_str(&json).ok();
    read.and_then(|read| scalar(&read).or_else(|| list(&read))).unwrap_or_else(|| json.into())
}

fn scalar(json: &serde_json::Value) -> Option<Value> {
    match json {
        serde_json::Value::Bool(truth) => Some((*truth).into()),
        serde_json::Value::Number(number) => {
            number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from))
        }
        serde_json::Value::String(text) => Some(text.clone().into()),
        _ => None,
    }
}

/// A list of one kind.
fn list(json: &serde_json::Value) -> Option<Value> {
    let all = json.as_array().filter(|all| all.len() <= MAX_ELEMENTS)?;
    let text = |each: &serde_json::Value| Some(StringValue::from(each.as_str()?.to_owned()));
    let texts = || Some(Array::String(all.iter().map(text).collect::<Option<_>>()?));
    let truths =
        || Some(Array::Bool(all.iter().map(serde_json::Value::as_bool).collect::<Option<_>>()?));
    let whole =
        || Some(Array::I64(all.iter().map(serde_json::Value::as_i64).collect::<Option<_>>()?));
    let numbers =
        || Some(Array::F64(all.iter().map(serde_json::Value::as_f64).collect::<Option<_>>()?));
    texts().or_else(truths).or_else(whole).or_else(numbers).map(Value::Array)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told() -> Told {
        let trace = Trace::sample();
        Told {
            at: At { span: "00f067aa0ba902b7".into(), ..At::of(Some(&trace)) },
            parent: "b7ad6b7169203331".into(),
            kind: SpanKind::Internal,
            name: "work".into(),
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
            outcome: Outcome::Ok,
            scope: ("lib".into(), Some("1".into())),
            left_out: [0; 3],
        }
    }

    #[test]
    fn a_span_keeps_its_ids_and_gets_the_name_of_its_plugin() {
        let data = data(&"p".into(), told()).unwrap();
        assert_eq!(data.span_context.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(data.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(data.attributes, [KeyValue::new("trellis.plugin", "p")]);
    }

    #[test]
    fn a_span_without_a_place_or_that_is_not_sampled_goes_nowhere() {
        for (at, unfit) in [
            (At::of(None), Unfit::Malformed),
            (At { trace: "no".into(), ..told().at }, Unfit::Malformed),
            (At { sampled: false, ..told().at }, Unfit::Untraced),
        ] {
            assert_eq!(data(&"p".into(), Told { at, ..told() }).unwrap_err(), unfit);
        }
    }

    #[test]
    fn values_are_what_their_json_says() {
        for (json, expected) in [
            ("\"a\"", Value::from("a")),
            ("true", Value::from(true)),
            ("-7", Value::from(-7_i64)),
            ("1.5", Value::from(1.5)),
            ("[1,2]", Value::Array(Array::I64(vec![1, 2]))),
            ("[1,2.5]", Value::Array(Array::F64(vec![1.0, 2.5]))),
            ("[1,\"a\"]", Value::from("[1,\"a\"]")),
            ("{\"a\":1}", Value::from("{\"a\":1}")),
            ("no json", Value::from("no json")),
        ] {
            assert_eq!(value(json.into()), expected, "{json}");
        }
    }

    #[test]
    fn a_span_keeps_a_bounded_text_and_counts_what_it_leaves_out() {
        let long = "\"".to_owned() + &"x".repeat(MAX_TEXT / 2) + "\"";
        let attributes = vec![("a".to_owned(), long.clone()), ("b".into(), long.clone())];
        let event = |_| Happened {
            name: "n".repeat(1000),
            time: SystemTime::UNIX_EPOCH,
            attributes: attributes.clone(),
        };
        let events: Vec<_> = (0..MAX_EVENTS + 2).map(event).collect();
        let links = vec![(At::default(), Vec::new())];
        let told = Told { attributes: attributes.clone(), events, links, ..told() };
        let data = data(&"p".into(), told).unwrap();
        assert_eq!((data.attributes.len(), data.dropped_attributes_count), (2, 1));
        assert_eq!((data.events.len(), data.events.dropped_count), (MAX_EVENTS, 2));
        assert_eq!((data.links.len(), data.links.dropped_count), (0, 1));
        let kept: usize = data.events.iter().map(|event| event.name.len()).sum();
        assert!(kept < MAX_TEXT, "{kept}");
    }

    #[test]
    fn what_a_plugin_begins_is_a_place_of_its_call_only_in_the_same_trace() {
        let trace = Trace::sample();
        let at = told().at;
        let below = trace.below(&at).unwrap();
        assert!(below.is(&at) && !trace.is(&at));
        let other = At { trace: "1".repeat(32), ..at.clone() };
        assert!(trace.below(&other).is_none());
        assert!(trace.below(&At { sampled: false, ..at }).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_texts_are_read_without_a_panic(a: String, b: String, json: String) {
            let at = At { trace: a.clone(), span: b.clone(), sampled: true };
            let _ = data(&"p".into(), Told { at, parent: b, name: a, ..told() });
            let _ = value(json);
        }
    }
}
