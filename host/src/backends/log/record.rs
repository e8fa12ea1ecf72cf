//! The packed layout of records: what `trellis:kafka/packed-consumer` and `packed-producer` draw.
//!
//! A record keeps the same bytes from the guest that produces it to the guest that consumes it.
//! Its *tail* (key, value, headers) is copied as it is; only the head changes (topic, partition
//! and timestamp on the way in, offset and timestamp on the way out).

use std::{ops::Range, sync::Arc};

use bytes::{Buf, BufMut, Bytes};

use super::Error;
use crate::observe::traces::{TRACEPARENT, Trace};

/// The version byte of every packed layout.
pub const VERSION: u8 = 1;
/// The length that stands for null.
pub const NULL: u32 = u32::MAX;
/// Bytes of a record before its tail: length, offset, timestamp.
pub const HEAD: usize = 4 + 8 + 8;
/// Where the head of a batch says how many records it holds.
const COUNT: Range<usize> = 4..8;
/// Where it says how many lie beyond.
const BEHIND: Range<usize> = 12..20;

/// A record on its way into the log.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, or `None`: by the key's hash, without a key spread evenly.
    pub partition: Option<u32>,
    /// Milliseconds since 1970, or `None`: now.
    pub timestamp_ms: Option<i64>,
    /// Key, value and headers in the packed layout; [`Tail::check`] holds for it.
    pub tail: Bytes,
    /// The trace that it belongs to: a header of it, once its topic is known to have the room.
    pub trace: Option<Trace>,
}

impl Outgoing {
    /// A record from its parts.
    pub fn new(
        topic: Arc<str>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Self {
        let mut tail = Vec::with_capacity(64 + value.map_or(0, <[u8]>::len));
        put_opt(&mut tail, key);
        put_opt(&mut tail, value);
        tail.put_u32_le(headers.len() as u32);
        for (name, value) in headers {
            put_opt(&mut tail, Some(name.as_bytes()));
            put_opt(&mut tail, *value);
        }
        Self { topic, partition: None, timestamp_ms: None, tail: tail.into(), trace: None }
    }

    /// The tail with the header that names the record's trace, if it has one, and unless the
    /// guest has put its own there or the record would be larger than `limit` for it.
    pub fn into_tail(self, limit: usize) -> Bytes {
        match self.trace {
            Some(trace) => with_trace(&self.tail, &trace.header(), limit).unwrap_or(self.tail),
            None => self.tail,
        }
    }

    /// Whether every log can take it, wherever it goes.
    ///
    /// # Errors
    /// [`Error::InvalidRecord`].
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| {
            Err(Error::InvalidRecord(format!("a record for topic `{}` has {what}", self.topic)))
        };
        if self.timestamp_ms.is_some_and(|time| time < 0) {
            return invalid("a timestamp before 1970; give it a later one, or none for now");
        }
        if Tail(&self.tail).headers().any(|(name, _)| name.contains('\0')) {
            return invalid("a header with a zero byte in its name; take it out");
        }
        Ok(())
    }

    /// The key, which decides the partition.
    pub fn key(&self) -> Option<&[u8]> {
        Tail(&self.tail).key()
    }
}

