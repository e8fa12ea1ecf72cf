//! `/api/plugins`: what is installed, how it is, and what is to be done with it.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};

use super::{
    Host,
    error::{Body, Error},
};
use crate::plugins::{Order, Refused, Status, Weights, versions::Unfound};

/// The body of a rollback.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rollback {
    /// The version in its manifest, or the beginning of its digest; the one before when not given.
    pub to: Option<String>,
}

/// Every plugin, by name.
pub(super) async fn list(State(host): State<Host>) -> Json<Vec<Status>> {
    Json((host.sources.plugins)())
}

/// One plugin, with its generations and the versions that are kept.
pub(super) async fn one(
    State(host): State<Host>,
    Path(name): Path<String>,
) -> Result<Json<Status>, Error> {
    let found = (host.sources.plugin)(&name);
    found.map(Json).ok_or_else(|| explain(&host, Refused::Unknown(name)))
}

/// Put an earlier version back.
pub(super) async fn roll_back(
    State(host): State<Host>,
    Path(name): Path<String>,
    Body(Rollback { to }): Body<Rollback>,
) -> Result<Json<Status>, Error> {
    order(&host, &name, Order::Rollback { to }).await
}

/// Give the next version, or the candidate that there is, a part of the requests.
pub(super) async fn split(
    State(host): State<Host>,
    Path(name): Path<String>,
    Body(weights): Body<Weights>,
) -> Result<Json<Status>, Error> {
    order(&host, &name, Order::Split(weights)).await
}

/// Try its file again.
pub(super) async fn reload(
    State(host): State<Host>,
    Path(name): Path<String>,
) -> Result<Json<Status>, Error> {
    order(&host, &name, Order::Reload).await
}

async fn order(host: &Host, name: &str, order: Order) -> Result<Json<Status>, Error> {
    let done = (host.sources.order)(name, order).await;
    done.map(Json).map_err(|refused| explain(host, refused))
}

/// What the caller is told where an order was not carried out.
fn explain(host: &Host, refused: Refused) -> Error {
    let status = match &refused {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Unfound { unfound: Unfound::Unknown(_), .. } => StatusCode::NOT_FOUND,
        Refused::Weights => StatusCode::BAD_REQUEST,
        Refused::Unfound { .. }
        | Refused::NoSplit { .. }
        | Refused::Unwritable { .. }
        | Refused::Busy
        | Refused::Failed(_) => StatusCode::CONFLICT,
    };
    // A hint stands on a line of its own, after what is wrong.
    let message = refused.to_string();
    let (message, own) = match message.split_once("\nhint: ") {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (message, None),
    };
    let hint = own.or_else(|| match &refused {
        Refused::Unknown(_) => Some(installed(&(host.sources.plugins)())),
        Refused::Unfound { plugin, .. } => {
            Some(format!("`trellis plugins {plugin}` shows the versions that are kept"))
        }
        Refused::NoSplit { plugin, .. } => Some(format!(
            "`trellis split {plugin} 95 5` gives the next version that is dropped 5 requests of 100"
        )),
        _ => None,
    });
    let error = Error::new(status, message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn installed(statuses: &[Status]) -> String {
    let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
    match names.is_empty() {
        true => "no plugin is installed".to_owned(),
        false => format!("installed are `{}`", names.join("`, `")),
    }
}
