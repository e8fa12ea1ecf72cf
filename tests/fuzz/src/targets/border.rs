//! What a guest hands over in one buffer.

use bytes::Bytes;
use trellis::{backends::log::record, runtime::exports::http::packed::Response};

use super::Door;
use crate::Verdict;

/// The readers of packed values.
pub struct Border;

impl Door for Border {
    fn feed(&mut self, input: &[u8]) -> Verdict {
        let tail = tail(input);
        let records = records(input);
        let head = head(input);
        if tail || records || head { Verdict::Taken } else { Verdict::Refused }
    }
}

/// Key, value and headers of a record.
fn tail(input: &[u8]) -> bool {
    let tail = record::Tail(input);
    let sound = record::Tail::check(input).is_ok();
    // Who reads one that was not checked sees less, and nothing beyond it.
    let size: usize = tail.key().map_or(0, <[u8]>::len)
        + tail.value().map_or(0, <[u8]>::len)
        + tail
            .headers()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len))
            .sum::<usize>();
    assert!(size <= input.len(), "{size} bytes are read of {}", input.len());
    sound
}

/// Records as they stand in a batch.
fn records(input: &[u8]) -> bool {
    let mut read = 0;
    for (record, _) in record::records(input) {
        read += 1;
        assert!(record.tail.0.len() <= input.len());
        assert!(read <= input.len(), "a record takes no byte");
    }
    read > 0
}

/// The head of a response.
fn head(input: &[u8]) -> bool {
    let Ok(response) = Response::unpack(Bytes::copy_from_slice(input)) else { return false };
    let count = response.count();
    let fields = response.into_headers().inspect(|(name, value)| {
        assert!(name.len() + value.len() <= input.len());
    });
    assert_eq!(fields.count(), count, "a head that was found whole has all its fields");
    true
}

/// A packed value of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut tail = Vec::new();
    record::put_opt(&mut tail, Some(b"key"));
    record::put_opt(&mut tail, Some(b"{\"a\":1}"));
    tail.extend(2_u32.to_le_bytes());
    for (name, value) in [("one", Some(&b"1"[..])), ("two", None)] {
        record::put_opt(&mut tail, Some(name.as_bytes()));
        record::put_opt(&mut tail, value);
    }
    let mut records = Vec::new();
    for offset in 0..3 {
        record::put_record(&mut records, offset, 1_767_225_600_000, &tail);
    }
    let mut head = vec![1, 0, 200, 0];
    head.extend(1_u32.to_le_bytes());
    for text in ["content-type", "text/plain"] {
        head.extend(u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
        head.extend(text.as_bytes());
    }
    vec![tail, records, head]
}
