//! Writing to topics, through the packed producer.
//!
//! ```no_run
//! use trellis_sdk::producer::{Record, Records};
//!
//! let mut records = Records::new();
//! records.push(&Record::to("raw").key(b"127.0.0.1").value(b"{}"));
//! records.push_json(&Record::to("raw"), &serde_json::json!({"type": "w"}))?;
//! records.send()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each record is packed once, into the one buffer that crosses to the host.

use std::fmt;

use serde::Serialize;

use crate::bindings::imports::trellis::kafka::packed_producer as wit;
use crate::consumer::Message;
use crate::wire::{VERSION, patch, put_bytes, put_optional};

pub use wit::{Rejected, SendError};

/// Where the buffer keeps the number of its records, and where the records start.
const COUNT_AT: usize = 4;
const RECORDS_AT: usize = 8;
/// The partition that says "by the key", and the timestamp that says "now".
const BY_KEY: u32 = u32::MAX;
const NOW: i64 = -1;

/// A record to be written. What is not set is null, now, or by the hash of the key.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    topic: &'a str,
    partition: Option<u32>,
    timestamp_ms: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [(&'a str, Option<&'a [u8]>)],
    trace: Option<&'a [u8]>,
}

/// The header that carries a trace (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

impl<'a> Record<'a> {
    /// A record for this topic, which must be in `[needs.produce]` of the manifest.
    pub fn to(topic: &'a str) -> Self {
        Self {
            topic,
            partition: None,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: &[],
            trace: None,
        }
    }

    /// Into this partition, whatever the key.
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With this time, in milliseconds since 1970-01-01 UTC.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// With this key: records of one key stay in order.
    pub fn key(mut self, key: &'a [u8]) -> Self {
        self.key = Some(key);
        self
    }

    /// With this value.
    pub fn value(mut self, value: &'a [u8]) -> Self {
        self.value = Some(value);
        self
    }

    /// With these headers.
    pub fn headers(mut self, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Self {
        self.headers = headers;
        self
    }

    /// With the key of the message that it was made of, and in the trace of that, where it is
    /// traced. Other records belong to the trace of the batch's first message that is traced.
    pub fn made_of(mut self, message: &Message<'a>) -> Self {
        self.key = message.key();
        self.trace = message.header(TRACEPARENT).flatten();
        self
    }
}

/// Records in the packed layout, ready to be sent in one call.
///
/// Limits: 10,000 records and 16 MiB.
#[derive(Clone, Debug)]
pub struct Records {
    packed: Vec<u8>,
    count: u32,
}

/// A point in a list of records.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    count: u32,
    size: usize,
}

impl Default for Records {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Records {
    /// No records yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with room for this many bytes of records.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut packed = Vec::with_capacity(RECORDS_AT + bytes);
        packed.extend_from_slice(&[VERSION, 0, 0, 0]);
        packed.extend_from_slice(&0u32.to_le_bytes());
        Self { packed, count: 0 }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size in bytes, as it counts against the limit of a call.
    pub fn size(&self) -> usize {
        self.packed.len()
    }

    /// This point, to come back to or to measure from.
    pub fn mark(&self) -> Mark {
        Mark { count: self.count, size: self.packed.len() }
    }

    /// The bytes that were added since a mark.
    pub fn size_since(&self, mark: Mark) -> usize {
        self.packed.len().saturating_sub(mark.size)
    }

    /// Forget what was added since a mark.
    pub fn rewind(&mut self, mark: Mark) {
        if mark.count <= self.count {
            self.packed.truncate(mark.size);
            self.set_count(mark.count);
        }
    }

    /// Add a record.
    pub fn push(&mut self, record: &Record<'_>) {
        let start = self.open(record);
        put_optional(&mut self.packed, record.value);
        self.close(start, record);
    }

