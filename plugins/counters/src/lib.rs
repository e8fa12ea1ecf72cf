//! The counters: four statistics over the topic `events`, kept in SQL and shown over HTTP.
//!
//! ```text
//! batch ─ scan (the few fields that count) ─ counts (in memory) ─ store (one call of upserts)
//! request ─ site ─ store
//! ```

mod bound;
mod counts;
mod scan;
mod site;
mod store;

pub use counts::{Counts, Window};
pub use scan::{Fields, NoEvent, Text};
pub use store::upserts;

use trellis_sdk::consumer::{Batch, Failure};

trellis_sdk::consumer!(handle);
trellis_sdk::http!(site::answer);

/// Count the messages of a batch, up to the first that is no event.
fn handle(batch: Batch<'_>) -> Result<(), Failure> {
    let mut counts = Counts::default();
    let mut refused = None;
    for (index, message) in batch.iter().enumerate() {
        if let Err(error) = counts.add(message.value().unwrap_or_default(), message.timestamp_ms())
        {
            refused = Some(Failure::dead_letter(index, error));
            break;
        }
    }
    store::add(counts)?;
    refused.map_or(Ok(()), Err)
}
