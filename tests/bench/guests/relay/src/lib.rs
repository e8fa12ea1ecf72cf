//! Reads events, takes three members of each, and writes them to another topic under the same
//! key.

use serde::{Deserialize, Serialize};
use trellis_sdk::{
    consumer::{Batch, Failure},
    producer::{Record, Records},
};

trellis_sdk::consumer!(relay);

/// What is kept of an event.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    ts: u64,
    ip: &'a str,
}

fn relay(batch: Batch<'_>) -> Result<(), Failure> {
    let mut records = Records::with_capacity(batch.len() * 128);
    for (index, message) in batch.iter().enumerate() {
        let kept: Kept<'_> = message.json().map_err(|error| Failure::dead_letter(index, error))?;
        records.push_json(&Record::to("relay-out").made_of(&message), &kept)?;
    }
    Ok(records.send()?)
}
