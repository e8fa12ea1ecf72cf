//! From a text to a [`Case`]: every key is known, every value is of its type.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE, uri::PathAndQuery};
use serde_json::Value;

use super::{
    case::{Case, Deed, Exchange, NOW_MS, Produce, Record, Request, Response, Step},
    json::{Fields, Node, Text},
};
pub use crate::manifest::Problem;
use crate::quantity::Millis;

mod expect;

const CASE: &[&str] = &["now", "config", "secrets", "grants", "upstream", "steps"];
const STEP: &[&str] = &["request", "produce", "advance", "upstream", "expect"];
const REQUEST: &[&str] = &["method", "path", "headers", "body", "json"];
const PRODUCE: &[&str] = &["topic", "records"];
const RECORD: &[&str] = &["key", "value", "json", "headers", "time"];
const EXCHANGE: &[&str] = &["request", "response"];
const RESPONSE: &[&str] = &["status", "headers", "body", "json", "error"];

/// Read a case; `file` is what the text is called.
///
/// # Errors
/// What is wrong first, with its place.
pub fn read(file: &str, text: &str) -> Result<Case, Problem> {
    let root = Text { file, text }.parse()?;
    let fields = root.fields("a case", CASE)?;
    let steps = needed(root, &fields, "steps")?.list("`steps`")?;
    Ok(Case {
        now_ms: fields.get("now").map_or(Ok(NOW_MS), now)?,
        config: fields.get("config").map_or(Ok(BTreeMap::new()), texts)?,
        secrets: fields.get("secrets").map_or(Ok(BTreeMap::new()), texts)?,
        grants: fields.get("grants").map(Node::read).transpose()?,
        upstream: upstream(fields.get("upstream"))?,
        steps: steps.into_iter().map(step).collect::<Result<_, _>>()?,
    })
}

fn step(node: Node<'_>) -> Result<Step, Problem> {
    let fields = node.fields("a step", STEP)?;
    let deed = match (fields.get("request"), fields.get("produce")) {
        (Some(_), Some(produce)) => {
            let hint = "make it two steps";
            return Err(produce.problem("a step has both `request` and `produce`", hint));
        }
        (Some(asked), None) => Deed::Request(Box::new(request(asked)?)),
        (None, Some(produced)) => Deed::Produce(produce(produced)?),
        (None, None) => Deed::Look,
    };
    if let Some(expected) = fields.get("expect") {
        expect::check(expected, matches!(deed, Deed::Request(_)))?;
    }
    Ok(Step {
        line: node.line(),
        advance: fields.get("advance").map_or(Ok(Duration::ZERO), advance)?,
        deed,
        upstream: upstream(fields.get("upstream"))?,
        expect: fields.get("expect").map(Node::value).transpose()?,
    })
}

