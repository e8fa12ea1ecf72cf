//! The enricher: adds device, place and delay to each event of the topic `raw` and writes it to
//! the topic `events`, exactly once.
//!
//! A batch becomes one call for all places and one call for all records.

mod device;
mod event;
mod place;

use std::collections::BTreeMap;
use std::time::SystemTime;

use trellis_sdk::consumer::{Batch, Failure, Message};
use trellis_sdk::producer::{Record, Records};
use trellis_sdk::{config, geoip};

pub use device::Devices;
pub use event::{Enriched, Raw};

/// Where enriched events go.
const TOPIC: &str = "events";
/// How much larger than its raw record an event usually is.
const ADDED_SIZE: usize = 256;
/// Records are sent before they reach the limit of a call.
const FULL: usize = 8 * 1024 * 1024;

trellis_sdk::consumer!(handle);

/// Enrich the messages of a batch, up to the first that is no event.
fn handle(batch: Batch<'_>) -> Result<(), Failure> {
    let mut events = Vec::with_capacity(batch.len());
    let mut refused = None;
    for (index, message) in batch.iter().enumerate() {
        match message.json::<Raw<'_>>() {
            Ok(raw) => events.push((message, raw)),
            Err(error) => {
                refused = Some(Failure::dead_letter(index, format_args!("no event: {error}")));
                break;
            }
        }
    }
    send(&events, now_ms())?;
    refused.map_or(Ok(()), Err)
}

/// Write what these events become.
fn send(events: &[(Message<'_>, Raw<'_>)], now_ms: u64) -> Result<(), Failure> {
    let places = places(events);
    let pod = config::get("pod").unwrap_or_default();
    let mut records = Records::with_capacity(size_of(events));
    device::with(|devices| {
        for (message, raw) in events {
            let place = places.get(raw.ip.as_ref()).map_or(place::UNKNOWN, String::as_str);
            let event = Enriched::new(raw, devices.of(&raw.agent), place, &pod, now_ms)?;
            let record = Record::to(TOPIC).made_of(message);
            records.push_json(&record, &event)?;
            if records.size() > FULL {
                std::mem::take(&mut records).send()?;
            }
        }
        Ok(records.send()?)
    })
}

/// What the records will take, about.
fn size_of(events: &[(Message<'_>, Raw<'_>)]) -> usize {
    let values = events.iter().filter_map(|(message, _)| message.value());
    values.map(|value| value.len() + ADDED_SIZE).sum()
}

/// The places of all addresses of a batch, found in one call.
fn places<'e>(events: &'e [(Message<'_>, Raw<'_>)]) -> BTreeMap<&'e str, String> {
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    for (_, raw) in events {
        places.entry(raw.ip.as_ref()).or_default();
    }
    let addresses: Vec<&str> = places.keys().copied().collect();
    for (place, found) in places.values_mut().zip(geoip::lookup_many(&addresses)) {
        *place = place::json(found.as_ref());
    }
    places
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
