//! `/api/plugins`: what is installed and how it is.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};

use super::{Host, error::Error};
use crate::plugins::Status;

/// Every plugin, by name.
pub(super) async fn list(State(host): State<Host>) -> Json<Vec<Status>> {
    Json((host.sources.plugins)())
}

/// One plugin.
pub(super) async fn one(
    State(host): State<Host>,
    Path(name): Path<String>,
) -> Result<Json<Status>, Error> {
    let statuses = (host.sources.plugins)();
    let names: Vec<String> = statuses.iter().map(|status| status.name.clone()).collect();
    if let Some(status) = statuses.into_iter().find(|status| status.name == name) {
        return Ok(Json(status));
    }
    let error = Error::new(StatusCode::NOT_FOUND, format!("plugin `{name}` is not installed"));
    Err(match names.is_empty() {
        true => error.hint("no plugin is installed"),
        false => error.hint(format!("installed are `{}`", names.join("`, `"))),
    })
}