/// `None` where the header is not to be added.
fn with_trace(tail: &[u8], trace: &str, limit: usize) -> Option<Bytes> {
    let size = tail.len() + 4 + TRACEPARENT.len() + 4 + trace.len();
    if size > limit || Tail(tail).headers().any(|(name, _)| name == TRACEPARENT) {
        return None;
    }
    let mut rest = tail;
    take_opt(&mut rest).and(take_opt(&mut rest)).ok()?;
    let count_at = tail.len() - rest.len();
    let count = take_u32(&mut rest).ok()?.checked_add(1)?;
    let mut with = Vec::with_capacity(size);
    with.extend_from_slice(tail);
    with[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    put_opt(&mut with, Some(TRACEPARENT.as_bytes()));
    put_opt(&mut with, Some(trace.as_bytes()));
    Some(with.into())
}

/// The bytes are not what the layout says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed packed records: {0}")]
pub struct Malformed(pub &'static str);

/// A view of key, value and headers.
#[derive(Clone, Copy)]
pub struct Tail<'a>(pub &'a [u8]);

impl<'a> Tail<'a> {
    /// Check that the bytes are exactly one tail with UTF-8 header names. A tail that passed is
    /// read without further errors; readers of one that did not see nulls and fewer headers.
    pub fn check(bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        take_opt(&mut rest)?;
        take_opt(&mut rest)?;
        for _ in 0..take_u32(&mut rest)? {
            let name = take_opt(&mut rest)?.ok_or(Malformed("a header has no name"))?;
            std::str::from_utf8(name).map_err(|_| Malformed("a header name is not UTF-8"))?;
            take_opt(&mut rest)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed("bytes are left over")) }
    }

    /// The key.
    pub fn key(self) -> Option<&'a [u8]> {
        let mut rest = self.0;
        take_opt(&mut rest).ok().flatten()
    }

    /// The value.
    pub fn value(self) -> Option<&'a [u8]> {
        let mut rest = self.0;
        take_opt(&mut rest).ok()?;
        take_opt(&mut rest).ok().flatten()
    }

    /// The value of the first header of this name.
    pub fn header(self, wanted: &str) -> Option<&'a [u8]> {
        self.headers().find(|(name, _)| *name == wanted)?.1
    }

    /// The headers in order.
    pub fn headers(self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        let mut rest = self.0;
        let skipped = take_opt(&mut rest).and(take_opt(&mut rest)).is_ok();
        let count = if skipped { take_u32(&mut rest).unwrap_or(0) } else { 0 };
        (0..count).map_while(move |_| {
            let name = std::str::from_utf8(take_opt(&mut rest).ok()??).ok()?;
            Some((name, take_opt(&mut rest).ok()?))
        })
    }
}

/// A record in a batch.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The place in its partition.
    pub offset: u64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, value and headers.
    pub tail: Tail<'a>,
}

/// Append a record as it stands in a partition.
pub fn put_record(buffer: &mut Vec<u8>, offset: u64, timestamp_ms: i64, tail: &[u8]) {
    buffer.put_u32_le((8 + 8 + tail.len()) as u32);
    buffer.put_u64_le(offset);
    buffer.put_i64_le(timestamp_ms);
    buffer.extend_from_slice(tail);
}

/// The records of `bytes`, each with the bytes it takes. Stops at the first that is cut off.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = (Record<'_>, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut body = rest;
        let length = take_u32(&mut body).ok()? as usize;
        let (mut head, whole) = (body.get(..length)?, rest.get(..4 + length)?);
        if head.len() < 16 {
            return None;
        }
        rest = &rest[whole.len()..];
        let (offset, timestamp_ms) = (head.get_u64_le(), head.get_i64_le());
        Some((Record { offset, timestamp_ms, tail: Tail(head) }, whole))
    })
}

/// Records of one partition with the head that a guest sees, ready to be handed over. A clone
/// shares the bytes, so that a batch can be kept while a guest has it.
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Arc<Vec<u8>>,
    records_at: usize,
    /// How many records it holds.
    pub count: u32,
    /// The offset behind its last record: what to commit when it is done, where to go on.
    pub next: u64,
    /// How many records lay beyond it when it was read.
    pub behind: u64,
    /// Whether a limit cut it short: what follows was there, but did not fit.
    pub cut: bool,
}

impl Batch {
    /// An empty batch of a partition, with room for `capacity` bytes of records.
    pub fn new(topic: &str, partition: u32, next: u64, capacity: usize) -> Self {
        let bytes = Self::head(topic, partition, capacity);
        let records_at = bytes.len();
        Self::sealed(bytes, records_at, 0, next)
    }

