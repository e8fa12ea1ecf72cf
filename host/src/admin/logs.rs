//! `/api/logs`: what was written lately, and what is written from now on.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Host, error::Query, lines::lines as respond};
use crate::observe::logs::Line;

/// How many recent lines an answer starts with where the caller does not say.
const LAST: usize = 100;

/// The query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    follow: bool,
    plugin: Option<String>,
    last: Option<usize>,
}

/// Recent lines, oldest first, and with `follow` all further ones.
pub(super) async fn lines(State(host): State<Host>, Query(which): Query<Which>) -> Response {
    let (plugin, last) = (which.plugin, which.last.unwrap_or(LAST));
    if !which.follow {
        let recent = host.sources.logs.recent(plugin.as_deref(), last);
        return respond(stream::iter(recent), host.shutdown);
    }
    let (recent, next) = host.sources.logs.follow(plugin.as_deref(), last);
    let about = move |line: &Arc<Line>| plugin.is_none() || line.plugin == plugin;
    let further =
        stream::unfold(next, next_line).filter(move |line| std::future::ready(about(line)));
    respond(stream::iter(recent).chain(further), host.shutdown)
}

/// The next line. A caller who is too slow is told how many it missed.
async fn next_line(mut next: Receiver<Arc<Line>>) -> Option<(Arc<Line>, Receiver<Arc<Line>>)> {
    match next.recv().await {
        Ok(line) => Some((line, next)),
        Err(RecvError::Lagged(missed)) => {
            let message = format!("{missed} lines are missing here: the reader was too slow");
            let line =
                Line { level: "WARN".into(), target: "logs".into(), message, ..Line::default() };
            Some((Arc::new(line), next))
        }
        Err(RecvError::Closed) => None,
    }
}
