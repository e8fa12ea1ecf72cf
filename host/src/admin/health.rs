//! For probes and Prometheus: no token, no secrets.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::Host;
use crate::nodes;

/// 200 while the process answers at all.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 while the host serves, 503 while it starts and once it stops.
pub(super) async fn ready(State(host): State<Host>) -> (StatusCode, String) {
    let state = *host.sources.state.borrow();
    let status = match state {
        nodes::State::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", state.as_str()))
}

/// All numbers.
pub(super) async fn metrics(State(host): State<Host>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (host.sources.metrics)())
}
