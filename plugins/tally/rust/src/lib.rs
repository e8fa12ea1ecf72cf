//! Counts the events of a topic by their type, exactly once, and answers with the counts.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use trellis_sdk::{
    consumer::{Batch, Failure, Message},
    http::{Request, Response, Result},
    sql,
};

trellis_sdk::consumer!(count);
trellis_sdk::http!(answer);

const ADD: &str = "INSERT INTO tally (type, events) VALUES ($1, $2)
    ON CONFLICT (type) DO UPDATE SET events = tally.events + excluded.events";

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

/// Add up a batch in memory, so that each type is written once for all its messages. Those before
/// the first that is no event are stored; that one is put aside.
fn count(batch: Batch<'_>) -> std::result::Result<(), Failure> {
    let mut counts: BTreeMap<Cow<'_, str>, i64> = BTreeMap::new();
    let mut refused = None;
    for (index, message) in batch.iter().enumerate() {
        let Some(kind) = type_of(&message) else {
            refused = Some(Failure::dead_letter(index, "an event is an object with a `type`"));
            break;
        };
        *counts.entry(kind).or_default() += 1;
    }
    let params: Vec<_> =
        counts.iter().map(|(kind, events)| [(&**kind).into(), (*events).into()]).collect();
    let statement = |params| sql::Statement { sql: ADD, params };
    sql::batch(&params.iter().map(|params| statement(params.as_slice())).collect::<Vec<_>>())?;
    refused.map_or(Ok(()), Err)
}

/// The type of an event; `None` for what is none.
fn type_of<'a>(message: &Message<'a>) -> Option<Cow<'a, str>> {
    // A list of values would pass for the members of an event, too.
    message.value()?.trim_ascii_start().strip_prefix(b"{")?;
    let event: Event<'a> = message.json().ok()?;
    Some(event.r#type).filter(|kind| !kind.is_empty())
}

/// All counts: `{"w":3}`.
fn answer(_: Request<'_>) -> Result {
    let mut counts = BTreeMap::new();
    for row in &sql::query("SELECT type, events FROM tally", &[])? {
        counts.insert(row.get::<&str>("type")?.to_owned(), row.get::<i64>("events")?);
    }
    Response::json(&counts)
}
