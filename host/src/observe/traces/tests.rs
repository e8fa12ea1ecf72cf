//! What is begun, without a collector.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

use super::{
    export::{provider, resource},
    *,
};
use crate::secret::Source;

const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// A tracer and what it has recorded; the provider keeps it going.
fn tracer(sample: f64) -> (Tracer, Kept, SdkTracerProvider) {
    let kept = Kept::default();
    let provider = provider(resource("trellis".into(), "node".into()));
    let provider = provider.with_simple_exporter(kept.clone()).build();
    let told = BatchSpanProcessor::builder(kept.clone()).build();
    (Tracer { sdk: provider.tracer("test"), told, sample }, kept, provider)
}

#[test]
fn a_sender_decides_before_the_sample_does() {
    let untraced = SENT.replace("-01", "-00");
    for (given, sample, expected) in [
        (None, 1.0, true),
        (None, 0.0, false),
        (Some(SENT), 0.0, true),
        (Some(&*untraced), 1.0, false),
        (Some("nonsense"), 1.0, true),
        (Some("00-00000000000000000000000000000000-b7ad6b7169203331-01"), 0.0, false),
    ] {
        let (tracer, kept, _provider) = tracer(sample);
        let span = tracer.server(given.map(str::as_bytes), "GET");
        assert_eq!(span.is_some(), expected, "{given:?} {sample}");
        drop(span);
        assert_eq!(kept.0.lock().unwrap().len(), usize::from(expected));
    }
}

#[test]
fn a_span_goes_on_where_its_sender_was_and_its_children_below_it() {
    let (tracer, kept, _provider) = tracer(1.0);
    let mut server = tracer.server(Some(SENT.as_bytes()), "GET").unwrap();
    server.rename("GET /t".into());
    let other = tracer.server(None, "GET").unwrap().trace();
    let below = server.trace();
    assert_eq!(below.id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    drop(tracer.child(&below, SpanKind::Producer, "send raw".into(), [other.clone()]));
    server.fail("500", "it broke");
    drop(server);
    let spans = kept.0.lock().unwrap();
    let [_, send, server] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(send.parent_span_id, server.span_context.span_id());
    assert_eq!(send.links.links[0].span_context.trace_id(), other.id());
    let sent = format!("00-{}-{}-01", below.id(), server.span_context.span_id());
    assert_eq!((server.name.as_ref(), below.header()), ("GET /t", sent));
}

#[test]
fn part_of_the_requests_is_traced() {
    let (tracer, _kept, _provider) = tracer(0.1);
    let traced = (0..10_000).filter(|_| tracer.server(None, "GET").is_some()).count();
    assert!((850..1150).contains(&traced), "{traced}");
}

#[test]
fn an_endpoint_is_the_address_of_a_collector() {
    let target = |endpoint: &str| {
        Settings { endpoint: Some(endpoint.into()), ..Settings::default() }.target()
    };
    for good in
        ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"]
    {
        assert_eq!(target(good).unwrap().unwrap(), "http://127.0.0.1:4318/v1/traces");
    }
    for bad in ["", "127.0.0.1:4318", "grpc://x:4317", "http://", "http://x/?a=b"] {
        assert!(target(bad).is_err(), "{bad}");
    }
    let sample = Settings { sample: f64::NAN, ..Settings::default() };
    assert_eq!(
        sample.check().unwrap_err().to_string(),
        "`sample` is NaN, which is not from 0 to 1"
    );
    let headers = [("a b".to_owned(), Source::Env("X".into()))].into();
    let named = Settings { headers, ..Settings::default() };
    assert_eq!(named.check().unwrap_err().to_string(), "`a b` is no name of a header field");
}