    /// Add a record with this value as JSON, in place of its own.
    ///
    /// A value that cannot be written as JSON leaves the records as they were.
    pub fn push_json<T: Serialize + ?Sized>(
        &mut self,
        record: &Record<'_>,
        value: &T,
    ) -> serde_json::Result<()> {
        let start = self.open(record);
        let length_at = self.packed.len();
        self.packed.extend_from_slice(&[0; 4]);
        if let Err(error) = serde_json::to_writer(&mut self.packed, value) {
            self.packed.truncate(start);
            return Err(error);
        }
        patch_length(&mut self.packed, length_at);
        self.close(start, record);
        Ok(())
    }

    /// Everything before the value; the place where the record starts.
    fn open(&mut self, record: &Record<'_>) -> usize {
        let start = self.packed.len();
        let out = &mut self.packed;
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&record.partition.unwrap_or(BY_KEY).to_le_bytes());
        out.extend_from_slice(&record.timestamp_ms.unwrap_or(NOW).to_le_bytes());
        put_bytes(out, record.topic.as_bytes());
        put_optional(out, record.key);
        start
    }

    /// Everything behind the value.
    fn close(&mut self, start: usize, record: &Record<'_>) {
        let trace = record.trace.map(|trace| (TRACEPARENT, Some(trace)));
        let count = record.headers.len() + usize::from(trace.is_some());
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.packed.extend_from_slice(&count.to_le_bytes());
        for (name, value) in record.headers.iter().copied().chain(trace) {
            put_bytes(&mut self.packed, name.as_bytes());
            put_optional(&mut self.packed, value);
        }
        patch_length(&mut self.packed, start);
        self.set_count(self.count + 1);
    }

    fn set_count(&mut self, count: u32) {
        self.count = count;
        patch(&mut self.packed, COUNT_AT, &count.to_le_bytes());
    }

    /// The bytes that `trellis:kafka/packed-producer` describes.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Write all of them and wait until they are durable. Nothing to write is done at once.
    ///
    /// An error tells of the first record that was not written; see [`Records::send_each`] for
    /// all of them.
    pub fn send(&self) -> Result<(), SendError> {
        match self.send_each()?.into_iter().next() {
            Some(rejected) => Err(rejected.error),
            None => Ok(()),
        }
    }

    /// Write all of them ahead of the answer: go on at once, while the host holds the answer to the
    /// request back until they are durable. The fast way to store what a request brings. Should
    /// that fail later, the client gets 503 in place of the answer.
    ///
    /// An error tells of the first record of which it is known now that it will not be written.
    /// Outside of an HTTP handler this is [`Records::send`].
    pub fn send_ahead(&self) -> Result<(), SendError> {
        if self.is_empty() {
            return Ok(());
        }
        match wit::send_ahead(&self.packed)?.into_iter().next() {
            Some(rejected) => Err(rejected.error),
            None => Ok(()),
        }
    }

    /// The same as [`Records::send`]; the answer lists the records that were **not** written.
    pub fn send_each(&self) -> Result<Vec<Rejected>, SendError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        wit::send(&self.packed)
    }
}

/// Write the number of bytes behind a length into its place.
fn patch_length(packed: &mut [u8], at: usize) {
    let length = u32::try_from(packed.len() - at - 4).unwrap_or(u32::MAX);
    patch(packed, at, &length.to_le_bytes());
}

/// A short text for a log or for the client of a plugin.
pub fn describe(error: &SendError) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| match error {
        SendError::NotGranted(topic) => write!(f, "topic `{topic}` was not granted"),
        SendError::UnknownTopic(topic) => write!(f, "there is no topic `{topic}`"),
        SendError::UnknownPartition(partition) => write!(f, "there is no partition {partition}"),
        SendError::TooLarge(limit) => write!(f, "the record is larger than {limit} bytes"),
        SendError::Unavailable(reason) => write!(f, "the log is unavailable: {reason}"),
        SendError::Malformed(reason) => write!(f, "the packed records are malformed: {reason}"),
    })
}

#[cfg(test)]
mod tests;
