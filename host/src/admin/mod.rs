//! What operators see and do while the host runs: an HTTP API on an address of its own.
//!
//! ```text
//!  GET  /healthz  /readyz  /metrics                 without a token, for probes and Prometheus
//!  GET  /api/plugins  /api/plugins/{name}           what is installed and how it is
//!  GET  /api/nodes                                  the hosts that share the backends
//!  POST /api/plugins/{name}/rollback                put an earlier version back
//!  POST /api/plugins/{name}/split                   give a candidate a part of the requests
//!  POST /api/plugins/{name}/reload                  try its file again
//!  GET  /api/logs?follow=true&plugin=NAME&last=100  log lines, one JSON object a line
//!  GET  /api/topics                                 all topics with their partitions
//!  POST /api/topics/{topic}                         create, with its settings
//!  POST /api/topics/{topic}/records                 produce
//!  GET  /api/topics/{topic}/records?from=...        read, one JSON object a line
//!  POST /api/topics/{topic}/replay                  move a group
//!  GET  /api/lag                                    how far each group is
//! ```
//!
//! The command line enters through this API; `serve` starts it and hands in the handles that it
//! shows. All of `/api` takes a bearer token, see [`token`].

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, extract::DefaultBodyLimit, middleware, routing};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    backends::log::{self, Log, Start},
    nodes::{Nodes, State},
    observe::Logs,
    plugins::{Order, Refused, Status},
};

mod error;
mod health;
mod lines;
mod logs;
mod nodes;
mod origin;
pub mod plugins;
pub mod ports;
mod server;
#[cfg(test)]
mod tests;
pub mod token;
pub mod topics;

pub use error::Error;

/// `[admin]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The token; `None`: one is made up at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl fmt::Debug for Settings {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "***");
        f.debug_struct("Settings").field("listen", &self.listen).field("token", &token).finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 9080).into(), token: None }
    }
}

/// Moves a group, the first name, to another place in a topic, the second.
pub type Replayer =
    Arc<dyn Fn(&str, &str, Start) -> BoxFuture<'static, Result<(), Unmoved>> + Send + Sync>;

/// Tells how the plugin of this name is, with its versions; `None` when it is not installed.
pub type Detailer = Arc<dyn Fn(&str) -> Option<Status> + Send + Sync>;

/// Carries an order out, for the plugin of this name; how the plugin is then.
pub type Orderer =
    Arc<dyn Fn(&str, Order) -> BoxFuture<'static, Result<Status, Refused>> + Send + Sync>;

/// Why a group was not moved.
#[derive(Debug, thiserror::Error)]
pub enum Unmoved {
    /// The log would not.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Whoever reads for the group would not; the sentence says what to do.
    #[error("{0}")]
    Reader(String),
}

/// What the API shows.
#[derive(Clone)]
pub struct Sources {
    /// How every plugin is, by name.
    pub plugins: Arc<dyn Fn() -> Vec<Status> + Send + Sync>,
    /// The hosts that share the backends.
    pub nodes: Arc<Nodes>,
    /// How one plugin is, with its versions.
    pub plugin: Detailer,
    /// Does something with a plugin.
    pub order: Orderer,
    /// The topics.
    pub log: Arc<dyn Log>,
    /// Moves a group to another place in a topic.
    pub replay: Replayer,
    /// The recent log lines.
    pub logs: Logs,
    /// All numbers in the text format of Prometheus.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Where the host is in its life.
    pub state: watch::Receiver<State>,
}

/// The largest request.
const MAX_BODY: usize = 16 << 20;

/// What a handler gets.
#[derive(Clone)]
struct Host {
    sources: Arc<Sources>,
    token: Arc<token::Token>,
    shutdown: CancellationToken,
}

/// Serve the API until `shutdown`; streams end then, other answers in progress are finished.
pub async fn run(
    listener: TcpListener,
    token: token::Token,
    sources: Sources,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let host =
        Host { sources: Arc::new(sources), token: Arc::new(token), shutdown: shutdown.clone() };
    let mut router = router(host);
    if listener.local_addr()?.ip().is_loopback() {
        router = router.layer(middleware::from_fn(origin::check));
    }
    server::serve(listener, router, server::Patience::default(), shutdown).await;
    Ok(())
}

fn router(host: Host) -> Router {
    Router::new()
        .route("/api/plugins", routing::get(plugins::list))
        .route("/api/plugins/{name}", routing::get(plugins::one))
        .route("/api/nodes", routing::get(nodes::list))
        .route("/api/plugins/{name}/rollback", routing::post(plugins::roll_back))
        .route("/api/plugins/{name}/split", routing::post(plugins::split))
        .route("/api/plugins/{name}/reload", routing::post(plugins::reload))
        .route("/api/logs", routing::get(logs::lines))
        .route("/api/topics", routing::get(topics::list))
        .route("/api/topics/{topic}", routing::post(topics::create))
        .route("/api/topics/{topic}/records", routing::post(topics::produce).get(topics::consume))
        .route("/api/topics/{topic}/replay", routing::post(topics::replay))
        .route("/api/lag", routing::get(topics::lag))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // What follows this line takes no token.
        .layer(middleware::from_fn_with_state(host.clone(), token::check))
        .route("/healthz", routing::get(health::alive))
        .route("/readyz", routing::get(health::ready))
        .route("/metrics", routing::get(health::metrics))
        .method_not_allowed_fallback(error::no_such_method)
        .fallback(error::no_such_path)
        .with_state(host)
}
