//! JSON with its places: what is wrong is shown where it stands, and what changes is changed
//! there and nowhere else.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::manifest::problem::{Place, Problem, reword, suggest};

/// A text and what to call it.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The file, as it is shown.
    pub file: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// A value in a text.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    of: Text<'a>,
    raw: &'a str,
    at: usize,
}

/// The members of an object, all of known names.
pub struct Fields<'a>(BTreeMap<String, Node<'a>>);

impl<'a> Text<'a> {
    /// The value that it is.
    ///
    /// # Errors
    /// It is no JSON, or nested deeper than 128.
    pub fn parse(self) -> Result<Node<'a>, Problem> {
        let wrong = |error: serde_json::Error| self.broken(&error);
        serde_json::from_str::<Value>(self.text).map_err(wrong)?;
        let raw: &RawValue = serde_json::from_str(self.text).map_err(wrong)?;
        Ok(Node { of: self, raw: raw.get(), at: self.place_of(raw.get()) })
    }

    fn broken(self, error: &serde_json::Error) -> Problem {
        let lines = self.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let at = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let said = error.to_string();
        let message = said.split(" at line ").next().unwrap_or_default().to_lowercase();
        self.problem(at..at + 1, format!("it is no JSON: {message}"), None)
    }

    /// Where a part of the text begins.
    fn place_of(self, part: &str) -> usize {
        (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    fn problem(self, span: Range<usize>, message: String, hint: Option<String>) -> Problem {
        let place = Some(Place::of(self.text, span));
        Problem { file: self.file.to_owned(), message, hint, place }
    }
}

impl<'a> Node<'a> {
    /// Where it stands in the text.
    pub fn span(self) -> Range<usize> {
        self.at..self.at + self.raw.len()
    }

    /// Its text.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// The line that it begins in, from 1.
    pub fn line(self) -> usize {
        self.of.text.as_bytes().iter().take(self.at).filter(|byte| **byte == b'\n').count() + 1
    }

    /// The value.
    pub fn value(self) -> Result<Value, Problem> {
        self.read()
    }

    /// The value as a type of ours.
    pub fn read<T: Deserialize<'a>>(self) -> Result<T, Problem> {
        serde_json::from_str(self.raw).map_err(|error| {
            let said = error.to_string();
            let (message, hint) = reword(said.split(" at line ").next().unwrap_or_default());
            self.problem(message, hint.unwrap_or_default())
        })
    }

    /// A problem with it.
    pub fn problem(self, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.of.problem(self.span(), message.into(), hint)
    }

    /// The members of an object, in their order; `None` for what is none.
    pub fn members(self) -> Option<Vec<(Cow<'a, str>, Node<'a>)>> {
        if !self.raw.starts_with('{') {
            return None;
        }
        let Members(members) = serde_json::from_str(self.raw).ok()?;
        Some(members.into_iter().map(|(key, value)| (key, self.inner(value))).collect())
    }

    /// The elements of an array; `None` for what is none.
    pub fn elements(self) -> Option<Vec<Node<'a>>> {
        if !self.raw.starts_with('[') {
            return None;
        }
        let elements: Vec<&RawValue> = serde_json::from_str(self.raw).ok()?;
        Some(elements.into_iter().map(|element| self.inner(element)).collect())
    }

    /// The members of an object that has no others than these.
    pub fn fields(self, what: &str, known: &[&str]) -> Result<Fields<'a>, Problem> {
        let members = self.members().ok_or_else(|| {
            self.problem(format!("{what} is not an object"), "write it as `{...}`")
        })?;
        let mut fields = BTreeMap::new();
        for (key, value) in members {
            let there = match key {
                Cow::Borrowed(key) => {
                    let at = self.of.place_of(key);
                    at..at + key.len()
                }
                Cow::Owned(_) => value.span(),
            };
            if !known.contains(&&*key) {
                let message = format!("unknown key `{key}` in {what}");
                return Err(self.of.problem(there, message, Some(suggest(&key, known))));
            }
            if fields.insert(key.to_string(), value).is_some() {
                let message = format!("the key `{key}` is there twice in {what}");
                return Err(self.of.problem(there, message, Some("take one out".into())));
            }
        }
        Ok(Fields(fields))
    }

    /// The elements of what must be an array.
    pub fn list(self, what: &str) -> Result<Vec<Node<'a>>, Problem> {
        let wrong = || self.problem(format!("{what} is not an array"), "write it as `[...]`");
        self.elements().ok_or_else(wrong)
    }

    /// The text of what must be one.
    pub fn text(self, what: &str) -> Result<String, Problem> {
        self.read().map_err(|_| self.problem(format!("{what} is not a text"), "put it in quotes"))
    }

    fn inner(self, raw: &'a RawValue) -> Self {
        Node { of: self.of, raw: raw.get(), at: self.of.place_of(raw.get()) }
    }
}

impl<'a> Fields<'a> {
    /// A member.
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        self.0.get(key).copied()
    }
}

/// An object with its members in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            members.push((key, map.next_value()?));
        }
        Ok(Members(members))
    }
}

/// A key, in place where it is written without escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}
