//! The live view: the events of the topic `events`, shown as they arrive.
//!
//! ```text
//! batch ─ view (a record becomes a line of JSON) ─ channels `all` and `type/…` ─▶ viewers
//! request for a connection ─ origin, login ─ filter ─ connect (joins channels)
//! message of a viewer ─ talk (pause, filter) ─ connect
//! request ─ site ─ page, login
//! ```

mod address;
mod connect;
mod filter;
mod login;
mod origin;
mod page;
mod record;
mod settings;
mod site;
mod talk;
mod types;
mod view;

pub use view::{Place, View};

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use trellis_sdk::channels;
use trellis_sdk::consumer::{Batch, Failure};
use trellis_sdk::lifecycle::Lifecycle;
use trellis_sdk::log;

use types::Types;

trellis_sdk::consumer!(show);
trellis_sdk::http!(site::answer);
trellis_sdk::connection!(connect::Viewers);
trellis_sdk::lifecycle!(Live);

static TYPES: Mutex<Option<Types>> = Mutex::new(None);

/// Publish each record to `all`, and to the channel of its type. A view that fails is no reason to
/// show the batch again, so nothing here does.
fn show(batch: Batch<'_>) -> Result<(), Failure> {
    let mut types = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let types = types.get_or_insert_default();
    let now_ms = now_ms();
    let mut lost = None;
    for message in &batch {
        let (partition, offset) = (batch.partition(), message.offset());
        let timestamp_ms = message.timestamp_ms();
        let place = Place { topic: batch.topic(), partition, offset, timestamp_ms };
        let View { kind, frame } = View::new(place, message.key(), message.value());
        let channel = kind.as_deref().and_then(|kind| Some((kind, filter::channel(kind)?)));
        if let Some((kind, channel)) = channel
            && (types.has_channel(kind, now_ms) || channels::listeners(&channel) > 0)
            && let Err(error) = channels::publish(&channel, frame.as_str())
        {
            lost = Some(error);
        }
        if let Err(error) = channels::publish(filter::ALL, frame) {
            lost = Some(error);
        }
    }
    if let Some(error) = lost {
        log::warn(format_args!("some events are not shown: {error}"));
    }
    Ok(())
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

struct Live;

impl Lifecycle for Live {
    /// Refuses settings that cannot be meant, so that a mistake in the list of users opens nothing.
    fn start(_: Option<Vec<u8>>) -> Result<(), String> {
        if settings::get().as_ref()?.users.is_none() {
            log::warn("everybody may see the events: `live-users` is not set");
        }
        Ok(())
    }
}
