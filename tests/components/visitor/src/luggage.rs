//! `wasi:blobstore`: objects of the container `luggage`.

use crate::bindings::wasi::{
    blobstore::{
        blobstore::{self, Container},
        types::{IncomingValue, ObjectId, OutgoingValue},
    },
    io::streams::StreamError,
};

/// How much is written at a time.
const PIECE: usize = 4096;

/// Do one deed to the object of this name.
pub fn answer(deed: &str, name: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    if deed == "open" {
        return blobstore::create_container(name)?.name().map(String::into_bytes);
    }
    if deed == "exists" {
        return blobstore::container_exists(name).map(told);
    }
    let container = blobstore::get_container("luggage")?;
    match deed {
        "put" => put(&container, name, body, true).map(|()| b"put".to_vec()),
        "abandon" => put(&container, name, body, false).map(|()| b"abandoned".to_vec()),
        "get" => get(&container, name, 0, u64::MAX),
        "part" => get(&container, name, 2, 4),
        "stream" => stream(&container, name),
        "info" => {
            let info = container.object_info(name)?;
            Ok(format!("{} {} {}", info.container, info.name, info.size).into_bytes())
        }
        "has" => container.has_object(name).map(told),
        "list" => list(&container, name.parse().unwrap_or(100)),
        "delete" => container.delete_object(name).map(|()| b"deleted".to_vec()),
        "store" => blobstore::copy_object(&id("luggage", name), &id("store", name)).map(done),
        "fetch" => blobstore::move_object(&id("store", name), &id("luggage", name)).map(done),
        "clear" => container.clear().map(done),
        "hoard" => hoard(&container, name),
        _ => Err(format!("there is no `luggage/{deed}`")),
    }
}

fn done((): ()) -> Vec<u8> {
    b"done".to_vec()
}

fn told(whether: bool) -> Vec<u8> {
    whether.to_string().into_bytes()
}

fn id(container: &str, object: &str) -> ObjectId {
    ObjectId { container: container.to_owned(), object: object.to_owned() }
}

fn put(container: &Container, name: &str, body: &[u8], finish: bool) -> Result<(), String> {
    let value = OutgoingValue::new_outgoing_value();
    let stream = value.outgoing_value_write_body().map_err(|()| "no stream")?;
    container.write_data(name, &value)?;
    for piece in body.chunks(PIECE) {
        stream.blocking_write_and_flush(piece).map_err(in_words)?;
    }
    drop(stream);
    if finish { OutgoingValue::finish(value) } else { Ok(()) }
}

fn get(container: &Container, name: &str, start: u64, end: u64) -> Result<Vec<u8>, String> {
    let value = container.get_data(name, start, end)?;
    let size = value.size();
    let bytes = IncomingValue::incoming_value_consume_sync(value)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(format!("the size is {size}")) }
}

/// Through a stream, while the object is deleted.
fn stream(container: &Container, name: &str) -> Result<Vec<u8>, String> {
    let stream =
        IncomingValue::incoming_value_consume_async(container.get_data(name, 0, u64::MAX)?)?;
    container.delete_object(name)?;
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(1 << 20) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(error) => return Err(in_words(error)),
        }
    }
}

fn list(container: &Container, page: u64) -> Result<Vec<u8>, String> {
    let (names, mut all) = (container.list_objects()?, Vec::new());
    loop {
        let (some, end) = names.read_stream_object_names(page)?;
        all.extend(some);
        if end {
            return Ok(all.join(" ").into_bytes());
        }
    }
}

/// Keep the object open until that is refused.
fn hoard(container: &Container, name: &str) -> Result<Vec<u8>, String> {
    let mut open = Vec::new();
    loop {
        match container.get_data(name, 0, 0) {
            Ok(value) => open.push(value),
            Err(reason) => return Ok(format!("{}: {reason}", open.len()).into_bytes()),
        }
    }
}

fn in_words(error: StreamError) -> String {
    match error {
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
        StreamError::Closed => "closed".to_owned(),
    }
}
