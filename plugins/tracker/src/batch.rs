//! Many events in one request: `{"batch": [{…}, …], "sentAt": "…"}` as analytics libraries send.
//!
//! An item's type is its `event`, or else its `type`. Its parameters are the members of
//! `properties` (or `traits`) and its own other members, with which they do not collide.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use trellis_sdk::http::{Error, Request, Response, Result};
use trellis_sdk::producer::{Records, Rejected, describe};

use crate::event::Event;
use crate::intake;
use crate::params::Params;
use crate::seen::Seen;
use crate::settings::Settings;
use crate::visitor::Visitor;

/// The most items of a batch.
const MAX_ITEMS: usize = 1_000;

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
}

/// What the client is told: how many items are stored, and what was wrong with the others.
#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    accepted: usize,
    errors: Vec<ItemError>,
}

#[derive(Debug, Serialize)]
struct ItemError {
    index: usize,
    error: String,
}

/// Store the events of a batch; each item stands for itself.
pub fn take(request: &Request<'_>, visitor: &Visitor<'_>, settings: &Settings) -> Result {
    authorize(visitor.authorization, &settings.write_keys)?;
    let items = items(request.body())?;
    if !visitor.may_be_recorded(settings) {
        return report(items.len(), Vec::new());
    }
    let mut errors = Vec::new();
    let mut sent = Vec::with_capacity(items.len());
    let mut seen = Seen::open(settings)?;
    let mut records = Records::with_capacity(request.body().len() * 2);
    for (index, item) in items.iter().enumerate() {
        match add(&mut records, &mut seen, item, request, visitor, settings) {
            Ok(true) => sent.push(index),
            Ok(false) => {}
            Err(Error::Status(503, text)) => return Err(Error::Status(503, text)),
            Err(Error::Status(_, error)) => errors.push(ItemError { index, error }),
            Err(error) => return Err(error),
        }
    }
    let rejected = records.send_each().map_err(intake::unavailable)?;
    if rejected.is_empty() {
        seen.remember()?;
    }
    for Rejected { index, error } in rejected {
        let index = sent.get(index as usize).copied().unwrap_or_default();
        errors.push(ItemError { index, error: describe(&error).to_string() });
    }
    report(items.len() - errors.len(), errors)
}

fn items(body: &[u8]) -> Result<Vec<&RawValue>> {
    let batch: Batch<'_> = serde_json::from_slice(body)
        .map_err(|error| Error::status(400, format!("the body is not a batch: {error}")))?;
    match batch.batch.len() <= MAX_ITEMS {
        true => Ok(batch.batch),
        false => Err(Error::status(413, format!("a batch has at most {MAX_ITEMS} items"))),
    }
}

/// Add one item to what is sent; `false` where it has been stored before.
fn add(
    records: &mut Records,
    seen: &mut Seen<'_>,
    item: &RawValue,
    request: &Request<'_>,
    visitor: &Visitor<'_>,
    settings: &Settings,
) -> Result<bool> {
    let item = Item::read(item)?;
    let params = Params::from(item.params.as_ref());
    let event = Event::new(request, visitor, settings, &item.kind, &params);
    if seen.contains(&event)? {
        return Ok(false);
    }
    intake::add(records, &event)?;
    Ok(true)
}

/// One item, taken apart.
struct Item {
    kind: String,
    params: Box<RawValue>,
}

impl Item {
    fn read(item: &RawValue) -> Result<Self> {
        let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(item.get())
            .map_err(|_| Error::status(400, "the item is not an object"))?;
        let named = members.remove("event");
        let typed = members.remove("type");
        let kind = named.or(typed).and_then(|kind| serde_json::from_str::<String>(kind.get()).ok());
        let kind = kind
            .filter(|kind| !kind.is_empty())
            .ok_or_else(|| Error::status(400, "the item has neither `event` nor `type`"))?;
        for inner in ["traits", "properties"] {
            let Some(inner) = members.remove(inner) else {
                continue;
            };
            let inner: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(inner.get())
                .map_err(|_| Error::status(400, "`properties` is not an object"))?;
            members.extend(inner);
        }
        Ok(Self { kind, params: to_raw_value(&members)? })
    }
}

/// Whether the request brings one of the keys, as the user of Basic authentication.
fn authorize(authorization: Option<&str>, keys: &[String]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let key = authorization
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| STANDARD.decode(value.trim()).ok())
        .and_then(|user| user.split(|byte| *byte == b':').next().map(<[u8]>::to_vec));
    match key.is_some_and(|key| keys.iter().any(|known| equal(known.as_bytes(), &key))) {
        true => Ok(()),
        false => Err(Error::status(401, "the write key is missing or unknown")),
    }
}

/// Compares without telling by its time where two keys differ.
fn equal(known: &[u8], key: &[u8]) -> bool {
    let differences = known.iter().zip(key).fold(0, |all, (a, b)| all | (a ^ b));
    known.len() == key.len() && differences == 0
}

fn report(accepted: usize, mut errors: Vec<ItemError>) -> Result {
    errors.sort_by_key(|error| error.index);
    let (status, word) = match (accepted, errors.is_empty()) {
        (0, false) => (400, "error"),
        (_, false) => (200, "partial"),
        (_, true) => (200, "ok"),
    };
    let report = Report { status: word, accepted, errors };
    Ok(Response::json(&report)?.with_status(status).with_header("cache-control", "no-store"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn item(json: &str) -> Result<(String, String)> {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        Item::read(&raw).map(|item| (item.kind, item.params.get().to_owned()))
    }

    #[test]
    fn the_event_names_the_type_and_properties_become_parameters() {
        let json = r#"{"type":"track","event":"purchase","messageId":"m1","properties":{"price":7,"messageId":"inner"}}"#;
        let (kind, params) = item(json).unwrap();
        assert_eq!(kind, "purchase");
        assert_eq!(params, r#"{"messageId":"inner","price":7}"#);
    }

    #[test]
    fn an_item_that_names_nothing_is_an_error_of_its_own() {
        for json in ["7", "{}", r#"{"type":""}"#, r#"{"type":"w","properties":7}"#] {
            assert!(matches!(item(json), Err(Error::Status(400, _))), "{json}");
        }
    }

    #[test]
    fn only_a_known_write_key_is_let_in() {
        let keys = ["secret".to_owned(), "other".to_owned()];
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(user));
        assert!(authorize(None, &[]).is_ok());
        assert!(authorize(Some(&basic("other:")), &keys).is_ok());
        for wrong in [basic("secre:"), basic("secrets:"), "Basic !".into(), "Bearer secret".into()]
        {
            assert!(
                matches!(authorize(Some(&wrong), &keys), Err(Error::Status(401, _))),
                "{wrong}"
            );
        }
        assert!(authorize(None, &keys).is_err());
    }
}
