//! Storing events: leave out what has been stored before, send, then remember.
//!
//! An id is remembered only after its event is durable. A crash in between makes a repeated
//! event possible and a lost one impossible. Where nothing is to be remembered, events are sent
//! ahead of the answer, and the host waits for the log.

use trellis_sdk::http::{Error, Result};
use trellis_sdk::log;
use trellis_sdk::producer::{Record, Records, SendError};

use crate::event::Event;
use crate::seen::Seen;
use crate::settings::Settings;

/// Where events go.
const TOPIC: &str = "raw";
/// The largest event, as it is stored.
const MAX_EVENT: usize = 32 * 1024;
/// Room for a usual event, so that the buffer grows rarely.
const USUAL_EVENT: usize = 1024;

/// Store one event, unless its id has been stored before.
pub fn store_one(event: &Event<'_>, settings: &Settings) -> Result<()> {
    let mut seen = Seen::open(settings)?;
    if seen.contains(event)? {
        return Ok(());
    }
    let mut records = Records::with_capacity(USUAL_EVENT);
    add(&mut records, event)?;
    if seen.remembers() {
        records.send().map_err(unavailable)?;
        return seen.remember();
    }
    records.send_ahead().map_err(unavailable)
}

/// Add an event to what is sent. The key is the address of the client: its events stay in order.
pub fn add(records: &mut Records, event: &Event<'_>) -> Result<()> {
    let mark = records.mark();
    records.push_json(&Record::to(TOPIC).key(event.ip.as_bytes()), event)?;
    if records.size_since(mark) <= MAX_EVENT {
        return Ok(());
    }
    records.rewind(mark);
    Err(Error::status(413, format!("the event is larger than {MAX_EVENT} bytes")))
}

/// What a client is told when nothing could be stored. The reason is for the log.
pub fn unavailable(error: SendError) -> Error {
    match error {
        SendError::TooLarge(limit) => {
            Error::status(413, format!("the event is larger than {limit} bytes"))
        }
        SendError::Unavailable(reason) => {
            log::error(format_args!("events are turned away: {reason}"));
            Error::status(503, "events cannot be stored now, try again")
        }
        other => Error::from(other),
    }
}
