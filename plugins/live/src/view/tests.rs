#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const PLACE: Place<'_> = Place { topic: "events", partition: 3, offset: 7, timestamp_ms: 99 };

fn view(value: &str) -> (Option<String>, Map<String, Value>) {
    let view = View::new(PLACE, Some(b"key"), Some(value.as_bytes()));
    (view.kind, serde_json::from_str(&view.frame).unwrap())
}

#[test]
fn an_event_of_the_enricher_is_flattened_as_the_live_view_has_always_been() {
    let value = r#"{"type":"offr","ts":1000,"klag":250,"ip":"2.125.160.216","node":"n","geo":{"country":"GB","city":"Boxford"},"params":{"action":"create","lat":"52.5","text":"a b&c","type":"x","country":"FR"},"pod":"p1","device":{"type":"pc","browser":"Firefox","engine":"Gecko","version":"140.0","os":"Linux"},"host":"h","path":"/t/offr","query":"action=create","agent":"A"}"#;
    let (kind, frame) = view(value);
    let wanted = json!({
        "type": "offr", "topic": "events", "_partition_": 3, "_offset_": 7, "_msgkey_": "key",
        "ts": 1000, "klag": 250, "ip": "2.125.160.216", "node": "n", "pod": "p1", "host": "h",
        "path": "/t/offr", "query": "action=create", "agent": "A",
        "country": "GB", "city": "Boxford", "device_type": "pc", "browser": "Firefox",
        "engine": "Gecko", "version": "140.0", "os": "Linux",
        "action": "create", "lat": "52.5", "text": "a b&c",
        "params": "action=create&lat=52.5&text=a+b%26c&type=x&country=FR",
        "ip_dot": "2.125.160.216", "_msgvalue_": value,
    });
    assert_eq!(Value::Object(frame), wanted);
    assert_eq!(kind.as_deref(), Some("offr"));
}

#[test]
fn what_an_event_calls_like_a_member_of_the_frame_is_not_that_member() {
    let (_, frame) = view(
        r#"{"type":"w","_offset_":1,"topic":"t","ip_dot":"x","params":{"_offset_":"2","ts":"3"}}"#,
    );
    assert_eq!(frame["_offset_"], 7);
    assert_eq!(frame["topic"], "events");
    assert_eq!(frame["params"], "_offset_=2&ts=3");
    assert!(!frame.contains_key("ip_dot"));
}

#[test]
fn an_event_without_a_time_has_that_of_its_record() {
    assert_eq!(view(r#"{"type":"w"}"#).1["ts"], 99);
    assert_eq!(view(r#"{"type":"w","ts":5}"#).1["ts"], 5);
}

#[test]
fn a_frame_is_one_line_whatever_the_record_is_written_like() {
    let view = View::new(
        PLACE,
        None,
        Some(b"{\n\"type\": \"w\",\r\n\"a\": [1,\n2],\n\"params\": {\"b\": {\r\"c\": 1}}}"),
    );
    assert_eq!(view.frame.matches(['\n', '\r']).count(), 1, "{}", view.frame);
    assert!(view.frame.ends_with("}\n"));
    let frame: Value = serde_json::from_str(&view.frame).unwrap();
    assert_eq!((&frame["a"], &frame["b"]), (&json!([1, 2]), &json!({"c": 1})));
    assert_eq!(frame["_msgkey_"], Value::Null);
}

#[test]
fn what_is_no_event_is_shown_as_it_came() {
    for text in ["no event", "", "[1]", "7", "{\"type\":", "\u{1}\u{7f}\u{2028}\""] {
        let (kind, frame) = view(text);
        assert!(kind.is_none() && frame["type"].is_null());
        assert_eq!(frame["_msgvalue_"], text);
    }
    let tombstone = View::new(PLACE, None, None);
    assert!(tombstone.frame.contains(r#""_msgvalue_":null"#));
    let foreign = View::new(PLACE, Some(&[0xff]), Some(&[0xff, b'a']));
    assert!(foreign.frame.contains("\"_msgvalue_\":\"\u{fffd}a\""));
}

#[test]
fn a_type_that_is_no_text_is_none() {
    let (kind, frame) = view(r#"{"type":7,"a":1}"#);
    assert!(kind.is_none() && frame["type"].is_null());
    assert_eq!(frame["a"], 1);
}

#[test]
fn a_huge_record_makes_a_frame_within_the_limit_that_says_so() {
    let quotes = "\\\"".repeat(300_000);
    let control = "\u{1}".repeat(600_000);
    let value = format!(r#"{{"type":"{quotes}","a":"{quotes}","params":{{"{quotes}":1}}}}"#);
    let many: Vec<_> =
        (0..5000).map(|n| format!("\"{n}{}\":\"%%%\"", "\\u0001".repeat(200))).collect();
    let many = format!(r#"{{"type":"w","params":{{{}}}}}"#, many.join(","));
    for value in [value, control.clone(), many] {
        let view = View::new(PLACE, Some(control.as_bytes()), Some(value.as_bytes()));
        assert!(view.frame.len() < 1 << 20, "{}", view.frame.len());
        let frame: Value = serde_json::from_str(&view.frame).unwrap();
        assert_eq!(frame["_cut_"], true);
    }
}

#[test]
fn an_object_of_an_object_is_called_after_it_only_where_its_name_is_taken() {
    let (_, frame) =
        view(r#"{"type":"w","a":{"x":1,"type":2,"x":9},"b":{"x":3,"type":4},"b_x":5}"#);
    assert_eq!(
        (&frame["x"], &frame["a_type"], &frame["b_type"]),
        (&json!(1), &json!(2), &json!(4))
    );
    assert_eq!(frame["b_x"], 5);
}

/// JSON of every shape, as a text.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<f64>().prop_map(|n| json!(n).to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| {
        let name = prop_oneof![
            any::<String>(),
            prop::sample::select(vec!["type", "params", "ip", "ts", "geo", "_offset_"])
                .prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(",\n"))),
            prop::collection::vec((name, inner), 0..8).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{}: {value}", json!(name)))
                    .collect();
                format!("{{{}}}", members.join(",\n"))
            }),
        ]
    })
}

/// A frame with each name at most once: readers differ in which of two they take.
fn names_once(frame: &str) -> bool {
    let members = Members::of(frame).unwrap();
    let names: HashSet<_> = members.list.iter().map(|(name, _)| name.clone()).collect();
    names.len() == members.list.len()
}

proptest! {
    #[test]
    fn no_foreign_record_panics_or_makes_a_frame_that_is_no_line_of_json(
        key in prop::option::of(any::<Vec<u8>>()), value in any::<Vec<u8>>(),
    ) {
        let view = View::new(PLACE, key.as_deref(), Some(&value));
        prop_assert!(serde_json::from_str::<Value>(&view.frame).is_ok());
        prop_assert_eq!(view.frame.matches(['\n', '\r']).count(), 1);
    }

    #[test]
    fn no_json_makes_a_frame_that_is_no_line_of_json(value in any_json()) {
        let view = View::new(PLACE, None, Some(value.as_bytes()));
        let frame: Value = serde_json::from_str(&view.frame).unwrap();
        prop_assert_eq!(&frame["_msgvalue_"], &value);
        prop_assert_eq!(&frame["_offset_"], 7);
        prop_assert_eq!(view.frame.matches(['\n', '\r']).count(), 1);
        prop_assert!(names_once(&view.frame));
    }
}
