//! The parameters of an event, from the query and the body, written as one JSON object.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use trellis_sdk::http::{Error, Request, Result};

use crate::visitor::Visitor;

/// A decoded name and value.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What came with an event. Where a JSON object and pairs name the same member, the object wins.
/// A name that comes several times in the pairs becomes a list.
#[derive(Debug, Default)]
pub struct Params<'a> {
    object: Option<&'a RawValue>,
    pairs: Vec<Pair<'a>>,
}

impl<'a> Params<'a> {
    /// Read the query, and the body by its type: JSON, a form, or text. Text is what
    /// `navigator.sendBeacon` sends without a preflight; it is taken for JSON if it is an
    /// object, for a form if it looks like one, and else kept as `text`.
    pub fn of(request: &Request<'a>, visitor: &Visitor<'a>) -> Result<Self> {
        let mut params = Self { object: None, pairs: request.query_pairs().collect() };
        let body = request.body();
        if body.is_empty() {
            return Ok(params);
        }
        let media_type = visitor.content_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/x-www-form-urlencoded" => params.pairs.extend(request.form()),
            "application/json" => params.object = Some(object(body)?),
            "text/plain" | "" => params.take_text(body, request)?,
            other => {
                let text =
                    format!("a body of type `{other}` is not taken, send JSON, a form or text");
                return Err(Error::status(415, text));
            }
        }
        Ok(params)
    }

    fn take_text(&mut self, body: &'a [u8], request: &Request<'a>) -> Result<()> {
        let text =
            std::str::from_utf8(body).map_err(|_| Error::status(400, "the body is not UTF-8"))?;
        if text.trim_start().starts_with('{') {
            self.object = Some(object(body)?);
        } else if text.contains('=') && !text.contains(char::is_whitespace) {
            self.pairs.extend(request.form());
        } else {
            self.pairs.push((Cow::Borrowed("text"), Cow::Borrowed(text)));
        }
        Ok(())
    }

    /// The value of a member that is a text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let member = self.object.and_then(|object| {
            let members: BTreeMap<Cow<'_, str>, &'a RawValue> =
                serde_json::from_str(object.get()).ok()?;
            serde_json::from_str::<String>(members.get(name)?.get()).ok()
        });
        let pair =
            || self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        member.map(Cow::Owned).or_else(pair)
    }
}

fn object(body: &[u8]) -> Result<&RawValue> {
    let value: &RawValue = serde_json::from_slice(body)
        .map_err(|error| Error::status(400, format!("the body is not JSON: {error}")))?;
    match value.get().starts_with('{') {
        true => Ok(value),
        false => Err(Error::status(400, "the body is not a JSON object")),
    }
}

impl<'a> From<&'a RawValue> for Params<'a> {
    /// Parameters that are one JSON object.
    fn from(object: &'a RawValue) -> Self {
        Self { object: Some(object), pairs: Vec::new() }
    }
}

impl Serialize for Params<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if let (Some(object), true) = (self.object, self.pairs.is_empty()) {
            return object.serialize(serializer);
        }
        let members: BTreeMap<Cow<'_, str>, &RawValue> = match self.object {
            Some(object) => serde_json::from_str(object.get()).map_err(S::Error::custom)?,
            None => BTreeMap::new(),
        };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &members {
            map.serialize_entry(name, value)?;
        }
        for same in grouped(&self.pairs).chunk_by(|a, b| a.0 == b.0) {
            let (name, value) = same[0];
            match same {
                _ if members.contains_key(name.as_ref()) => {}
                [_] => map.serialize_entry(name, value)?,
                many => {
                    map.serialize_entry(name, &many.iter().map(|pair| pair.1).collect::<Vec<_>>())?
                }
            }
        }
        map.end()
    }
}

/// The pairs with equal names side by side, in the order in which they came.
fn grouped<'p>(pairs: &'p [Pair<'p>]) -> Vec<(&'p Cow<'p, str>, &'p Cow<'p, str>)> {
    let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (name, value)).collect();
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    pairs
}

#[cfg(test)]
mod tests;
