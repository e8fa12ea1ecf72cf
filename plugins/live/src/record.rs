//! The members of a JSON object, borrowed from its text, in one pass.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How many members of an object are looked at. Finding a name takes as many comparisons.
const MOST: usize = 128;

/// An object's members in their order, those beyond [`MOST`] left out.
#[derive(Debug, Default)]
pub struct Members<'a> {
    /// Names and the texts of the values.
    pub list: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Whether some were left out.
    pub cut: bool,
}

impl<'a> Members<'a> {
    /// Those of an object; `None` where the text is anything else.
    pub fn of(text: &'a str) -> Option<Self> {
        // A look at the first byte spares the error of each text that is no object.
        text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
    }

    /// The value of a name; the first of several.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.list.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a name, if it is a text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text)
    }
}

/// What a JSON text is as a string, borrowed where it has no escapes.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let text = value.get();
    text.starts_with('"').then(|| serde_json::from_str(text).ok())?.map(|Text(text)| text)
}

impl<'a> Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'a> Visitor<'a> for Reader {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
        #[derive(serde::Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut members = Members::default();
        members.list.reserve(16);
        while members.list.len() < MOST {
            let Some(Name(name)) = map.next_key()? else { return Ok(members) };
            members.list.push((name, map.next_value()?));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            members.cut = true;
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_keep_their_order_and_their_text() {
        let members = Members::of(r#" {"b": 1.50, "a\n": "x\"y"} "#).unwrap();
        let list: Vec<_> =
            members.list.iter().map(|(name, value)| (&**name, value.get())).collect();
        assert_eq!(list, [("b", "1.50"), ("a\n", r#""x\"y""#)]);
        assert_eq!(members.text("a\n").unwrap(), "x\"y");
        assert!(members.text("b").is_none() && members.text("c").is_none());
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "null", "[1]", "\"{\"", "{", r#"{"a":1} x"#, "{7:1}"] {
            assert!(Members::of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn members_beyond_the_most_are_left_out() {
        let many: Vec<_> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
        let text = format!("{{{}}}", many.join(","));
        let members = Members::of(&text).unwrap();
        assert_eq!((members.list.len(), members.cut), (MOST, true));
    }
}
