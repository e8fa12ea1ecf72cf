//! Writes what was seen into the text of a case. Only what differs changes: the order of the
//! members and the layout of everything else stay as somebody wrote them.

use std::ops::Range;

use serde_json::Value;

use super::{
    json::{Node, Text},
    read::Problem,
};

/// The order in which a new `expect` is written.
const ORDER: &[&str] = &["status", "headers", "body", "json", "topic", "records", "calls"];

/// A piece of text for a place.
type Edit = (Range<usize>, String);

/// The text of a case whose steps expect `seen`; `None` leaves a step as it is.
///
/// # Errors
/// The text is no case.
pub fn update(file: &str, text: &str, seen: &[Option<Value>]) -> Result<String, Problem> {
    let root = Text { file, text }.parse()?;
    let steps = root.members().into_iter().flatten().find(|(key, _)| key == "steps");
    let steps = steps.and_then(|(_, steps)| steps.elements()).unwrap_or_default();
    let mut edits = Vec::new();
    for (step, seen) in steps.into_iter().zip(seen) {
        if let Some(seen) = seen {
            expect(step, seen, &mut edits)?;
        }
    }
    let mut updated = text.to_owned();
    // From the end, so that no place moves before its turn.
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    for (span, piece) in edits {
        updated.replace_range(span, &piece);
    }
    Ok(updated)
}

fn expect(step: Node<'_>, seen: &Value, edits: &mut Vec<Edit>) -> Result<(), Problem> {
    let members = step.members().unwrap_or_default();
    if let Some((_, expected)) = members.iter().find(|(key, _)| key == "expect") {
        return differences(*expected, seen, edits);
    }
    let end = step.span().end.saturating_sub(1);
    let after = members.last().map_or(end, |(_, last)| last.span().end);
    let comma = if members.is_empty() { "" } else { ", " };
    edits.push((after..after, format!("{comma}\"expect\": {}", ordered(seen))));
    Ok(())
}

/// A new `expect`, what is most looked for first.
fn ordered(seen: &Value) -> String {
    let Some(members) = seen.as_object() else { return written(seen) };
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(key, _)| ORDER.iter().position(|known| known == key));
    let members = members.into_iter().map(member).collect::<Vec<_>>();
    format!("{{{}}}", members.join(", "))
}

/// The smallest changes that make the one of the other.
fn differences(node: Node<'_>, seen: &Value, edits: &mut Vec<Edit>) -> Result<(), Problem> {
    if node.value()? == *seen {
        return Ok(());
    }
    if let (Some(members), Value::Object(object)) = (node.members(), seen)
        && members.len() == object.len()
        && members.iter().all(|(key, _)| object.contains_key(&**key))
    {
        let pairs = members.into_iter().filter_map(|(key, node)| Some((node, object.get(&*key)?)));
        return pairs.into_iter().try_for_each(|(node, seen)| differences(node, seen, edits));
    }
    if let (Some(elements), Value::Array(array)) = (node.elements(), seen)
        && elements.len() == array.len()
    {
        let mut pairs = elements.into_iter().zip(array);
        return pairs.try_for_each(|(node, seen)| differences(node, seen, edits));
    }
    edits.push((node.span(), written(seen)));
    Ok(())
}

/// JSON on one line, with spaces where people put them.
fn written(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(written).collect();
            format!("[{}]", elements.join(", "))
        }
        other => other.to_string(),
    }
}

fn member((name, value): (&String, &Value)) -> String {
    format!("{}: {}", Value::String(name.clone()), written(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const CASE: &str = r#"{"steps": [
  {"request": {"path": "/"},
   "expect": {"status": 200,   "json": {"b": 1, "a": [1, 2]}}},
  {"produce": {"topic": "t", "records": []}}
]}
"#;

    #[test]
    fn only_what_differs_is_written() {
        let seen = json!({"status": 404, "json": {"b": 1, "a": [1, 3]}});
        let updated = update("c", CASE, &[Some(seen.clone()), None]).unwrap();
        assert_eq!(updated, CASE.replace("200", "404").replace("[1, 2]", "[1, 3]"));
        assert_eq!(update("c", &updated, &[Some(seen), None]).unwrap(), updated);
    }

    #[test]
    fn a_step_that_expects_nothing_expects_what_was_seen() {
        let seen = json!({"topic": "u", "records": [{"value": "é\n"}]});
        let updated = update("c", CASE, &[None, Some(seen)]).unwrap();
        let added = r#""records": []}, "expect": {"topic": "u", "records": [{"value": "é\n"}]}}"#;
        assert_eq!(updated, CASE.replace(r#""records": []}}"#, added));
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"é]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_was_seen_is_expected_afterwards(
            before in prop::option::of(json_value()),
            seen in json_value(),
            pretty: bool,
        ) {
            let mut step = json!({"request": {"path": "/"}});
            if let Some(before) = before {
                step["expect"] = before;
            }
            let case = json!({"steps": [step]});
            let text = if pretty { format!("{case:#}") } else { case.to_string() };
            let updated = update("c", &text, &[Some(seen.clone())]).unwrap();
            let read: Value = serde_json::from_str(&updated).unwrap();
            prop_assert_eq!(&read["steps"][0]["expect"], &seen);
            prop_assert_eq!(&read["steps"][0]["request"], &case["steps"][0]["request"]);
        }
    }
}
