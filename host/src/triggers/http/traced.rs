//! The span of a request, where it is traced.

use http::{HeaderMap, HeaderValue, Method, StatusCode, request::Parts};

use super::{
    client::{Client, Id},
    routes::Binding,
};
use crate::observe::traces::{self, Span, Trace};

/// What a span tells of its request.
pub struct Asked<'a> {
    /// The head.
    pub parts: &'a Parts,
    /// Who asked.
    pub client: &'a Client<'a>,
    /// Identifies it.
    pub id: &'a Id,
}

/// Begin the span of a request with what a trusted sender says of its trace.
pub fn begin(method: &Method, given: Option<&HeaderValue>) -> Option<Span> {
    traces::server(given.map(HeaderValue::as_bytes), method.as_str())
}

/// Where the trace goes on; a plugin that passes the field on continues there.
pub fn go_on(span: &Span, headers: &mut HeaderMap) -> Trace {
    let trace = span.trace();
    trace.put_into(headers);
    trace
}

/// Note what became of the request. Its query stays out: there may be secrets in it.
pub fn describe(span: &mut Span, asked: &Asked<'_>, binding: Option<&Binding>, status: StatusCode) {
    let Asked { parts, client, id } = asked;
    span.note("http.request.method", parts.method.as_str().to_owned());
    span.note("url.scheme", if client.https { "https" } else { "http" });
    span.note("url.path", parts.uri.path().to_owned());
    span.note("client.address", client.text.to_string());
    span.note("http.response.status_code", i64::from(status.as_u16()));
    span.note("trellis.request.id", id.as_str().to_owned());
    if let Some(binding) = binding {
        span.rename(format!("{} {}", parts.method, binding.route));
        span.note("http.route", binding.route.clone());
        span.note("trellis.plugin", binding.generation.plugin.clone());
        span.note("trellis.generation", binding.generation.number as i64);
    }
    if status.is_server_error() {
        span.fail(status.as_str().to_owned(), status);
    }
}