    /// What stands before the records of a batch of a partition, with room for `capacity` bytes of
    /// them: whoever has the records one by one appends them here, see [`Self::sealed`].
    pub fn head(topic: &str, partition: u32, capacity: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24 + topic.len() + capacity);
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        bytes.put_u32_le(0);
        bytes.put_u32_le(partition);
        bytes.put_u64_le(0);
        put_opt(&mut bytes, Some(topic.as_bytes()));
        bytes
    }

    /// The batch of a [`Self::head`] of `records_at` bytes and the `count` records behind it;
    /// `next` is the offset behind the last.
    pub fn sealed(mut bytes: Vec<u8>, records_at: usize, count: u32, next: u64) -> Self {
        bytes[COUNT].copy_from_slice(&count.to_le_bytes());
        Self { bytes: Arc::new(bytes), records_at, count, next, behind: 0, cut: false }
    }

    /// Append records that are packed already; `next` is the offset behind the last.
    pub fn extend(&mut self, packed: &[u8], count: u32, next: u64) {
        self.count += count;
        self.next = next;
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes.extend_from_slice(packed);
        bytes[COUNT].copy_from_slice(&self.count.to_le_bytes());
    }

    /// Append a batch that follows this one in the same partition.
    pub fn append(&mut self, later: &Self) {
        self.extend(&later.bytes[later.records_at..], later.count, later.next);
        self.set_behind(later.behind);
        self.cut = later.cut;
    }

    /// Note how many records lay beyond, once all are in. Where all that is there could have been
    /// read, this means that a limit cut it short.
    pub fn set_behind(&mut self, behind: u64) {
        (self.behind, self.cut) = (behind, behind > 0);
        Arc::make_mut(&mut self.bytes)[BEHIND].copy_from_slice(&behind.to_le_bytes());
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The offset of its first record.
    pub fn first(&self) -> Option<u64> {
        self.records().next().map(|record| record.offset)
    }

    /// Bytes of the records alone.
    pub fn size(&self) -> usize {
        self.bytes.len() - self.records_at
    }

    /// The records in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        records(&self.bytes[self.records_at..]).map(|(record, _)| record)
    }

    /// The records `from..to` by index as a batch of their own; what follows them counts as
    /// behind.
    pub fn slice(&self, from: u32, to: u32) -> Self {
        let (mut start, mut end, mut next) = (None, self.records_at, self.next);
        let mut at = self.records_at;
        for (index, (record, whole)) in (0..).zip(records(&self.bytes[self.records_at..])) {
            if index == from {
                start = Some(at);
            }
            if index >= from && index < to {
                end = at + whole.len();
                next = record.offset + 1;
            }
            at += whole.len();
        }
        if to >= self.count {
            next = self.next;
        }
        let start = start.unwrap_or(end);
        let mut bytes = Vec::with_capacity(self.records_at + end - start);
        bytes.extend_from_slice(&self.bytes[..self.records_at]);
        bytes.extend_from_slice(&self.bytes[start..end.max(start)]);
        let count = to.min(self.count).saturating_sub(from);
        let behind = self.behind + u64::from(self.count.saturating_sub(to));
        bytes[COUNT].copy_from_slice(&count.to_le_bytes());
        bytes[BEHIND].copy_from_slice(&behind.to_le_bytes());
        let cut = self.cut || to < self.count;
        Self { bytes: Arc::new(bytes), records_at: self.records_at, count, next, behind, cut }
    }

    /// The bytes for the guest.
    pub fn into_packed(self) -> Arc<Vec<u8>> {
        self.bytes
    }
}

/// Append a length and the bytes, or the length that stands for null.
pub fn put_opt(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            buffer.put_u32_le(bytes.len() as u32);
            buffer.extend_from_slice(bytes);
        }
        None => buffer.put_u32_le(NULL),
    }
}

/// Take a `u32` off the front.
pub fn take_u32(rest: &mut &[u8]) -> Result<u32, Malformed> {
    rest.try_get_u32_le().map_err(|_| Malformed("it ends in the middle of a number"))
}

