//! A chunk: what one commit adds to one partition, stored as one value.
//!
//! The records in it are packed as guests read them, with final offsets, so a batch is chunks put
//! one behind the other. Within a chunk offsets have no gaps.
//!
//! ```text
//! 0        4        8            16           24              32
//! ├ version┼ count ─┼─ newest ───┼─ latest ───┼─ before ──────┼─ records ...
//! │ u8, 0s │ u32    │ i64: its   │ i64: of    │ u64: bytes of │
//! │        │        │ newest time│ all up to  │ all chunks    │
//! │        │        │ stamp      │ here       │ before it     │
//! ```
//!
//! `latest` never falls from chunk to chunk, so a time is found by halving; `before` makes the
//! size of a range of chunks one subtraction. All numbers are little endian.

use bytes::{Buf, BufMut, Bytes};

use super::super::{
    Limit,
    record::{self, Batch, HEAD, Malformed},
};

/// Bytes before the records.
const HEADER: usize = 32;
/// The version this code writes and reads.
const VERSION: u8 = 1;
/// A chunk is closed once its records take this many bytes: large enough that a batch of 1,000
/// needs few, small enough that cutting one is cheap.
const FULL: usize = 256 * 1024;

/// Records of one partition that were committed together.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The offset of its first record.
    pub base: u64,
    /// How many records it holds, at least 1.
    pub count: u32,
    bytes: Bytes,
}

impl Chunk {
    /// A chunk as it was stored under `base`.
    pub fn parse(base: u64, bytes: Bytes) -> Result<Self, Malformed> {
        if bytes.len() < HEADER {
            return Err(Malformed("a chunk is shorter than its header"));
        }
        if bytes[0] != VERSION {
            return Err(Malformed("a chunk has an unknown version"));
        }
        let count = (&bytes[4..]).get_u32_le();
        if count == 0 {
            return Err(Malformed("a chunk is empty"));
        }
        Ok(Self { base, count, bytes })
    }

    /// The offset behind its last record.
    pub fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }

    /// The newest timestamp in it, ms since 1970.
    pub fn newest(&self) -> i64 {
        (&self.bytes[8..]).get_i64_le()
    }

    /// The newest timestamp in it or before it.
    pub fn latest(&self) -> i64 {
        (&self.bytes[16..]).get_i64_le()
    }

    /// Bytes of all records before it, deleted ones too.
    pub fn before(&self) -> u64 {
        (&self.bytes[24..]).get_u64_le()
    }

    /// Its records.
    pub fn packed(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }

    /// The whole value, as it is stored.
    pub fn stored(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The offset of its first record with this timestamp or a later one.
    pub fn first_at(&self, timestamp_ms: i64) -> Option<u64> {
        record::records(self.packed())
            .find(|(record, _)| record.timestamp_ms >= timestamp_ms)
            .map(|(record, _)| record.offset)
    }

    /// Append its records from offset `from` on to a batch, as far as the limit allows. Answers
    /// whether the limit leaves room for the next chunk.
    pub fn append_to(&self, batch: &mut Batch, from: u64, limit: Limit) -> bool {
        let packed = self.packed();
        let records_left = limit.records.max(1).saturating_sub(batch.count);
        let bytes_left = (limit.bytes as usize).saturating_sub(batch.size());
        if from <= self.base && self.count <= records_left && packed.len() <= bytes_left {
            batch.extend(packed, self.count, self.end());
            return true;
        }
        let (mut start, mut end, mut count, mut cut) = (0, 0, 0, false);
        for (record, whole) in record::records(packed) {
            if record.offset < from {
                start += whole.len();
                end = start;
                continue;
            }
            let fits = end + whole.len() - start <= bytes_left || batch.count + count == 0;
            if count == records_left || !fits {
                cut = true;
                break;
            }
            end += whole.len();
            count += 1;
        }
        if count > 0 {
            let next = from.max(self.base) + u64::from(count);
            batch.extend(&packed[start..end], count, next);
        }
        !cut
    }
}

/// A chunk that is being filled.
pub struct Builder {
    base: u64,
    count: u32,
    newest: i64,
    bytes: Vec<u8>,
}

impl Builder {
    /// An empty chunk at `base`, with room for a record with a tail of `tail` bytes.
    pub fn new(base: u64, tail: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + HEAD + tail);
        bytes.resize(HEADER, 0);
        Self { base, count: 0, newest: i64::MIN, bytes }
    }

    /// Append the next record; answers its offset.
    pub fn push(&mut self, timestamp_ms: i64, tail: &[u8]) -> u64 {
        let offset = self.base + u64::from(self.count);
        record::put_record(&mut self.bytes, offset, timestamp_ms, tail);
        self.count += 1;
        self.newest = self.newest.max(timestamp_ms);
        offset
    }

    /// Whether the next record belongs into another chunk.
    pub fn is_full(&self) -> bool {
        self.bytes.len() - HEADER >= FULL
    }

    /// Close it. `latest` and `before` are those of the partition up to here and move on.
    pub fn seal(mut self, latest: &mut i64, before: &mut u64) -> Chunk {
        *latest = (*latest).max(self.newest);
        let mut header = &mut self.bytes[..HEADER];
        header.put_slice(&[VERSION, 0, 0, 0]);
        header.put_u32_le(self.count);
        header.put_i64_le(self.newest);
        header.put_i64_le(*latest);
        header.put_u64_le(*before);
        *before += (self.bytes.len() - HEADER) as u64;
        // It lives in the cache for a while: give back what doubling left unused.
        self.bytes.shrink_to_fit();
        Chunk { base: self.base, count: self.count, bytes: self.bytes.into() }
    }
}

