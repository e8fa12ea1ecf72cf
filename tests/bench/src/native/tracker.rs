//! What the plugin `tracker` does with a POST of JSON, as an axum handler on the same log.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Serialize;
use serde_json::value::RawValue;
use trellis::backends::log::{Log, Outgoing, embedded::Embedded};

/// As the plugin writes it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    time: u64,
    ip: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    agent: &'a str,
    node: &'a str,
    params: &'a RawValue,
}

struct Tracker {
    log: Embedded,
    topic: Arc<str>,
}

/// `POST /t/{type}`.
pub fn router(log: Embedded) -> Router {
    let tracker = Arc::new(Tracker { log, topic: "raw".into() });
    Router::new().route("/t/{*path}", post(take)).with_state(tracker)
}

async fn take(
    State(tracker): State<Arc<Tracker>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(record) = record(&tracker.topic, client, &uri, &headers, &body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match tracker.log.produce(vec![record]).await.pop() {
        Some(Ok(_)) => {
            let fields = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            ];
            (fields, r#"{"status":"ok"}"#).into_response()
        }
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn record(
    topic: &Arc<str>,
    client: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Outgoing> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(header::HeaderName::from_static("dnt")) == "1" {
        return None;
    }
    let forwarded = text(header::HeaderName::from_static("x-forwarded-for")).split(',').next();
    let ip = match forwarded.map(str::trim).filter(|ip| !ip.is_empty()) {
        Some(ip) => Cow::Borrowed(ip),
        None => Cow::Owned(client.ip().to_string()),
    };
    let params: &RawValue = serde_json::from_slice(body).ok()?;
    let event = Event {
        kind: uri.path().rsplit('/').find(|segment| !segment.is_empty())?,
        time: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?,
        ip: &ip,
        host: text(header::HOST).split(':').next().unwrap_or_default(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        agent: text(header::USER_AGENT),
        node: "one",
        params,
    };
    let value = serde_json::to_vec(&event).ok()?;
    Some(Outgoing::new(Arc::clone(topic), Some(ip.as_bytes()), Some(&value), &[]))
}