/// Take a length and that many bytes, or null, off the front.
pub fn take_opt<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let length = take_u32(rest)?;
    if length == NULL {
        return Ok(None);
    }
    let (bytes, after) =
        rest.split_at_checked(length as usize).ok_or(Malformed("a length points past the end"))?;
    *rest = after;
    Ok(Some(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::new("raw", 3, 10, 0);
        for offset in 10..15u64 {
            let value = format!("value {offset}");
            let sent =
                Outgoing::new("raw".into(), Some(b"k"), Some(value.as_bytes()), &[("h", None)]);
            let mut packed = Vec::new();
            put_record(&mut packed, offset, 1000, &sent.tail);
            batch.extend(&packed, 1, offset + 1);
        }
        batch
    }

    #[test]
    fn a_slice_holds_its_records_and_knows_where_to_go_on() {
        let whole = batch();
        let part = whole.slice(1, 3);
        let offsets: Vec<_> = part.records().map(|record| record.offset).collect();
        assert_eq!(offsets, [11, 12]);
        assert_eq!((part.count, part.next, part.behind), (2, 13, 2));
        assert_eq!(whole.slice(3, 9).next, 15);
        assert!(whole.slice(5, 5).is_empty());
    }

    #[test]
    fn the_halves_of_a_batch_joined_are_the_batch() {
        let mut whole = batch();
        whole.set_behind(7);
        let mut joined = whole.slice(0, 2);
        let kept = joined.clone();
        joined.append(&whole.slice(2, 5));
        assert_eq!(joined.into_packed(), whole.into_packed());
        assert_eq!((kept.count, kept.records().count()), (2, 2));
    }

    #[test]
    fn a_packed_batch_names_its_topic_partition_and_count() {
        let packed = batch().into_packed();
        let mut rest = &packed[4..];
        assert_eq!((rest.get_u32_le(), rest.get_u32_le(), rest.get_u64_le()), (5, 3, 0));
        assert_eq!(take_opt(&mut rest).unwrap(), Some(&b"raw"[..]));
    }

    #[test]
    fn a_tail_is_read_back_as_it_was_written() {
        let headers: &[(&str, Option<&[u8]>)] = &[("a", Some(b"1")), ("b", None)];
        let sent = Outgoing::new("t".into(), None, Some(b"v"), headers);
        Tail::check(&sent.tail).unwrap();
        let tail = Tail(&sent.tail);
        assert_eq!((tail.key(), tail.value()), (None, Some(&b"v"[..])));
        assert_eq!(tail.headers().collect::<Vec<_>>(), headers);
    }

    #[test]
    fn a_trace_is_the_last_header_unless_the_guest_has_one_or_there_is_no_room() {
        let trace = || Some(Trace::sample());
        let sent = |headers: &[(&str, Option<&[u8]>)]| {
            let record = Outgoing::new("t".into(), Some(b"k"), Some(b"v"), headers);
            (record.tail.clone(), Outgoing { trace: trace(), ..record })
        };
        let (plain, traced) = sent(&[("a", None)]);
        let size = plain.len() + 4 + 11 + 4 + 55;
        let tail = traced.clone().into_tail(size);
        Tail::check(&tail).unwrap();
        assert_eq!((Tail(&tail).key(), Tail(&tail).value()), (Some(&b"k"[..]), Some(&b"v"[..])));
        let names: Vec<_> = Tail(&tail).headers().map(|(name, _)| name).collect();
        assert_eq!((names, tail.len()), (vec!["a", TRACEPARENT], size));
        assert_eq!(Tail(&tail).header(TRACEPARENT), Some(Trace::sample().header().as_bytes()));
        assert_eq!(traced.into_tail(size - 1), plain);
        let (plain, traced) = sent(&[(TRACEPARENT, Some(b"mine"))]);
        assert_eq!(traced.into_tail(1 << 20), plain);
        assert_eq!(Outgoing::new("t".into(), None, None, &[]).into_tail(1 << 20).len(), 12);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Tail::check(&bytes);
            let tail = Tail(&bytes);
            let _ = (tail.key(), tail.value(), tail.headers().count());
            let _ = records(&bytes).count();
        }
    }
}
