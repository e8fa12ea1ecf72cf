//! `tracker-durable`: events stored before they are answered, beside an axum handler that writes
//! the same record to the same kind of log; `kafka-tracker-durable`: to the same cluster.

use anyhow::Result;

use super::{
    Bench, noise, rate,
    topics::{Kind, Topics},
};
use crate::{
    native::server::Server,
    report::{Row, median},
    wrk::{BROWSER, Request},
};

/// An event as a shop sends it.
pub const BODY: &str =
    r#"{"action":"create","item":"bicycle-4711","price":1299.5,"currency":"EUR","n":123456}"#;

/// Requests of a browser with an event as JSON.
pub fn request() -> Request {
    Request { headers: BROWSER.to_vec(), body: Some(BODY.to_owned()) }
}

/// Measure with 256 connections, so that many events share a sync or a request.
pub async fn durable(bench: &Bench, name: &str, kind: Kind) -> Result<Vec<Row>> {
    let pins = bench.server_pin();
    let (topics, data) = (Topics::new(kind, &["raw"], 0).await?, tempfile::tempdir()?);
    let arguments = topics.arguments(data.path())?;
    let native = Server::start("tracker", &arguments, pins.as_deref()).await?;
    let mut house = topics.house(bench, pins)?;
    house.install_all(&[bench.built.component("tracker")?])?;
    house.run().await?;
    house.until_served("/t/ready").await?;

    let urls = [native.url("/t/purchase"), house.url("/t/purchase")];
    let outcomes = bench.alternate(&bench.wrk(256)?, &request(), &urls).await?;
    let p99 = |runs: &[crate::wrk::Outcome]| {
        median(&runs.iter().map(|run| run.p99_us / 1000.0).collect::<Vec<_>>())
    };
    let note = format!(
        "{} · p99 {:.1} ms, native {:.1} ms · {}",
        noise(&outcomes),
        p99(&outcomes[1]),
        p99(&outcomes[0]),
        topics.describe(data.path()),
    );
    let row =
        Row { native: Some(rate(&outcomes[0])), ..Row::new(name, "req/s", rate(&outcomes[1])) };
    Ok(vec![Row { note, ..row }])
}
