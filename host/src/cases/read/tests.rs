use proptest::prelude::*;

use super::*;

fn problem(text: &str) -> String {
    read("cases/1.json", text).unwrap_err().explain()
}

#[test]
fn a_misspelt_key_is_shown_where_it_stands() {
    insta::assert_snapshot!(problem("{\"steps\": [\n  {\"request\": {\"path\": \"/\"}, \"expcet\": {}}\n]}"), @r#"
    unknown key `expcet` in a step
      --> cases/1.json:2:31
       |
     2 |   {"request": {"path": "/"}, "expcet": {}}
       |                               ^^^^^^
    hint: did you mean `expect`?
    "#);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (text, said) in [
        ("", "it is no JSON"),
        ("{\"steps\": [}", "it is no JSON"),
        ("{}", "the key `steps` is missing"),
        ("{\"steps\": [], \"steps\": []}", "the key `steps` is there twice"),
        ("{\"steps\": 1}", "`steps` is not an array"),
        ("{\"steps\": [], \"now\": \"soon\"}", "`soon` is no time"),
        ("{\"steps\": [{\"request\": {}}]}", "the key `path` is missing"),
        (
            "{\"steps\": [{\"request\": {\"path\": \"/\", \"body\": 7}}]}",
            "neither a text nor bytes",
        ),
        ("{\"steps\": [{\"expect\": {\"status\": 200}}]}", "a step without a `request`"),
        ("{\"steps\": [{\"expect\": {\"records\": []}}]}", "the key `topic` is missing"),
        ("{\"steps\": [{\"expect\": {\"sql\": {\"query\": \"\"}}}]}", "the key `rows` is missing"),
        ("{\"steps\": [{\"advance\": \"soon\"}]}", "a time such as"),
        ("{\"steps\": [], \"grants\": {\"keyvale\": {}}}", "did you mean `keyvalue`?"),
        (
            "{\"steps\": [{\"request\": {\"path\": \"/\"}, \"produce\": {\"topic\": \"t\"}}]}",
            "both `request` and `produce`",
        ),
    ] {
        let problem = problem(text);
        assert!(problem.contains(said), "{text}: {problem}");
    }
}

#[test]
fn a_body_in_json_keeps_its_order_and_loses_its_spaces() {
    let text = r#"{"steps": [{"request": {"path": "/", "json": {"b": " \" ",  "a" : [1, 2]}}}]}"#;
    let case = read("c", text).unwrap();
    let Deed::Request(request) = &case.steps[0].deed else { panic!("it is a request") };
    assert_eq!(request.body, r#"{"b":" \" ","a":[1,2]}"#);
    assert_eq!(request.headers[CONTENT_TYPE], "application/json");
}

#[test]
fn bytes_that_are_no_text_are_written_in_hexadecimal() {
    let record = |key: &str| {
        read(
            "c",
            &format!(
                "{{\"steps\": [{{\"produce\": {{\"topic\": \"t\", \"records\": [{{\"key\": {key}}}]}}}}]}}"
            ),
        )
    };
    let key = |case: Case| match case.steps.into_iter().next().unwrap().deed {
        Deed::Produce(produce) => produce.records.into_iter().next().unwrap().key,
        other => panic!("{other:?}"),
    };
    assert_eq!(key(record("{\"hex\": \"00fF\"}").unwrap()), Some(vec![0, 255]));
    assert_eq!(key(record("null").unwrap()), None);
    for wrong in ["{\"hex\": \"0\"}", "{\"hex\": \"0g\"}", "{}", "[1]"] {
        assert!(record(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_case_or_a_problem_in_it(text: String) {
        let _ = read("c", &text);
    }

    #[test]
    fn what_was_cut_or_changed_somewhere_is_a_case_or_a_problem(at in 0usize..600, with: char) {
        let text = r#"{"now": "2026-01-02T03:04:05Z", "config": {"é": "1"}, "upstream": [{"request":
            {"method": "GET", "url": "http://a/"}, "response": {"status": 200, "json": {"a": [1]}}}],
            "steps": [{"advance": "5m", "produce": {"topic": "t", "records": [{"key": {"hex": "00"},
            "headers": {"a": "b"}, "time": "2026-01-02T03:04:05Z"}]}, "expect": {"topic": "u",
            "records": [{"json": {}}], "sql": [{"query": "SELECT 1", "rows": [[1]]}]}}]}"#;
        prop_assert!(read("c", text).is_ok());
        let at = text.floor_char_boundary(at);
        let _ = read("c", &text[..at]);
        let mut changed = text.to_owned();
        changed.insert(at, with);
        if let Err(problem) = read("c", &changed) {
            problem.explain();
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed(depth in 120usize..100_000) {
        let text = "[".repeat(depth) + &"]".repeat(depth);
        prop_assert!(read("c", &text).is_err());
    }
}
