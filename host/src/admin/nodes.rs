//! `/api/nodes`: the hosts that share the backends.

use axum::{Json, extract::State, http::StatusCode};

use super::{Host, error::Error};
use crate::nodes::Node;

/// Every host, by name.
pub(super) async fn list(State(host): State<Host>) -> Result<Json<Vec<Node>>, Error> {
    let nodes = host.sources.nodes.list().await;
    nodes.map(Json).map_err(|error| {
        let hint = "nodes find each other in the key-value store; see `trellis logs`";
        Error::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).hint(hint)
    })
}
