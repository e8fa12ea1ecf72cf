//! A component as one writes it for wasmCloud, with the SDK that is made there: it serves over
//! wasi:http and keeps what it has through wasi:keyvalue, wasi:blobstore and wasi:config.

use std::io::Read;

use wasmcloud_component::{
    http::{self, ErrorCode},
    info,
    wasi::{
        blobstore::{
            blobstore,
            types::{IncomingValue, OutgoingValue},
        },
        config,
        keyvalue::{atomics, batch, store},
    },
    wasmcloud::messaging::{consumer, types::BrokerMessage},
};

struct Component;

impl http::Server for Component {
    fn handle(
        request: http::IncomingRequest,
    ) -> http::Result<http::Response<impl http::OutgoingBody>> {
        let (parts, mut body) = request.into_parts();
        let mut sent = Vec::new();
        body.read_to_end(&mut sent).map_err(|error| failed(error.to_string()))?;
        info!("asked for {}", parts.uri.path());
        let said = match parts.uri.path() {
            "/count" => count(),
            "/pairs" => pairs(),
            "/config" => setting(),
            "/object" => object(&sent),
            "/message" => message(sent),
            _ => return Err(failed("there is nothing here".to_owned())),
        };
        said.map(http::Response::new).map_err(failed)
    }
}

fn failed(reason: String) -> ErrorCode {
    ErrorCode::InternalError(Some(reason))
}

fn in_words(error: store::Error) -> String {
    format!("{error:?}")
}

/// One more than the last time.
fn count() -> Result<String, String> {
    let bucket = store::open("default").map_err(in_words)?;
    atomics::increment(&bucket, "count", 1).map(|count| count.to_string()).map_err(in_words)
}

/// Two pairs that are written at once, and what is read of three.
fn pairs() -> Result<String, String> {
    let bucket = store::open("").map_err(in_words)?;
    let pairs = [("one".to_owned(), b"1".to_vec()), ("two".to_owned(), b"2".to_vec())];
    batch::set_many(&bucket, &pairs).map_err(in_words)?;
    let keys = ["one", "two", "three"].map(str::to_owned);
    let found = batch::get_many(&bucket, &keys).map_err(in_words)?;
    let texts = found.iter().map(|pair| match pair {
        Some((key, value)) => format!("{key}={}", String::from_utf8_lossy(value)),
        None => "nothing".to_owned(),
    });
    Ok(texts.collect::<Vec<_>>().join(" "))
}

/// The setting `greeting`, and how many there are.
fn setting() -> Result<String, String> {
    let greeting = config::store::get("greeting").map_err(|error| format!("{error:?}"))?;
    let all = config::store::get_all().map_err(|error| format!("{error:?}"))?;
    Ok(format!("{} of {}", greeting.unwrap_or_default(), all.len()))
}

/// What was sent, written as an object and read back.
fn object(sent: &[u8]) -> Result<String, String> {
    let (name, key) = ("things".to_owned(), "thing".to_owned());
    let container = match blobstore::container_exists(&name)? {
        true => blobstore::get_container(&name)?,
        false => blobstore::create_container(&name)?,
    };
    let value = OutgoingValue::new_outgoing_value();
    let stream = value.outgoing_value_write_body().map_err(|()| "no stream")?;
    container.write_data(&key, &value)?;
    for piece in sent.chunks(4096) {
        stream.blocking_write_and_flush(piece).map_err(|error| error.to_string())?;
    }
    drop(stream);
    OutgoingValue::finish(value)?;
    let size = container.object_info(&key)?.size;
    let value = container.get_data(&key, 0, size)?;
    let read = IncomingValue::incoming_value_consume_sync(value)?;
    String::from_utf8(read).map_err(|error| error.to_string())
}

/// What was sent, published.
fn message(body: Vec<u8>) -> Result<String, String> {
    let subject = "wasmcloud.out".to_owned();
    consumer::publish(&BrokerMessage { subject, body, reply_to: None })?;
    Ok("published".to_owned())
}

http::export!(Component);