/// A batch of what `chunks`, which follow one another, hold from offset `from` on. `end` is the
/// partition's.
pub fn batch_of(
    topic: &str,
    partition: u32,
    chunks: &[Chunk],
    from: u64,
    end: u64,
    limit: Limit,
) -> Batch {
    let from = chunks.first().map_or(from, |first| from.max(first.base));
    let mut batch = Batch::new(topic, partition, from, room(chunks, limit));
    for chunk in chunks {
        if !chunk.append_to(&mut batch, from, limit) {
            break;
        }
    }
    batch.set_behind(end.saturating_sub(batch.next));
    batch
}

/// Bytes that a batch of these chunks needs about, so that it is allocated once.
fn room(chunks: &[Chunk], limit: Limit) -> usize {
    let bytes: usize = chunks.iter().map(|chunk| chunk.packed().len()).sum();
    let count: u64 = chunks.iter().map(|chunk| u64::from(chunk.count)).sum();
    let share = if count > u64::from(limit.records) {
        // An eighth more than the average, for records of uneven size.
        (bytes as u64 * u64::from(limit.records) / count * 9 / 8) as usize
    } else {
        bytes
    };
    share.min(limit.bytes as usize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn limit(records: u32, bytes: u32) -> Limit {
        Limit { records, bytes, wait: Duration::ZERO }
    }

    /// Chunks with these record sizes, from offset 5 on.
    fn chunks(sizes: &[Vec<u16>]) -> Vec<Chunk> {
        let (mut base, mut latest, mut before) = (5, i64::MIN, 0);
        let mut chunks = Vec::new();
        for sizes in sizes {
            let mut builder = Builder::new(base, 0);
            for size in sizes {
                builder.push(base as i64, &vec![7; usize::from(*size)]);
            }
            base += sizes.len() as u64;
            chunks.push(builder.seal(&mut latest, &mut before));
        }
        chunks
    }

    #[test]
    fn a_sealed_chunk_is_read_back_from_its_bytes() {
        let (mut latest, mut before) = (900, 50);
        let mut builder = Builder::new(7, 3);
        assert_eq!(builder.push(800, b"abc"), 7);
        assert_eq!(builder.push(700, b"d"), 8);
        let sealed = builder.seal(&mut latest, &mut before);
        assert_eq!((latest, before), (900, 50 + 2 * 20 + 4));
        let chunk = Chunk::parse(7, sealed.stored()).unwrap();
        assert_eq!((chunk.end(), chunk.count), (9, 2));
        assert_eq!((chunk.newest(), chunk.latest(), chunk.before()), (800, 900, 50));
        assert_eq!((chunk.first_at(750), chunk.first_at(801)), (Some(7), None));
    }

    #[test]
    fn one_record_comes_however_large() {
        let chunks = chunks(&[vec![500, 500]]);
        let batch = batch_of("t", 0, &chunks, 5, 7, limit(10, 10));
        assert_eq!((batch.count, batch.next, batch.behind), (1, 6, 1));
    }

    proptest! {
        #[test]
        fn reading_on_from_next_gives_every_record_once(
            sizes in prop::collection::vec(prop::collection::vec(0u16..300, 1..9), 1..9),
            records in 1u32..20,
            bytes in 1u32..3000,
        ) {
            let chunks = chunks(&sizes);
            let end = chunks.last().unwrap().end();
            let (mut at, mut seen) = (5, Vec::new());
            while at < end {
                let first = chunks.partition_point(|chunk| chunk.end() <= at);
                let batch = batch_of("t", 0, &chunks[first..], at, end, limit(records, bytes));
                prop_assert!(batch.count >= 1 && batch.count <= records);
                prop_assert!(batch.count == 1 || batch.size() <= bytes as usize);
                prop_assert_eq!(batch.behind, end - batch.next);
                seen.extend(batch.records().map(|record| (record.offset, record.tail.0.len())));
                at = batch.next;
            }
            let sent: Vec<_> = (5..).zip(sizes.concat().into_iter().map(usize::from)).collect();
            prop_assert_eq!(seen, sent);
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes: Vec<u8>) {
            if let Ok(chunk) = Chunk::parse(0, bytes.into()) {
                let _ = (chunk.newest(), chunk.latest(), chunk.before(), chunk.first_at(0));
                let _ = batch_of("t", 0, &[chunk], 0, 1, limit(10, 100));
            }
        }
    }
}
