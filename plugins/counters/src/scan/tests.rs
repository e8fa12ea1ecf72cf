#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn the_fields_that_count_are_found_in_any_order() {
    let event = br#" {"params" : {"x":[{"text":"no"}],"text":"a \"b\"","action":"preview"}, "klag":12,
        "device":{"type":"pc"},"geo":{"city":"XX","country":"DE"},"node":"n","ip":"::1","type":"offr"} "#;
    let fields = Fields::read(event).unwrap();
    assert!(fields.kind.is("offr") && fields.action.is("preview") && fields.country.is("DE"));
    assert!(fields.ip.is("::1") && fields.node.is("n"));
    assert_eq!(fields.text.read(), "a \"b\"");
    assert_eq!(fields.lag_ms, 12);
}

#[test]
fn what_is_of_another_type_counts_as_missing() {
    let fields =
        Fields::read(br#"{"type":"w","ip":7,"klag":"x","geo":null,"params":[1]}"#).unwrap();
    assert_eq!(fields, Fields { kind: Text(b"w"), ..Fields::default() });
}

#[test]
fn what_is_no_event_is_refused() {
    for text in [
        "",
        "{}",
        "7",
        "[]",
        "null",
        r#"{"type":""}"#,
        r#"{"type":7}"#,
        r#"{"type":"w""#,
        r#"{"type":"w"}x"#,
        r#"{"type":"w",}"#,
        r#"{"type":"w" "ip":"x"}"#,
        r#"{"type":"w","a":}"#,
        r#"{"type":"w\"#,
    ] {
        assert_eq!(Fields::read(text.as_bytes()), Err(NoEvent), "{text}");
    }
}

/// JSON values as clients may send them.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_event_reads_as_a_full_reader_reads_it(
        kind in ".+", text in ".*", lag: u64, other in value(), extra in value(), pretty: bool,
    ) {
        let event = json!({
            "a": extra, "type": kind, "klag": lag, "z": other,
            "params": {"a": other, "text": text, "z": extra},
        });
        let written = if pretty { serde_json::to_vec_pretty(&event) } else { serde_json::to_vec(&event) };
        let written = written.unwrap();
        let fields = Fields::read(&written).unwrap();
        prop_assert_eq!(fields.kind.read(), kind);
        prop_assert_eq!(fields.text.read(), text);
        prop_assert_eq!(fields.lag_ms, lag);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..80) {
        let _ = Fields::read(&bytes).map(|fields| fields.kind.read().len());
        let event = br#"{"type":"w\u00e9","geo":{"country":"D\"E"},"params":{"text":"x","y":[1,{"z":2}]}}"#;
        let _ = Fields::read(&event[..cut]);
        let _ = Fields::read(&[&event[..cut], &bytes[..]].concat());
    }
}
