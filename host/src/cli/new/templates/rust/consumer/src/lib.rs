//! Counts the events of a topic by their type, and answers `GET /{{name}}?type=w` with a count.

use serde::Deserialize;
use trellis_sdk::{
    consumer::{Batch, Failure},
    http::{self, Request, Response},
    keyvalue::Store,
};

trellis_sdk::consumer!(count);
trellis_sdk::http!(answer);

#[derive(Deserialize)]
struct Event {
    r#type: String,
}

/// An error is tried again; `Failure::dead_letter` puts a message aside for good.
fn count(batch: Batch<'_>) -> Result<(), Failure> {
    let store = Store::open("default").map_err(|error| Failure::retry(0, error))?;
    for (index, message) in batch.iter().enumerate() {
        let event: Event =
            message.json().map_err(|error| Failure::dead_letter(index, error))?;
        store.increment(&event.r#type, 1).map_err(|error| Failure::retry(index, error))?;
    }
    Ok(())
}

fn answer(request: Request<'_>) -> http::Result {
    let kind = request.query_value("type").unwrap_or_default();
    let count = Store::open("default")?.increment(&kind, 0)?;
    Ok(Response::text(count.to_string()))
}
