//! A case as it was read.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use crate::capabilities::Needs;

/// When a case takes place that does not say so: 2026-01-01T00:00:00Z.
pub const NOW_MS: u64 = 1_767_225_600_000;

/// A file of steps.
#[derive(Debug)]
pub struct Case {
    /// When it takes place, in milliseconds since 1970.
    pub now_ms: u64,
    /// Values of the plugin's configuration, over those of its manifest.
    pub config: BTreeMap<String, String>,
    /// Its secrets.
    pub secrets: BTreeMap<String, String>,
    /// What it is granted; `None`: all that it needs.
    pub grants: Option<Needs>,
    /// The calls that it makes in all steps together, in their order.
    pub upstream: Vec<Exchange>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// Something that happens, and what is expected then.
#[derive(Debug)]
pub struct Step {
    /// The line that it begins in.
    pub line: usize,
    /// By how much the clock moves before it.
    pub advance: Duration,
    /// What happens.
    pub deed: Deed,
    /// The calls that the plugin makes in this step, in their order.
    pub upstream: Vec<Exchange>,
    /// What is expected, as it stands in the file; `None`: nothing is.
    pub expect: Option<Value>,
}

/// What happens.
#[derive(Debug)]
pub enum Deed {
    /// Somebody asks.
    Request(Box<Request>),
    /// Messages come.
    Produce(Produce),
    /// Nothing.
    Look,
}

/// What somebody asks.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: http::Method,
    /// Path and query.
    pub path: http::uri::PathAndQuery,
    /// The fields of its head.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Messages of a topic.
#[derive(Debug)]
pub struct Produce {
    /// The topic.
    pub topic: String,
    /// In their order.
    pub records: Vec<Record>,
}

/// A message.
#[derive(Debug)]
pub struct Record {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// When it was written, in milliseconds since 1970; `None`: now.
    pub time_ms: Option<i64>,
}

/// A call to another host and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the plugin must ask, as it stands in the file.
    pub request: Value,
    /// What it is answered.
    pub response: Response,
}

/// What another host answers.
#[derive(Clone, Debug)]
pub enum Response {
    /// This.
    Answer(http::Response<Bytes>),
    /// Nothing, for this reason.
    Failure(String),
}
