//! Asking other hosts. They are named in `[needs.http] hosts` of the manifest and granted.
//!
//! ```no_run
//! use trellis_sdk::client::Request;
//!
//! let answer = Request::get("https://api.example.org/places?q=lake").send()?;
//! let places: serde_json::Value = answer.json()?;
//! # Ok::<(), trellis_sdk::http::Error>(())
//! ```
//!
//! A redirect is an answer like any other. An answer has at most 16 MiB.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::imports::trellis::http::client;

pub use client::Error;

/// A request to another host.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout_ms: Option<u32>,
}

/// What it answered, whatever its status.
#[derive(Clone, Debug)]
pub struct Response(client::Response);

impl Request {
    /// A request with a method in upper case and a whole URL.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::new("POST", url);
        request.body = body.into();
        request
    }

    /// A POST of JSON.
    pub fn post_json(
        url: impl Into<String>,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(body)?;
        Ok(Self::post(url, body).header("content-type", "application/json"))
    }

    /// With one more header field.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Waited for no longer than this; what is left of the call's own time bounds it in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(timeout.as_millis().try_into().unwrap_or(u32::MAX));
        self
    }

    /// Send it and wait for the whole answer.
    pub fn send(&self) -> Result<Response, Error> {
        client::send(self.lend(&self.fields())).map(Response)
    }

    fn fields(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn lend<'a>(&'a self, fields: &'a [(&'a str, &'a str)]) -> client::Request<'a> {
        client::Request {
            method: &self.method,
            url: &self.url,
            headers: fields,
            body: &self.body,
            timeout_ms: self.timeout_ms,
        }
    }
}

/// Send several at once, at most 64; one result for each, in order.
pub fn send_all(requests: &[Request]) -> Vec<Result<Response, Error>> {
    let fields: Vec<_> = requests.iter().map(Request::fields).collect();
    let lent = requests.iter().zip(&fields).map(|(request, fields)| request.lend(fields));
    let answers = client::send_all(&lent.collect::<Vec<_>>());
    answers.into_iter().map(|answer| answer.map(Response)).collect()
}

impl Response {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Whether the status is one of success, 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.0.status)
    }

    /// The first header field of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.0.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0.body)
    }
}
