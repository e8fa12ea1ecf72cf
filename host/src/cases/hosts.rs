//! The hosts that a plugin calls while it is tried: they answer what the case says.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    case::{Exchange, Response},
    fit,
};
use crate::world;

/// What other hosts answer, in the order in which they are to be asked. Clones share it.
#[derive(Clone, Default)]
pub struct Hosts(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// Of the step.
    step: VecDeque<Exchange>,
    /// Of the case.
    case: VecDeque<Exchange>,
    calls: Vec<http::Request<Bytes>>,
    wrong: Vec<Wrong>,
}

/// A call that was to be another one.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// The call that was due; null where none was.
    pub expected: Value,
    /// The one that came; null where it did not.
    pub seen: Value,
}

impl Hosts {
    /// The calls of a whole case.
    pub fn new(case: &[Exchange]) -> Self {
        Self(Arc::new(Mutex::new(Book { case: case.to_vec().into(), ..Book::default() })))
    }

    /// A step begins, in which these calls are made before any of the case's.
    pub fn begin(&self, step: &[Exchange]) {
        let mut book = self.book();
        book.step = step.to_vec().into();
        book.calls.clear();
    }

    /// What was asked since the step began.
    pub fn calls(&self) -> Vec<http::Request<Bytes>> {
        self.book().calls.clone()
    }

    /// A step has ended; with the `last` one the case has. What was not asked or not right.
    pub fn end(&self, last: bool) -> Vec<Wrong> {
        let mut book = self.book();
        let mut wrong = mem::take(&mut book.wrong);
        let mut left = mem::take(&mut book.step);
        if last {
            left.append(&mut book.case);
        }
        let not_made = |left: Exchange| Wrong { expected: left.request, seen: Value::Null };
        wrong.extend(left.into_iter().map(not_made));
        wrong
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl world::Hosts for Hosts {
    fn answer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let mut book = self.book();
        book.calls.push(request.clone());
        let due = match book.step.pop_front() {
            Some(due) => Some(due),
            None => book.case.pop_front(),
        };
        let Some(Exchange { request: expected, response }) = due else {
            let wrong = Wrong { expected: Value::Null, seen: show(None, &request) };
            book.wrong.push(wrong);
            return Err("the case has no answer to this call".into());
        };
        let seen = fit::asked(&expected, &show(Some(&expected), &request));
        if seen != expected {
            book.wrong.push(Wrong { expected, seen });
            return Err("the case expects another call".into());
        }
        match response {
            Response::Answer(answer) => Ok(answer),
            Response::Failure(reason) => Err(reason),
        }
    }
}

/// A call as cases have it, for who expects this.
pub fn show(expected: Option<&Value>, call: &http::Request<Bytes>) -> Value {
    let wants = |key: &str| expected.and_then(|expected| expected.get(key));
    let mut shown = Map::new();
    shown.insert("method".into(), json!(call.method().as_str()));
    shown.insert("url".into(), json!(call.uri().to_string()));
    if let Some(headers) = wants("headers") {
        shown.insert("headers".into(), fit::headers(Some(headers), call.headers()));
    }
    if wants("json").is_some() {
        shown.insert("json".into(), fit::json(Some(call.body())));
    }
    if wants("body").is_some() || (wants("json").is_none() && !call.body().is_empty()) {
        shown.insert("body".into(), fit::text(call.body()));
    }
    Value::Object(shown)
}
