//! For probes and Prometheus: no token, no secrets.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::Host;

/// 200 while the process answers at all.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 while the host serves, 503 while it starts and once it stops.
pub(super) async fn ready(State(host): State<Host>) -> (StatusCode, &'static str) {
    match *host.sources.ready.borrow() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// All numbers.
pub(super) async fn metrics(State(host): State<Host>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (host.sources.metrics)())
}
