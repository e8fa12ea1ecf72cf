//! What was seen, in the shape of what is expected: where the two differ, they differ.

use serde_json::{Map, Value};

/// Of what was seen, what is asked about: of an object the members that are expected, in arrays
/// of one length each element so. What is not there is null.
pub fn asked(expected: &Value, seen: &Value) -> Value {
    match (expected, seen) {
        (Value::Object(expected), Value::Object(seen)) => {
            let member = |(key, expected): (&String, &Value)| {
                (key.clone(), seen.get(key).map_or(Value::Null, |seen| asked(expected, seen)))
            };
            Value::Object(expected.iter().map(member).collect())
        }
        (Value::Array(expected), Value::Array(seen)) => {
            let mut wanted = expected.iter();
            let element = |seen: &Value| wanted.next().map_or(seen.clone(), |own| asked(own, seen));
            Value::Array(seen.iter().map(element).collect())
        }
        _ => seen.clone(),
    }
}

/// A text or, where something else is expected, the JSON in it; null where there is none.
pub fn as_expected(expected: &Value, bytes: Option<&[u8]>) -> Value {
    match (bytes, expected.is_string() || is_hex(expected)) {
        (Some(bytes), true) => text(bytes),
        (bytes, _) => json(bytes),
    }
}

/// The JSON that bytes are, or as text what is none; null where there is nothing.
pub fn json(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    serde_json::from_slice(bytes).unwrap_or_else(|_| text(bytes))
}

fn is_hex(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("hex"))
}

/// Bytes as cases have them: text, or `{"hex": "00ff"}`.
pub fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Value::Object(Map::from_iter([("hex".to_owned(), Value::String(hex))]))
        }
    }
}

/// The fields of a head that are asked about; several of one name are joined.
pub fn headers(expected: Option<&Value>, seen: &http::HeaderMap) -> Value {
    let Some(Value::Object(expected)) = expected else { return Value::Null };
    let field = |name: &String| {
        let values = seen.get_all(name.as_str()).iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let joined = (!values.is_empty()).then(|| Value::String(values.join(", ")));
        (name.clone(), joined.unwrap_or(Value::Null))
    };
    Value::Object(expected.keys().map(field).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_expected_is_looked_at_but_arrays_have_one_length() {
        let seen = json!({"a": [{"b": 1, "c": 2}], "d": 3});
        assert_eq!(asked(&json!({"a": [{"b": 9}]}), &seen), json!({"a": [{"b": 1}]}));
        assert_eq!(asked(&json!({"a": []}), &seen), json!({"a": [{"b": 1, "c": 2}]}));
        assert_eq!(asked(&json!({"e": {"f": 1}}), &seen), json!({"e": null}));
        assert_eq!(asked(&json!("x"), &seen), seen);
    }

    #[test]
    fn bytes_are_what_they_are_expected_to_be() {
        let seen = |expected: Value, bytes: &[u8]| as_expected(&expected, Some(bytes));
        assert_eq!(seen(json!({"a": 1}), b"{\"a\": 2}"), json!({"a": 2}));
        assert_eq!(seen(json!("7"), b"7"), json!("7"));
        assert_eq!(seen(json!({"a": 1}), b"no"), json!("no"));
        assert_eq!(seen(json!("x"), b"\xff\x00"), json!({"hex": "ff00"}));
        assert_eq!(as_expected(&json!(null), None), json!(null));
    }
}
