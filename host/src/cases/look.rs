//! What a step's `expect` asks about, as it is now.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{fit, hosts, house::House};
use crate::{
    backends::{
        keyvalue::Namespace,
        log::{Limit, Log, Partition, record::Record},
        sql::{self, Statement},
    },
    world::Heard,
};

/// How much of a topic is read at a time.
const PAGE: Limit = Limit { records: 10_000, bytes: 64 << 20, wait: Duration::ZERO };

/// Where topics ended when a step began, by topic and partition.
pub type Ends = BTreeMap<(Arc<str>, u32), u64>;

/// What came of a step, beside what it left behind in the house.
pub struct Came {
    /// The answer to its request.
    pub answer: Option<http::Response<Bytes>>,
    /// Where topics ended before it.
    pub ends: Ends,
    /// The calls of other hosts.
    pub calls: Vec<http::Request<Bytes>>,
    /// What the plugin wrote to its log.
    pub heard: Vec<Heard>,
}

/// Where all topics end now.
pub async fn ends(log: &dyn Log) -> anyhow::Result<Ends> {
    let mut ends = Ends::new();
    for topic in log.topics().await? {
        for partition in 0..topic.partitions {
            let of = Partition { topic: topic.name.clone(), partition };
            ends.insert((topic.name.clone(), partition), log.range(of).await?.end);
        }
    }
    Ok(ends)
}

/// What was seen of everything that `expected` asks about, under the same keys.
pub async fn see(house: &House, expected: &Value, came: &Came) -> anyhow::Result<Value> {
    let mut seen = Map::new();
    let Some(expected) = expected.as_object() else { return Ok(Value::Null) };
    for (key, expected_here) in expected {
        let answer = came.answer.as_ref();
        let value = match key.as_str() {
            "status" => json!(answer.map(|answer| answer.status().as_u16())),
            "headers" => answer
                .map_or(Value::Null, |answer| fit::headers(Some(expected_here), answer.headers())),
            "body" => answer.map_or(Value::Null, |answer| fit::text(answer.body())),
            "json" => fit::json(answer.map(|answer| &answer.body()[..])),
            "records" => {
                let topic = expected.get("topic").and_then(Value::as_str).unwrap_or_default();
                records(&*house.backends.log, topic, &came.ends, expected_here).await?
            }
            "sql" => queries(house, expected_here).await?,
            "keyvalue" => stores(house, expected_here).await?,
            "calls" => calls(expected_here, &came.calls),
            "logs" => lines(&came.heard),
            _ => expected_here.clone(),
        };
        // Rows are what they are, in their order.
        let whole = key == "sql";
        let value = if whole { value } else { fit::asked(expected_here, &value) };
        seen.insert(key.clone(), value);
    }
    Ok(Value::Object(seen))
}

/// What to ask about where nothing is expected yet.
pub async fn shape(house: &House, came: &Came, produced: Option<&str>) -> anyhow::Result<Value> {
    let mut shape = Map::new();
    if let Some(answer) = &came.answer {
        shape.insert("status".into(), Value::Null);
        if answer.headers().contains_key(http::header::CONTENT_TYPE) {
            shape.insert("headers".into(), json!({"content-type": null}));
        }
        match fit::json(Some(answer.body())) {
            Value::Object(_) | Value::Array(_) => shape.insert("json".into(), Value::Null),
            _ => shape.insert("body".into(), Value::Null),
        };
    }
    let now = ends(&*house.backends.log).await?;
    let grown = now.iter().filter(|(of, end)| came.ends.get(of).copied().unwrap_or(0) < **end);
    let mut topics: Vec<_> = grown.map(|((topic, _), _)| topic.clone()).collect();
    topics.retain(|topic| Some(&**topic) != produced);
    topics.dedup();
    if let [topic] = &topics[..] {
        shape.insert("topic".into(), json!(**topic));
        shape.insert("records".into(), Value::Null);
    }
    if !came.calls.is_empty() {
        shape.insert("calls".into(), Value::Null);
    }
    Ok(Value::Object(shape))
}

/// The records of a topic since the step began, by partition.
async fn records(
    log: &dyn Log,
    topic: &str,
    before: &Ends,
    expected: &Value,
) -> anyhow::Result<Value> {
    let topics = log.topics().await?;
    let Some(topic) = topics.iter().find(|found| *found.name == *topic) else {
        return Ok(json!([]));
    };
    let mut shown = Vec::new();
    for partition in 0..topic.partitions {
        let of = Partition { topic: topic.name.clone(), partition };
        let mut next = before.get(&(topic.name.clone(), partition)).copied().unwrap_or(0);
        while next < log.range(of.clone()).await?.end {
            let batch = log.read(of.clone(), next, PAGE).await?;
            for record in batch.records() {
                shown.push(show(expected.get(shown.len()), &record));
            }
            next = batch.next.max(next + 1);
        }
    }
    Ok(Value::Array(shown))
}

