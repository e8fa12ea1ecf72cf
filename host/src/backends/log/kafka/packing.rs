//! Records between the packed layout and librdkafka's messages.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BufMut;
use rdkafka::{
    Message, Timestamp,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
};

use super::super::record::{Tail, put_opt};

/// The headers of a record as librdkafka takes them; `None` where there are none.
pub fn headers(tail: Tail<'_>) -> Option<OwnedHeaders> {
    tail.headers().fold(None, |headers, (key, value)| {
        let headers = headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(4));
        Some(headers.insert::<[u8]>(Header { key, value }))
    })
}

/// Append a message as it stands in a packed batch.
pub fn put_message(buffer: &mut Vec<u8>, message: &BorrowedMessage<'_>) {
    let at = buffer.len();
    buffer.put_u32_le(0);
    buffer.put_u64_le(offset(message));
    buffer.put_i64_le(match message.timestamp() {
        Timestamp::CreateTime(time) | Timestamp::LogAppendTime(time) => time,
        Timestamp::NotAvailable => 0,
    });
    put_opt(buffer, message.key());
    put_opt(buffer, message.payload());
    put_headers(buffer, message);
    let length = (buffer.len() - at - 4) as u32;
    buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// The offset of a message that was read.
pub fn offset(message: &BorrowedMessage<'_>) -> u64 {
    u64::try_from(message.offset()).unwrap_or_default()
}

fn put_headers(buffer: &mut Vec<u8>, message: &BorrowedMessage<'_>) {
    let at = buffer.len();
    buffer.put_u32_le(0);
    let Some(headers) = message.headers() else { return };
    let mut count: u32 = 0;
    for index in 0..headers.count() {
        // A foreign producer may have written a name that is not UTF-8, at which the binding
        // panics. Such a header cannot be shown to a guest; the others can.
        let header = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
        let Ok(Some(Header { key, value })) = header else { continue };
        put_opt(buffer, Some(key.as_bytes()));
        put_opt(buffer, value);
        count += 1;
    }
    buffer[at..at + 4].copy_from_slice(&count.to_le_bytes());
}
