#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::wire::{put_bytes, put_optional};

type Header = (String, Option<Vec<u8>>);
type Record = (u64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<Header>);

/// A batch as the host writes it.
fn pack(topic: &str, records: &[Record]) -> Vec<u8> {
    let mut batch = vec![1, 0, 0, 0];
    batch.extend_from_slice(&u32::try_from(records.len()).unwrap().to_le_bytes());
    batch.extend_from_slice(&3u32.to_le_bytes());
    batch.extend_from_slice(&70u64.to_le_bytes());
    put_bytes(&mut batch, topic.as_bytes());
    for (offset, timestamp, key, value, headers) in records {
        let mut record = offset.to_le_bytes().to_vec();
        record.extend_from_slice(&timestamp.to_le_bytes());
        put_optional(&mut record, key.as_deref());
        put_optional(&mut record, value.as_deref());
        record.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_le_bytes());
        for (name, value) in headers {
            put_bytes(&mut record, name.as_bytes());
            put_optional(&mut record, value.as_deref());
        }
        put_bytes(&mut batch, &record);
    }
    batch
}

fn record(offset: u64, value: &str) -> Record {
    (offset, 5, None, Some(value.into()), vec![])
}

#[test]
fn json_is_read_from_a_value() {
    let packed = pack("t", &[record(0, r#"{"a":"b"}"#), (1, 0, None, None, vec![])]);
    let batch = Batch::parse(&packed).unwrap();
    let values: Vec<Option<std::collections::BTreeMap<&str, &str>>> =
        batch.iter().map(|message| message.json().unwrap()).collect();
    assert_eq!(values, [Some([("a", "b")].into()), None]);
}

#[test]
fn what_the_handler_says_is_what_the_host_gets() {
    let packed = pack("t", &[record(0, "a"), record(1, "b")]);
    assert!(run(&packed, |_| Ok(())).is_ok());
    let failure = run(&packed, |_| Err(Failure::retry_after(1, "busy", 20))).unwrap_err();
    assert_eq!((failure.index, &failure.reason[..]), (1, "busy"));
    assert!(matches!(failure.action, FailureAction::Retry(Some(20))));
    let failed = run(&packed, |_| Err(std::io::Error::other("down"))?).unwrap_err();
    assert!(failed.index == 0 && matches!(failed.action, FailureAction::Retry(None)));
}

#[test]
fn a_record_that_cannot_be_read_is_never_taken_for_done() {
    let mut packed = pack("t", &[record(0, "a"), record(1, "b")]);
    packed.truncate(packed.len() - 1);
    let mut seen = 0;
    let failure = run(&packed, |batch| {
        seen = batch.iter().count();
        Ok(())
    })
    .unwrap_err();
    assert_eq!((seen, failure.index), (1, 1));
    assert!(matches!(failure.action, FailureAction::DeadLetter));
}

#[test]
fn a_batch_whose_head_cannot_be_read_fails() {
    assert!(run(&[2, 0, 0, 0], |_| Ok(())).is_err());
}

fn some_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn what_the_host_packs_is_what_the_guest_sees(
        topic in "[a-z.]{1,20}",
        records in prop::collection::vec(
            (any::<u64>(), any::<i64>(), some_bytes(), some_bytes(),
             prop::collection::vec(("[a-z]{0,9}", some_bytes()), 0..4)), 0..9),
    ) {
        let packed = pack(&topic, &records);
        let batch = Batch::parse(&packed).unwrap();
        prop_assert_eq!((batch.topic(), batch.partition(), batch.behind()), (&topic[..], 3, 70));
        prop_assert_eq!(batch.len(), records.len());
        let seen: Vec<Record> = batch.iter().map(|message| {
            let headers = message.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
            (message.offset(), message.timestamp_ms(), message.key().map(<[u8]>::to_vec),
             message.value().map(<[u8]>::to_vec), headers.collect())
        }).collect();
        prop_assert_eq!(seen, records);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, flip: usize, byte: u8) {
        let mut packed = pack("t", &[record(0, "a"), record(1, "b")]);
        let at = flip % packed.len();
        packed[at] = byte;
        for bytes in [&bytes[..], &packed[..], &[&packed[..20], &bytes[..]].concat()] {
            let _ = run(bytes, |batch| {
                let seen = batch.iter().map(|message| message.headers().count()).sum::<usize>();
                assert!(seen <= bytes.len());
                Ok(())
            });
        }
    }
}
