//! The request: a view over the bytes that the host handed over.

use std::borrow::Cow;
use std::cell::Cell;

use serde::de::DeserializeOwned;

use super::{Error, Result};
use crate::wire::{Malformed, Reader};

/// A request that has been read completely, seen in place.
///
/// The lengths of the fixed fields are checked when the view is made; that a text is UTF-8, which
/// the host sees to, when it is asked for. Parameters and headers are walked only then, too.
#[derive(Clone)]
pub struct Request<'a> {
    https: bool,
    time_ms: u64,
    method: &'a [u8],
    host: &'a [u8],
    path: &'a [u8],
    query: Option<&'a [u8]>,
    client_ip: &'a [u8],
    id: &'a [u8],
    params: Params<'a>,
    header_count: u32,
    /// How many bytes the parameters before the headers take, once they have been walked.
    params_size: Cell<Option<usize>>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Read the head that `trellis:http/packed-handler` describes.
    pub fn parse(head: &'a [u8], body: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let mut reader = Reader::new(head);
        reader.version()?;
        let flags = reader.u8("flags")?;
        let param_count = reader.u16("number of params")?;
        let header_count = reader.u32("number of headers")?;
        let time_ms = reader.u64("time")?;
        let method = reader.bytes("method")?;
        let host = reader.bytes("host")?;
        let path = reader.bytes("path")?;
        let query = reader.bytes("query")?;
        let client_ip = reader.bytes("client ip")?;
        let id = reader.bytes("request id")?;
        Ok(Self {
            https: flags & 1 != 0,
            time_ms,
            method,
            host,
            path,
            query: (flags & 2 != 0).then_some(query),
            client_ip,
            id,
            params: Params { left: param_count, reader },
            header_count,
            params_size: Cell::new(None),
            body,
        })
    }

    /// The method in upper case.
    pub fn method(&self) -> &'a str {
        text(self.method)
    }

    /// `http` or `https`, as the client used it.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The host without a port, in lower case.
    pub fn host(&self) -> &'a str {
        text(self.host)
    }

    /// The path as it was sent, percent-encoded, starting with `/`.
    pub fn path(&self) -> &'a str {
        text(self.path)
    }

    /// What follows `?`, still encoded.
    pub fn query(&self) -> Option<&'a str> {
        self.query.map(text)
    }

    /// The decoded pairs of the query.
    pub fn query_pairs(&self) -> Pairs<'a> {
        form_urlencoded::parse(self.query.unwrap_or_default())
    }

    /// The first value of this name in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// What the route's `{name}` or `{*name}` matched, percent-decoded.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All parameters of the route in their order.
    pub fn params(&self) -> Params<'a> {
        self.params.clone()
    }

    /// The first header of this name, which must be in lower case; `None` also for a value that
    /// is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The same as the bytes that were sent.
    pub fn header_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All headers in the order of arrival, names in lower case.
    pub fn headers(&self) -> Headers<'a> {
        let size = self.params_size.get().unwrap_or_else(|| {
            let mut params = self.params();
            params.by_ref().for_each(drop);
            let size = self.params.reader.left() - params.reader.left();
            self.params_size.set(Some(size));
            size
        });
        let mut reader = self.params.reader;
        // The size was measured on the same bytes, so there is as much to skip.
        let _ = reader.take(size, "params");
        Headers { left: self.header_count, reader }
    }

    /// The address of the client, also behind a trusted proxy.
    pub fn client_ip(&self) -> &'a str {
        text(self.client_ip)
    }

    /// Identifies this request in the log of the host and in the answer's `x-request-id`.
    pub fn id(&self) -> &'a str {
        text(self.id)
    }

    /// When the host had read the head, in milliseconds since 1970-01-01 UTC.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The whole body.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The media type of the body in lower case, without its parameters; empty without one.
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The body read as JSON; what does not fit is a 400 that says where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body).map_err(|error| {
            Error::status(400, format!("the body is not what is expected: {error}"))
        })
    }

    /// The decoded pairs of a form in the body.
    pub fn form(&self) -> Pairs<'a> {
        form_urlencoded::parse(self.body)
    }
}

/// A text of the head; what is not UTF-8, which no host hands over, reads as empty.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Decoded pairs of a query or a form.
pub type Pairs<'a> = form_urlencoded::Parse<'a>;

/// The parameters of the route. Ends early where the bytes do not follow the layout.
#[derive(Clone)]
pub struct Params<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.reader.str("param name").ok()?;
        Some((name, self.reader.str("param value").ok()?))
    }
}

/// The headers. Ends early where the bytes do not follow the layout.
#[derive(Clone)]
pub struct Headers<'a> {
    left: u32,
    reader: Reader<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.reader.str("header name").ok()?;
        Some((name, self.reader.bytes("header value").ok()?))
    }
}
