//! `tracker-durable`: events stored before they are answered, beside an axum handler that writes
//! the same record to the same kind of log.

use std::fs;

use anyhow::Result;

use super::{Bench, noise, rate};
use crate::{
    fill,
    house::House,
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

/// Measure with 256 connections, so that many events share a sync.
pub async fn durable(bench: &Bench, name: &str) -> Result<Vec<Row>> {
    let pins = bench.server_pin();
    let data = tempfile::tempdir()?;
    fill::fill(data.path(), &["raw"], 0).await?;
    let native = Server::start("tracker", Some(data.path()), pins.as_deref()).await?;
    let mut house = House::new(&bench.built, pins)?;
    house.install_all(&[bench.built.component("tracker")?])?;
    house.run().await?;
    house.until_served("/t/ready").await?;

    let urls = [native.url("/t/purchase"), house.url("/t/purchase")];
    let outcomes = bench.alternate(&bench.wrk(256)?, &request(), &urls).await?;
    let p99 = |runs: &[crate::wrk::Outcome]| {
        median(&runs.iter().map(|run| run.p99_us / 1000.0).collect::<Vec<_>>())
    };
    let note = format!(
        "{} · p99 {:.1} ms, native {:.1} ms · the log on {}",
        noise(&outcomes),
        p99(&outcomes[1]),
        p99(&outcomes[0]),
        filesystem(data.path()).unwrap_or_else(|| "an unknown filesystem".into()),
    );
    let row =
        Row { native: Some(rate(&outcomes[0])), ..Row::new(name, "req/s", rate(&outcomes[1])) };
    Ok(vec![Row { note, ..row }])
}

/// What a sync costs depends on it.
fn filesystem(path: &std::path::Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(mount, _)| path.starts_with(mount));
    holding.max_by_key(|(mount, _)| mount.len()).map(|(_, kind)| kind.to_owned())
}