fn request(node: Node<'_>) -> Result<Request, Problem> {
    let fields = node.fields("`request`", REQUEST)?;
    let (body, is_json) = body(&fields)?;
    let mut headers = fields.get("headers").map_or(Ok(HeaderMap::new()), headers)?;
    if is_json {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    Ok(Request {
        method: parsed(fields.get("method"), "method", Some(Method::GET), node)?,
        path: parsed::<PathAndQuery>(fields.get("path"), "path", None, node)?,
        headers,
        body,
    })
}

fn produce(node: Node<'_>) -> Result<Produce, Problem> {
    let fields = node.fields("`produce`", PRODUCE)?;
    let records = needed(node, &fields, "records")?.list("`records`")?;
    Ok(Produce {
        topic: needed(node, &fields, "topic")?.text("`topic`")?,
        records: records.into_iter().map(record).collect::<Result<_, _>>()?,
    })
}

fn record(node: Node<'_>) -> Result<Record, Problem> {
    let fields = node.fields("a record", RECORD)?;
    let value = match (fields.get("value"), fields.get("json")) {
        (Some(_), Some(json)) => {
            return Err(json.problem("a record has both `value` and `json`", "take one out"));
        }
        (Some(value), None) => bytes(value)?,
        (None, Some(json)) => Some(compact(json)?),
        (None, None) => None,
    };
    let named = fields.get("headers").map_or(Ok(BTreeMap::new()), texts)?;
    Ok(Record {
        key: fields.get("key").map_or(Ok(None), bytes)?,
        value,
        headers: named.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
        time_ms: fields.get("time").map(|time| now(time).map(|ms| ms as i64)).transpose()?,
    })
}

fn upstream(node: Option<Node<'_>>) -> Result<Vec<Exchange>, Problem> {
    let exchanges = node.map_or(Ok(Vec::new()), |node| node.list("`upstream`"))?;
    exchanges.into_iter().map(exchange).collect()
}

fn exchange(node: Node<'_>) -> Result<Exchange, Problem> {
    let fields = node.fields("an upstream", EXCHANGE)?;
    let request = needed(node, &fields, "request")?;
    expect::check_call(request)?;
    let node = needed(node, &fields, "response")?;
    let fields = node.fields("`response`", RESPONSE)?;
    if let Some(error) = fields.get("error") {
        let response = Response::Failure(error.text("`error`")?);
        return Ok(Exchange { request: request.value()?, response });
    }
    let (body, is_json) = body(&fields)?;
    let mut response = http::Response::new(body);
    *response.status_mut() = match fields.get("status") {
        None => http::StatusCode::OK,
        Some(status) => {
            let number = status.read::<u16>().ok();
            let code = number.and_then(|number| http::StatusCode::from_u16(number).ok());
            code.ok_or_else(|| status.problem("this is no status", "give a number such as 200"))?
        }
    };
    *response.headers_mut() = fields.get("headers").map_or(Ok(HeaderMap::new()), headers)?;
    if is_json {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().entry(CONTENT_TYPE).or_insert(json);
    }
    Ok(Exchange { request: request.value()?, response: Response::Answer(response) })
}

/// The body of a request or a response, and whether it is given as JSON.
fn body(fields: &Fields<'_>) -> Result<(Bytes, bool), Problem> {
    Ok(match (fields.get("body"), fields.get("json")) {
        (Some(_), Some(json)) => {
            return Err(json.problem("both `body` and `json` are given", "take one out"));
        }
        (Some(body), None) => (bytes(body)?.unwrap_or_default().into(), false),
        (None, Some(json)) => (compact(json)?.into(), true),
        (None, None) => (Bytes::new(), false),
    })
}

/// JSON without spaces, with the members as they stand.
fn compact(node: Node<'_>) -> Result<Vec<u8>, Problem> {
    let mut compact = Vec::with_capacity(node.raw().len());
    let (mut quoted, mut escaped) = (false, false);
    for byte in node.raw().bytes() {
        if quoted || !byte.is_ascii_whitespace() {
            compact.push(byte);
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && byte == b'\\' && !escaped;
    }
    Ok(compact)
}

/// Text, or `{"hex": "00ff"}`, or null.
fn bytes(node: Node<'_>) -> Result<Option<Vec<u8>>, Problem> {
    let wrong =
        || node.problem("this is neither a text nor bytes", "write them `{\"hex\": \"00ff\"}`");
    match node.value()? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.into_bytes())),
        Value::Object(_) => {
            let digits = node.fields("bytes", &["hex"])?.get("hex").ok_or_else(wrong)?;
            unhex(&digits.text("`hex`")?).ok_or_else(wrong).map(Some)
        }
        _ => Err(wrong()),
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.chars().map(|digit| digit.to_digit(16));
    let digits = digits.collect::<Option<Vec<u32>>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8));
    whole.then(|| bytes.collect())
}

fn headers(node: Node<'_>) -> Result<HeaderMap, Problem> {
    let wrong =
        || node.problem("`headers` is not an object", "write it as `{\"name\": \"value\"}`");
    let mut headers = HeaderMap::new();
    for (name, value) in node.members().ok_or_else(wrong)? {
        let text = value.text("the value of a header")?;
        let pair = (HeaderName::from_str(&name), HeaderValue::from_str(&text));
        let (Ok(name), Ok(value)) = pair else {
            return Err(value.problem(format!("`{name}` cannot be sent as a header"), ""));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn texts(node: Node<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let wrong = || node.problem("this is not an object of texts", "write `{\"key\": \"value\"}`");
    let members = node.members().ok_or_else(wrong)?.into_iter();
    members.map(|(key, value)| Ok((key.into_owned(), value.text("this")?))).collect()
}

fn now(node: Node<'_>) -> Result<u64, Problem> {
    let text = node.text("a time")?;
    let time = text.parse::<jiff::Timestamp>().ok();
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(|| {
        let hint = "write it like `2026-01-02T03:04:05Z`, from 1970 on";
        node.problem(format!("`{text}` is no time"), hint)
    })
}

fn advance(node: Node<'_>) -> Result<Duration, Problem> {
    let millis: Millis = node.read()?;
    Ok(millis.into())
}

fn parsed<T: FromStr>(
    node: Option<Node<'_>>,
    what: &str,
    default: Option<T>,
    of: Node<'_>,
) -> Result<T, Problem> {
    let Some(node) = node else {
        return default.ok_or_else(|| missing(of, what));
    };
    let text = node.text(&format!("`{what}`"))?;
    text.parse().map_err(|_| node.problem(format!("`{text}` is no {what}"), ""))
}

fn needed<'a>(node: Node<'a>, fields: &Fields<'a>, key: &str) -> Result<Node<'a>, Problem> {
    fields.get(key).ok_or_else(|| missing(node, key))
}

fn missing(node: Node<'_>, key: &str) -> Problem {
    node.problem(format!("the key `{key}` is missing"), format!("add `\"{key}\": ...`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