/// A record as cases have it, for who expects this.
fn show(expected: Option<&Value>, record: &Record<'_>) -> Value {
    let wants = |key: &str| expected.is_some_and(|expected| expected.get(key).is_some());
    let mut shown = Map::new();
    if let Some(key) = record.tail.key() {
        shown.insert("key".into(), fit::text(key));
    }
    let value = record.tail.value();
    match fit::json(value) {
        json if wants("json") => shown.insert("json".into(), json),
        json @ (Value::Object(_) | Value::Array(_)) if !wants("value") => {
            shown.insert("json".into(), json)
        }
        _ => shown.insert("value".into(), value.map_or(Value::Null, fit::text)),
    };
    if wants("headers") {
        let field = |(name, value): (&str, Option<&[u8]>)| {
            (name.to_owned(), value.map_or(Value::Null, fit::text))
        };
        shown.insert("headers".into(), Value::Object(record.tail.headers().map(field).collect()));
    }
    if wants("time") {
        let time = jiff::Timestamp::from_millisecond(record.timestamp_ms);
        shown.insert("time".into(), json!(time.ok().map(|time| time.to_string())));
    }
    Value::Object(shown)
}

/// Each query with the rows that it has now.
async fn queries(house: &House, expected: &Value) -> anyhow::Result<Value> {
    let Some(all) = expected.as_array() else { return query(house, expected).await };
    let mut seen = Vec::new();
    for one in all {
        seen.push(query(house, one).await?);
    }
    Ok(Value::Array(seen))
}

async fn query(house: &House, expected: &Value) -> anyhow::Result<Value> {
    let text = expected.get("query").and_then(Value::as_str).unwrap_or_default();
    let params = expected.get("params").and_then(Value::as_array);
    let params = params.into_iter().flatten().map(param).collect();
    let database = house.backends.sql.open(&house.manifest().name).await?;
    let answer = database.query(Statement::new(text, params)).await;
    let rows = answer.map_err(|error| anyhow::anyhow!("the query `{text}` failed: {error}"))?.rows;
    let rows = rows.into_iter().map(|row| row.into_iter().map(column).collect()).collect();
    let mut seen = expected.as_object().cloned().unwrap_or_default();
    seen.insert("rows".into(), Value::Array(rows));
    Ok(Value::Object(seen))
}

fn param(value: &Value) -> sql::Value {
    match value {
        Value::Null => sql::Value::Null,
        Value::Bool(yes) => sql::Value::Boolean(*yes),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => sql::Value::Integer(whole),
            (None, real) => sql::Value::Real(real.unwrap_or_default()),
        },
        Value::String(text) => sql::Value::Text(text.clone()),
        other => sql::Value::Text(other.to_string()),
    }
}

fn column(value: sql::Value) -> Value {
    match value {
        sql::Value::Null => Value::Null,
        sql::Value::Boolean(yes) => json!(yes),
        sql::Value::Integer(number) => json!(number),
        sql::Value::Real(number) => json!(number),
        sql::Value::Text(text) => Value::String(text),
        sql::Value::Blob(bytes) => fit::text(&bytes),
    }
}

/// The values of all keys that are asked about, store by store.
async fn stores(house: &House, expected: &Value) -> anyhow::Result<Value> {
    let manifest = house.manifest();
    let shared = manifest.needs.keyvalue.as_ref().map(|keyvalue| &keyvalue.shared);
    let mut seen = Map::new();
    for (name, expected) in expected.as_object().into_iter().flatten() {
        let is_shared = shared.is_some_and(|shared| shared.contains(name));
        let own = Namespace::Own { plugin: &manifest.name, store: name };
        let namespace = if is_shared { Namespace::Shared(name) } else { own };
        let store = house.backends.keyvalue.store(namespace);
        let wanted = expected.as_object().cloned().unwrap_or_default();
        let values = store.get_many(wanted.keys().cloned().collect()).await?;
        let pairs = wanted
            .into_iter()
            .zip(values)
            .map(|((key, expected), value)| (key, fit::as_expected(&expected, value.as_deref())));
        seen.insert(name.clone(), Value::Object(pairs.collect()));
    }
    Ok(Value::Object(seen))
}

fn calls(expected: &Value, calls: &[http::Request<Bytes>]) -> Value {
    let shown = calls.iter().enumerate();
    shown.map(|(number, call)| hosts::show(expected.get(number), call)).collect()
}

fn lines(heard: &[Heard]) -> Value {
    let line = |line: &Heard| json!({"level": line.level, "message": line.message});
    heard.iter().map(line).collect()
}
