//! Being run by a topic: the packed consumer with a typed view over each batch.
//!
//! ```no_run
//! use trellis_sdk::consumer::{Batch, Failure};
//!
//! trellis_sdk::consumer!(handle);
//!
//! fn handle(batch: Batch<'_>) -> Result<(), Failure> {
//!     for (index, message) in batch.iter().enumerate() {
//!         if message.value().is_none() {
//!             return Err(Failure::dead_letter(index, "a tombstone is not expected"));
//!         }
//!     }
//!     Ok(())
//! }
//! # fn main() {}
//! ```

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;

use crate::bindings::consumer::exports::trellis::kafka::packed_consumer as wit;
use crate::bindings::consumer::trellis::kafka::types::FailureAction;
use crate::wire::{Malformed, Reader};

/// Export a function as the consumer of this plugin.
#[macro_export]
macro_rules! consumer {
    ($handle:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::consumer as bindings;
            struct Consumer;
            impl bindings::exports::trellis::kafka::packed_consumer::Guest for Consumer {
                fn handle(
                    batch: Vec<u8>,
                ) -> ::std::result::Result<
                    (),
                    bindings::exports::trellis::kafka::packed_consumer::Failure,
                > {
                    $crate::consumer::run(&batch, $handle)
                }
            }
            $crate::bindings::consumer::export_consumer!(
                Consumer with_types_in $crate::bindings::consumer
            );
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = $handle;
        };
    };
}

/// Messages of one partition, in order.
pub struct Batch<'a> {
    topic: &'a str,
    partition: u32,
    behind: u64,
    count: u32,
    records: Reader<'a>,
    /// Set by an iterator that met bytes which do not follow the layout, so that the batch is
    /// not taken for done.
    fault: Rc<Cell<Option<Fault>>>,
}

/// What an iterator could not read, and at which index.
type Fault = (u32, Malformed);

impl<'a> Batch<'a> {
    /// Read the head of what `trellis:kafka/packed-consumer` describes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.version()?;
        reader.take(3, "reserved bytes")?;
        let count = reader.u32("number of records")?;
        let partition = reader.u32("partition")?;
        let behind = reader.u64("behind")?;
        let topic = reader.str("topic")?;
        Ok(Self { topic, partition, behind, count, records: reader, fault: Rc::default() })
    }

    /// The topic they come from.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// The partition they come from.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// How many records lay beyond this batch when it was read.
    pub fn behind(&self) -> u64 {
        self.behind
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none; the host never sends such a batch.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages in order. A batch whose bytes do not follow the layout ends early, and is
    /// then reported as failed at that message, whatever the handler returns.
    pub fn iter(&self) -> Messages<'a, '_> {
        Messages { index: 0, batch_count: self.count, reader: self.records, fault: &self.fault }
    }
}

impl<'a, 'b> IntoIterator for &'b Batch<'a> {
    type Item = Message<'a>;
    type IntoIter = Messages<'a, 'b>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Walks the messages of a batch.
pub struct Messages<'a, 'b> {
    index: u32,
    batch_count: u32,
    reader: Reader<'a>,
    fault: &'b Cell<Option<Fault>>,
}

impl<'a> Iterator for Messages<'a, '_> {
    type Item = Message<'a>;

    #[inline]
    fn next(&mut self) -> Option<Message<'a>> {
        if self.index == self.batch_count {
            return None;
        }
        match Message::read(&mut self.reader) {
            Ok(message) => {
                self.index += 1;
                Some(message)
            }
            Err(malformed) => {
                self.fault.set(Some((self.index, malformed)));
                self.batch_count = self.index;
                None
            }
        }
    }
}

/// One record, seen in place.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    offset: u64,
    timestamp_ms: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: u32,
    headers: Reader<'a>,
}

impl<'a> Message<'a> {
    #[inline]
    fn read(batch: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut record = Reader::new(batch.bytes("record")?);
        Ok(Self {
            offset: record.u64("offset")?,
            timestamp_ms: record.u64("timestamp")?.cast_signed(),
            key: record.optional("key")?,
            value: record.optional("value")?,
            header_count: record.u32("number of headers")?,
            headers: record,
        })
    }

    /// The position in its partition. Offsets grow, with gaps.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// When it was produced, in milliseconds since 1970-01-01 UTC.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The key, which decided the partition.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value; `None` is a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The value read as JSON, which may borrow from it. A tombstone reads as `null`.
    pub fn json<T: serde::Deserialize<'a>>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(self.value.unwrap_or(b"null"))
    }

    /// The first header of this name; `Some(None)` is a null value.
    pub fn header(&self, name: &str) -> Option<Option<&'a [u8]>> {
        self.headers().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The headers in order. Ends early where the bytes do not follow the layout.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let mut reader = self.headers;
        (0..self.header_count).map_while(move |_| {
            let name = reader.str("header name").ok()?;
            Some((name, reader.optional("header value").ok()?))
        })
    }
}

/// A batch that was not handled to its end. The messages before the index count as done.
#[derive(Debug)]
pub struct Failure(wit::Failure);

impl Failure {
    /// Hand the message over again after the back-off of the manifest.
    pub fn retry(index: usize, reason: impl Display) -> Self {
        Self::new(index, reason, FailureAction::Retry(None))
    }

    /// Hand the message over again after this many milliseconds.
    pub fn retry_after(index: usize, reason: impl Display, delay_ms: u64) -> Self {
        Self::new(index, reason, FailureAction::Retry(Some(delay_ms)))
    }

    /// Send the message to the dead-letter topic and go on behind it.
    pub fn dead_letter(index: usize, reason: impl Display) -> Self {
        Self::new(index, reason, FailureAction::DeadLetter)
    }

    /// The index of the message that failed.
    pub fn index(&self) -> usize {
        self.0.index as usize
    }

    /// What goes to the log and to the header of the dead letter.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Whether the message goes to the dead-letter topic at once.
    pub fn is_dead_letter(&self) -> bool {
        matches!(self.0.action, FailureAction::DeadLetter)
    }

    fn new(index: usize, reason: impl Display, action: FailureAction) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self(wit::Failure { index, reason: reason.to_string(), action })
    }
}

/// Any error: the whole batch comes again after the back-off.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(0, error)
    }
}

/// One call of the packed consumer. [`consumer!`](crate::consumer!) calls it.
#[doc(hidden)]
pub fn run<H>(bytes: &[u8], handle: H) -> Result<(), wit::Failure>
where
    H: for<'a> FnOnce(Batch<'a>) -> Result<(), Failure>,
{
    let batch = Batch::parse(bytes).map_err(|malformed| Failure::from(malformed).0)?;
    let fault = Rc::clone(&batch.fault);
    let handled = handle(batch);
    match fault.get() {
        Some((index, malformed)) => Err(Failure::dead_letter(index as usize, malformed).0),
        None => handled.map_err(|failure| failure.0),
    }
}

#[cfg(test)]
mod tests;
