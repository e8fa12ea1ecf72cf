//! What the plugin `tracker` does with a POST of JSON, as an axum handler on the same log, or on
//! the same cluster.

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

use super::kafka;

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

/// Where events are stored.
pub enum Store {
    /// In the log on this machine.
    Embedded(Embedded),
    /// In a cluster.
    Kafka(kafka::Writer),
}

impl Store {
    /// Write one event; whether it is durable.
    async fn keep(&self, ip: &str, value: &[u8]) -> bool {
        match self {
            Self::Embedded(log) => {
                let record = Outgoing::new("raw".into(), Some(ip.as_bytes()), Some(value), &[]);
                matches!(log.produce(vec![record]).await.pop(), Some(Ok(_)))
            }
            Self::Kafka(writer) => writer.write("raw", ip.as_bytes(), value).await,
        }
    }
}

/// `POST /t/{type}`.
pub fn router(store: Store) -> Router {
    Router::new().route("/t/{*path}", post(take)).with_state(Arc::new(store))
}

async fn take(
    State(store): State<Arc<Store>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((ip, value)) = event(client, &uri, &headers, &body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if !store.keep(&ip, &value).await {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let fields = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (fields, r#"{"status":"ok"}"#).into_response()
}

/// The address that the event is of, and the event.
fn event<'a>(
    client: SocketAddr,
    uri: &Uri,
    headers: &'a HeaderMap,
    body: &[u8],
) -> Option<(Cow<'a, str>, Vec<u8>)> {
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
    Some((ip, value))
}
