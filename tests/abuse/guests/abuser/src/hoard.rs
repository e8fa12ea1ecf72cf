//! Opens ten thousand of everything that can be opened, and closes nothing.

use std::mem::forget;

use trellis_sdk::{bindings::imports::trellis::storage::sql::Transaction, keyvalue::Store};
use wasip2::{
    clocks::monotonic_clock,
    http::{
        outgoing_handler,
        types::{Fields, OutgoingRequest, Scheme},
    },
    io::poll,
};

const MANY: usize = 10_000;

/// Buckets of the key-value store.
pub fn buckets() -> Result<String, String> {
    for _ in 0..MANY {
        forget(Store::open("default").map_err(|error| format!("{error:?}"))?);
    }
    Ok("open".to_owned())
}

/// Transactions, each ended, none let go.
pub fn transactions() -> Result<String, String> {
    for _ in 0..MANY {
        let transaction = Transaction::begin().map_err(|error| format!("{error:?}"))?;
        transaction.rollback().map_err(|error| format!("{error:?}"))?;
        forget(transaction);
    }
    Ok("open".to_owned())
}

/// Fields of requests, about as large as they may be.
pub fn fields() -> Result<String, String> {
    let value = vec![b'~'; 4 << 10];
    for _ in 0..MANY {
        let fields = Fields::new();
        for _ in 0..14 {
            fields.append("x-heap", &value).map_err(|error| format!("{error:?}"))?;
        }
        forget(fields);
    }
    Ok("open".to_owned())
}

/// Timers, all waited for at a time.
pub fn timers() -> Result<String, String> {
    let hour = 3_600_000_000_000;
    let timers: Vec<_> = (0..MANY).map(|_| monotonic_clock::subscribe_duration(hour)).collect();
    let all: Vec<_> = timers.iter().collect();
    poll::poll(&all);
    Ok("over".to_owned())
}

/// Requests to an address, none of whose answers is looked at.
pub fn calls(address: &str) -> Result<String, String> {
    for _ in 0..MANY {
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&Scheme::Http)).map_err(|()| "no scheme")?;
        request.set_authority(Some(address)).map_err(|()| "no address")?;
        request.set_path_with_query(Some("/")).map_err(|()| "no path")?;
        let answer = outgoing_handler::handle(request, None);
        forget(answer.map_err(|error| format!("{error:?}"))?);
    }
    Ok("open".to_owned())
}
