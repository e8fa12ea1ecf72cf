//! What everybody's plugin is like: it answers, it sends what it was given to a topic, and it
//! reads that topic and counts.

use trellis_sdk::{
    consumer::{Batch, Failure},
    http::{self, Request, Response},
    keyvalue::Store,
    producer::{self, Record, Records},
};

trellis_sdk::http!(answer);
trellis_sdk::consumer!(count);

/// The key that holds how many letters were read.
const READ: &str = "read";

/// `POST …/send` keeps the body in the topic, `…/read` tells how many were read, and everything
/// else is answered at once.
pub fn answer(request: Request<'_>) -> http::Result {
    match request.path().rsplit('/').next().unwrap_or_default() {
        "send" => {
            let mut letters = Records::new();
            letters.push(&Record::to("letters").value(request.body()));
            letters.send().map_err(|error| {
                http::Error::status(503, producer::describe(&error).to_string())
            })?;
            Ok(Response::text("sent"))
        }
        "read" => {
            let read = Store::open("default")?.get(READ)?.unwrap_or_default();
            Ok(Response::text(String::from_utf8_lossy(&read)))
        }
        _ => Ok(Response::text("well")),
    }
}

/// Count the letters of a batch.
pub fn count(batch: Batch<'_>) -> Result<(), Failure> {
    let letters = i64::try_from(batch.len())?;
    Store::open("default")?.increment(READ, letters)?;
    Ok(())
}
