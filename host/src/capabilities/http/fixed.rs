//! Answers that are put down: what a plugin that is tried gets in place of the network.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, WasiBody};

use super::{Answer, body::Capped};
use crate::world::Fixed;

/// Ask the world. `_slot` is the place among the plugin's requests.
pub async fn answer(
    world: &Fixed,
    request: Request<Capped<WasiBody>>,
    _slot: OwnedSemaphorePermit,
) -> Answer {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = world.ask(Request::from_parts(head, body));
    let response = answer.map_err(|reason| Error::InternalError(Some(reason)))?;
    let whole = |body: Bytes| Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Ok((response.map(whole), Box::new(async { Ok(()) })))
}
