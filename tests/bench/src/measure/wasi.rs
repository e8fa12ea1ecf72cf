//! `wasi-http-02-hello` and `-03-`: a component of somebody else, beside `wasmtime serve` with the
//! same component, and beside axum.

use std::path::Path;

use anyhow::Result;

use super::{Bench, noise, rate};
use crate::{
    built::Built,
    house::House,
    native::server::Server,
    peer::Peer,
    report::{Against, Row},
    wrk::Request,
};

/// Measure a component that `tests/foreign` names.
pub async fn hello(bench: &Bench, name: &str, component: &str) -> Result<Vec<Row>> {
    let file = Built::foreign()?.join(format!("{component}.wasm"));
    let pins = bench.server_pin();
    let native = Server::start("hello", &[], pins.as_deref()).await?;
    let mut house = House::new(&bench.built, pins.clone(), "")?;
    house.install_all(std::slice::from_ref(&file))?;
    // Reuse of instances has to be asked for, here as in the peer.
    house.install(&format!("{component}.toml"), manifest(component))?;
    house.run().await?;
    let path = format!("/{component}");
    house.until_served(&path).await?;

    let mut urls = vec![native.url("/bench-hello"), house.url(&path)];
    let (peer, mut note) = match peer(&file, pins.as_deref(), &house).await {
        Ok(peer) => (Some(peer), String::new()),
        Err(error) => (None, format!(" · {error:#}")),
    };
    urls.extend(peer.as_ref().map(|peer| peer.url(&path)));
    let outcomes = bench.alternate(&bench.wrk(64)?, &Request::default(), &urls).await?;
    note.insert_str(0, &noise(&outcomes));
    Ok(vec![Row {
        native: Some(rate(&outcomes[0])),
        peer: outcomes.get(2).map(|runs| rate(runs)),
        against: Against::Peer,
        note,
        ..Row::new(name, "req/s", rate(&outcomes[1]))
    }])
}

fn manifest(name: &str) -> String {
    format!("name = \"{name}\"\n[http]\nroutes = [\"/{name}\"]\n[limits]\nreuse = true\n")
}

async fn peer(component: &Path, pins: Option<&str>, house: &House) -> Result<Peer> {
    let mut peer = Peer::serve(component, pins, None).await?;
    peer.until_served(&house.client).await?;
    Ok(peer)
}
