//! Traces that follow one event, read by a collector of this test.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;

use crate::support::Host;

const PLUGINS: &[&str] = &["tracker", "enricher", "counters"];

/// What arrived so far.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    fields: Arc<Mutex<HeaderMap>>,
}

impl Collector {
    /// Take spans from now on; where they are to be sent to.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let take = |State(own): State<Self>, fields: HeaderMap, body: Bytes| async move {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
            own.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
            *own.fields.lock().unwrap() = fields;
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, router).await });
        (collector, format!("http://{address}"))
    }

    /// The spans of a trace, in the order of their beginnings.
    fn trace(&self, id: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        let mut spans: Vec<_> = spans.iter().filter(|s| hex(&s.trace_id) == id).cloned().collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// The spans of a trace once there are some of each of these names.
    async fn until(&self, host: &Host, id: &str, names: &[&str]) -> Vec<Span> {
        host.eventually(async || {
            let spans = self.trace(id);
            let there = |name: &&str| spans.iter().any(|span| span.name == *name);
            match names.iter().all(there) {
                true => Ok(spans),
                false => Err(format!(
                    "of {names:?} there is {:?}",
                    spans.iter().map(|span| &span.name).collect::<Vec<_>>()
                )),
            }
        })
        .await
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text or a number of a span.
fn noted(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn settings(endpoint: &str) -> String {
    format!(
        "[grants]\ndefault = \"needs\"\n[http]\ntrusted-proxies = [\"127.0.0.1/32\"]\n\
         [observe.traces]\nendpoint = \"{endpoint}\"\n"
    )
}

async fn visit(host: &Host, trace: &str) {
    let request = Request::get(host.url("/t/visit")).header("traceparent", trace);
    assert_eq!(host.request(request.body(Full::default()).unwrap()).await.status, 200);
}

const ALL: &[&str] = &["send raw", "process raw", "process events"];

#[tokio::test]
async fn one_event_is_followed_through_http_the_log_and_both_consumers() {
    let (collector, endpoint) = Collector::start().await;
    let host = Host::start_with(PLUGINS, &settings(&endpoint)).await;
    let id = "0af7651916cd43dd8448eb211c80319c";
    visit(&host, &format!("00-{id}-b7ad6b7169203331-01")).await;
    let spans = collector.until(&host, id, ALL).await;
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id.clone(), span)).collect();
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();

    let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(hex(&server.parent_span_id), "b7ad6b7169203331");
    assert_eq!(server.name, format!("GET {}", noted(server, "http.route").unwrap()));
    assert_eq!(noted(server, "http.response.status_code").unwrap(), "200");
    assert_eq!(noted(server, "url.path").unwrap(), "/t/visit");
    assert_eq!(noted(server, "trellis.plugin").unwrap(), "tracker");

    let parent = |span: &Span| by_id[&span.parent_span_id].name.clone();
    assert_eq!(parent(named("send raw")), server.name);
    assert_eq!(parent(named("process raw")), "send raw");
    assert_eq!(noted(named("process raw"), "trellis.plugin").unwrap(), "enricher");
    assert_eq!(noted(named("process raw"), "messaging.kafka.offset").unwrap(), "0");
    assert_eq!(noted(named("process events"), "trellis.plugin").unwrap(), "counters");
    assert_eq!(noted(named("process events"), "trellis.generation").unwrap(), "1");

    let record = &host.records("events", 1).await[0];
    assert_eq!(record["headers"][0][0], "traceparent");
    let header = record["headers"][0][1].as_str().unwrap();
    assert!(header.starts_with(&format!("00-{id}-")) && header.ends_with("-01"), "{header}");
}

#[tokio::test]
async fn each_of_many_events_of_a_batch_keeps_its_own_trace() {
    let (collector, endpoint) = Collector::start().await;
    let host = Host::start_with(PLUGINS, &settings(&endpoint)).await;
    let ids: Vec<String> = (1..=60).map(|number| format!("{number:032x}")).collect();
    let headers = ids.iter().map(|id| format!("00-{id}-00000000000000aa-01"));
    let headers: Vec<_> = headers.collect();
    let visits = headers.iter().map(|header| visit(&host, header));
    futures_util::future::join_all(visits).await;
    for id in &ids {
        let spans = collector.until(&host, id, ALL).await;
        let plugins: HashSet<_> = spans.iter().filter_map(|s| noted(s, "trellis.plugin")).collect();
        assert_eq!(plugins.len(), 3, "{plugins:?}");
    }
}

#[tokio::test]
async fn what_a_stranger_or_an_untraced_sender_says_is_kept_to() {
    let (collector, endpoint) = Collector::start().await;
    let quiet = format!("{}sample = 0.0\n", settings(&endpoint));
    let host = Host::start_with(PLUGINS, &quiet).await;
    let (untraced, traced) = ("1".repeat(32), "2".repeat(32));
    visit(&host, &format!("00-{untraced}-b7ad6b7169203331-00")).await;
    let plain = host.get("/t/visit").await;
    assert_eq!(plain.status, 200);
    visit(&host, &format!("00-{traced}-b7ad6b7169203331-01")).await;
    collector.until(&host, &traced, ALL).await;
    let seen: HashSet<_> =
        collector.spans.lock().unwrap().iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(seen, HashSet::from([traced]));

    let far = settings(&endpoint).replace("127.0.0.1/32", "10.0.0.1/32");
    let stranger = Host::start_with(PLUGINS, &far).await;
    let claimed = "3".repeat(32);
    visit(&stranger, &format!("00-{claimed}-b7ad6b7169203331-01")).await;
    stranger
        .eventually(async || {
            let spans = collector.spans.lock().unwrap();
            let own = spans.iter().filter(|span| span.kind() == SpanKind::Server);
            match own.filter(|span| span.parent_span_id.is_empty()).count() {
                0 => Err(format!("{} spans, none of a new trace", spans.len())),
                _ => Ok(()),
            }
        })
        .await;
    assert!(collector.trace(&claimed).is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_request_and_is_told_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let host = Host::start_with(PLUGINS, &settings(&endpoint)).await;
    host.eventually(async || {
        assert_eq!(host.get("/t/visit").await.status, 200);
        let metrics = host.admin("/metrics").await.text();
        let failed = metrics.lines().find(|l| l.starts_with("trellis_trace_exports_failed_total"));
        let failed = failed.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        if failed >= Some(2) { Ok(()) } else { Err(format!("{failed:?} failed")) }
    })
    .await;
    let told = host.log().matches("traces do not arrive").count();
    assert_eq!(told, 1, "{}", host.log());
}

#[tokio::test]
async fn the_collector_gets_the_header_fields_of_the_settings_and_the_log_does_not() {
    let (collector, endpoint) = Collector::start().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "Bearer tell-nobody\n").unwrap();
    let settings = format!(
        "{}headers = {{ authorization = {{ file = \"{}\" }} }}\n",
        settings(&endpoint),
        secret.path().display()
    );
    let host = Host::start_with(PLUGINS, &settings).await;
    let id = "4".repeat(32);
    visit(&host, &format!("00-{id}-b7ad6b7169203331-01")).await;
    collector.until(&host, &id, ALL).await;
    assert_eq!(collector.fields.lock().unwrap()["authorization"], "Bearer tell-nobody");
    assert!(!host.log().contains("tell-nobody"));
}

#[tokio::test]
async fn spans_of_a_component_with_an_sdk_lie_between_those_of_the_host() {
    let (collector, endpoint) = Collector::start().await;
    let host = Host::start_with(&["visitor"], &settings(&endpoint)).await;
    let id = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::get(host.url("/visitor/diary/span/stroll"))
        .header("traceparent", format!("00-{id}-b7ad6b7169203331-01"));
    let told = host.request(request.body(Full::default()).unwrap()).await.text();
    let spans = collector.until(&host, id, &["stroll", "send letters"]).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(told, format!("{id} {}", hex(&server.span_id)));

    let stroll = named("stroll");
    assert_eq!(stroll.parent_span_id, server.span_id);
    assert_eq!(noted(stroll, "trellis.plugin").as_deref(), Some("visitor"));
    assert_eq!(noted(stroll, "stop.number").as_deref(), Some("7"));
    assert_eq!(hex(&stroll.span_id), "00f067aa0ba902b7");
    assert_eq!(named("send letters").parent_span_id, stroll.span_id);
}

#[tokio::test]
async fn a_component_with_an_sdk_is_told_that_its_call_is_not_traced() {
    let host = Host::start(&["visitor"]).await;
    let told = host.get("/visitor/diary/span/stroll").await.text();
    assert_eq!(told, format!("{} {}", "0".repeat(32), "0".repeat(16)));
}
