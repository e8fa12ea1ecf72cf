#![allow(clippy::unwrap_used)]
use super::*;

/// A request head with only what the parameters depend on.
fn head(query: &str) -> Vec<u8> {
    let mut head = vec![1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for field in ["POST", "", "/t/w", query, "", ""] {
        head.extend_from_slice(&u32::try_from(field.len()).unwrap().to_le_bytes());
        head.extend_from_slice(field.as_bytes());
    }
    head
}

fn params(query: &str, content_type: &str, body: &str) -> Result<String> {
    let head = head(query);
    let request = Request::parse(&head, body.as_bytes()).unwrap();
    let visitor = Visitor { content_type, ..Visitor::default() };
    Params::of(&request, &visitor).map(|params| serde_json::to_string(&params).unwrap())
}

#[test]
fn a_query_becomes_members_and_a_repeated_name_a_list() {
    let written = params("b=2&a=1%20x&k[]=u&k[]=v", "", "").unwrap();
    assert_eq!(written, r#"{"a":"1 x","b":"2","k[]":["u","v"]}"#);
    assert_eq!(params("", "", "").unwrap(), "{}");
}

#[test]
fn a_json_object_is_kept_as_it_was_sent() {
    let body = r#"{ "z": 1.50, "a": [true] }"#;
    assert_eq!(params("", "application/json; charset=utf-8", body).unwrap(), body);
}

#[test]
fn a_json_object_wins_over_the_query() {
    let written = params("a=1&b=2", "application/json", r#"{"a":7}"#).unwrap();
    assert_eq!(written, r#"{"a":7,"b":"2"}"#);
}

#[test]
fn text_is_taken_for_json_for_a_form_or_for_itself() {
    assert_eq!(params("", "text/plain;charset=UTF-8", r#" {"a":1}"#).unwrap(), r#"{"a":1}"#);
    assert_eq!(params("", "text/plain", "a=1&b=2").unwrap(), r#"{"a":"1","b":"2"}"#);
    assert_eq!(params("", "text/plain", "hello there").unwrap(), r#"{"text":"hello there"}"#);
}

#[test]
fn what_is_no_object_is_told_to_the_client() {
    for (content_type, body, status) in [
        ("application/json", "[1]", 400),
        ("application/json", r#"{"a":"#, 400),
        ("text/plain", "{", 400),
        ("application/xml", "<a/>", 415),
    ] {
        let error = params("", content_type, body).unwrap_err();
        assert!(matches!(error, Error::Status(s, _) if s == status), "{body}: {error}");
    }
}

#[test]
fn a_text_member_is_found_in_the_object_and_in_the_pairs() {
    let object: Box<RawValue> = serde_json::from_str(r#"{"id":"a\u0062","n":7}"#).unwrap();
    let params = Params::from(object.as_ref());
    assert_eq!(params.text("id").as_deref(), Some("ab"));
    assert_eq!(params.text("n"), None);
    let pairs = Params { object: None, pairs: vec![("id".into(), "x".into())] };
    assert_eq!(pairs.text("id").as_deref(), Some("x"));
}
