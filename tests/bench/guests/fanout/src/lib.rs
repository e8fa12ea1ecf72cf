//! Publishes as many frames as a request asks for to all websockets and streams, which never say
//! anything.
//!
//! `POST /bench-fanout/publish?first=&count=&size=&stamp=` publishes `count` frames. Each begins
//! with its number, `first` and on, `stamp` and `size`, each of 8 bytes in little-endian order, and
//! has `size` bytes, 24 at least.

use trellis_sdk::{
    channels::{self, Start},
    connection::{Accepted, Connections, Event, Refused, Request},
    http::{self, Response},
};

trellis_sdk::connection!(Listeners);
trellis_sdk::http!(publish);

/// What all listeners hear.
const CHANNEL: &str = "all";

struct Listeners;

impl Connections for Listeners {
    fn open(_request: Request) -> Result<Accepted, Refused> {
        Ok(Accepted::new().join(CHANNEL, Start::Next))
    }

    fn events(_batch: Vec<Event>) {}
}

fn publish(request: http::Request<'_>) -> http::Result {
    let (mut first, mut count, mut size, mut stamp) = (0, 0, 0, 0);
    for (key, value) in request.query_pairs() {
        let value: u64 = value.parse()?;
        match &*key {
            "first" => first = value,
            "count" => count = value,
            "size" => size = value,
            "stamp" => stamp = value,
            _ => {}
        }
    }
    for number in first..first + count {
        let mut frame = Vec::with_capacity(size as usize);
        frame.extend_from_slice(&number.to_le_bytes());
        frame.extend_from_slice(&stamp.to_le_bytes());
        frame.extend_from_slice(&size.to_le_bytes());
        frame.resize(size as usize, b'.');
        channels::publish(CHANNEL, frame)?;
    }
    Ok(Response::new(204))
}
