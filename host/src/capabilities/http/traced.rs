//! The span of a request to another host, where the call that sends it is traced.

use std::sync::Arc;

use http::Request;
use wasmtime_wasi_http::WasiBody;

use super::Answer;
use crate::observe::traces::{self, Span, SpanKind, Trace};

/// Begin the span and tell the other host of it. Path and query stay out of the span: there may be
/// secrets in them.
pub fn begin(of: &Trace, plugin: &Arc<str>, request: &mut Request<WasiBody>) -> Option<Span> {
    let method = request.method().as_str().to_owned();
    let mut span = traces::child(of, SpanKind::Client, method.clone(), [])?;
    span.note("http.request.method", method);
    span.note("trellis.plugin", plugin.clone());
    if let Some(target) = request.uri().authority() {
        span.note("server.address", target.host().to_owned());
    }
    if let Some(port) = request.uri().port_u16() {
        span.note("server.port", i64::from(port));
    }
    span.trace().put_into(request.headers_mut());
    Some(span)
}

/// Note what became of it.
pub fn describe(span: &mut Span, answer: &Answer) {
    match answer {
        Ok((response, _)) => {
            let status = response.status();
            span.note("http.response.status_code", i64::from(status.as_u16()));
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str().to_owned(), status);
            }
        }
        Err(error) => span.fail("request", error),
    }
}
