#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::wire::Reader;

/// One record, as the host reads it.
#[derive(Debug, PartialEq)]
struct Seen {
    partition: u32,
    timestamp_ms: i64,
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn unpack(packed: &[u8]) -> Vec<Seen> {
    let mut reader = Reader::new(packed);
    reader.version().unwrap();
    reader.take(3, "reserved").unwrap();
    let count = reader.u32("count").unwrap();
    let seen = (0..count).map(|_| unpack_one(reader.bytes("record").unwrap())).collect();
    assert_eq!(reader.left(), 0);
    seen
}

fn unpack_one(record: &[u8]) -> Seen {
    let mut reader = Reader::new(record);
    let seen = Seen {
        partition: reader.u32("partition").unwrap(),
        timestamp_ms: reader.u64("timestamp").unwrap().cast_signed(),
        topic: reader.str("topic").unwrap().to_owned(),
        key: reader.optional("key").unwrap().map(<[u8]>::to_vec),
        value: reader.optional("value").unwrap().map(<[u8]>::to_vec),
        headers: (0..reader.u32("headers").unwrap())
            .map(|_| {
                let name = reader.str("name").unwrap().to_owned();
                (name, reader.optional("value").unwrap().map(<[u8]>::to_vec))
            })
            .collect(),
    };
    assert_eq!(reader.left(), 0);
    seen
}

#[test]
fn what_is_not_set_is_null_and_left_to_the_host() {
    let mut records = Records::new();
    records.push(&Record::to("raw"));
    let wanted = Seen {
        partition: u32::MAX,
        timestamp_ms: -1,
        topic: "raw".into(),
        key: None,
        value: None,
        headers: vec![],
    };
    assert_eq!(unpack(records.packed()), [wanted]);
}

#[test]
fn json_is_written_as_the_value() {
    let mut records = Records::new();
    records.push_json(&Record::to("raw").key(b"k"), &[1, 2]).unwrap();
    records.push(&Record::to("raw").value(b"after"));
    let seen = unpack(records.packed());
    assert_eq!((&seen[0].key, &seen[0].value), (&Some(b"k".to_vec()), &Some(b"[1,2]".to_vec())));
    assert_eq!(seen[1].value.as_deref(), Some(&b"after"[..]));
}

#[test]
fn json_that_cannot_be_written_leaves_the_records_as_they_were() {
    let mut records = Records::new();
    records.push(&Record::to("raw"));
    let before = records.packed().to_vec();
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(records.push_json(&Record::to("raw"), &unwritable).is_err());
    assert_eq!(records.packed(), before);
}

#[test]
fn records_are_forgotten_back_to_a_mark() {
    let mut records = Records::new();
    records.push(&Record::to("a"));
    let (before, mark) = (records.packed().to_vec(), records.mark());
    records.push(&Record::to("b").value(b"large"));
    assert!(records.size_since(mark) > 5);
    records.rewind(mark);
    assert_eq!((records.packed(), records.len()), (&before[..], 1));
}

#[test]
fn nothing_to_send_does_not_ask_the_host() {
    assert!(Records::new().send().is_ok());
}

proptest! {
    #[test]
    fn what_the_guest_packs_is_what_the_host_reads(
        topic in "[a-z.]{1,20}",
        partition in prop::option::of(0u32..9),
        timestamp_ms in prop::option::of(0i64..),
        key in prop::option::of(any::<Vec<u8>>()),
        value in prop::option::of(any::<Vec<u8>>()),
        headers in prop::collection::vec(("[a-z]{0,9}", prop::option::of(any::<Vec<u8>>())), 0..4),
        trace in prop::option::of(any::<Vec<u8>>()),
        count in 1usize..4,
    ) {
        let borrowed: Vec<_> = headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        let record = Record {
            topic: &topic, partition, timestamp_ms,
            key: key.as_deref(), value: value.as_deref(), headers: &borrowed,
            trace: trace.as_deref(),
        };
        let traced = trace.iter().map(|trace| (TRACEPARENT.to_owned(), Some(trace.clone())));
        let headers: Vec<_> = headers.iter().cloned().chain(traced).collect();
        let mut records = Records::new();
        (0..count).for_each(|_| records.push(&record));
        let seen = unpack(records.packed());
        prop_assert_eq!(seen.len(), count);
        for seen in seen {
            prop_assert_eq!(seen, Seen {
                partition: partition.unwrap_or(u32::MAX),
                timestamp_ms: timestamp_ms.unwrap_or(-1),
                topic: topic.clone(), key: key.clone(), value: value.clone(), headers: headers.clone(),
            });
        }
    }
}
