//! `http-hello`: the shortest answer, beside axum's.

use anyhow::Result;

use super::{Bench, noise, rate};
use crate::{
    house::House,
    native::server::Server,
    report::Row,
    wrk::{BROWSER, Request},
};

/// The handler of the SDK.
pub async fn packed(bench: &Bench, name: &str, browser: bool) -> Result<Vec<Row>> {
    measure(bench, name, "bench-hello", browser).await
}

/// The handler of records.
pub async fn plain(bench: &Bench, name: &str, browser: bool) -> Result<Vec<Row>> {
    measure(bench, name, "bench-hello-plain", browser).await
}

async fn measure(bench: &Bench, name: &str, plugin: &str, browser: bool) -> Result<Vec<Row>> {
    let pins = bench.server_pin();
    let native = Server::start("hello", &[], pins.as_deref()).await?;
    let mut house = House::new(&bench.built, pins, "")?;
    house.install_all(&[bench.built.component(plugin)?])?;
    house.run().await?;
    let path = format!("/{plugin}");
    house.until_served(&path).await?;

    let headers = if browser { BROWSER.to_vec() } else { Vec::new() };
    let request = Request { headers, body: None };
    let urls = [native.url("/bench-hello"), house.url(&path)];
    let outcomes = bench.alternate(&bench.wrk(64)?, &request, &urls).await?;
    let row =
        Row { native: Some(rate(&outcomes[0])), ..Row::new(name, "req/s", rate(&outcomes[1])) };
    Ok(vec![Row { note: noise(&outcomes), ..row }])
}
