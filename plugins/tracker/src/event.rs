//! An event: what is stored, and how its type is found.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use trellis_sdk::http::Request;

use crate::params::Params;
use crate::settings::Settings;
use crate::visitor::Visitor;

/// The JSON object of the topic `raw`. Consumers read these names; what readers look for first
/// stands first.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// When the host had read the request, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The address of the client.
    pub ip: &'a str,
    /// The host that the client asked.
    pub host: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent.
    pub query: &'a str,
    /// The user agent.
    pub agent: &'a str,
    /// The node that took the event.
    pub node: &'a str,
    /// What came with the event.
    pub params: &'a Params<'a>,
}

impl<'a> Event<'a> {
    /// An event of this type that came with a request.
    pub fn new(
        request: &Request<'a>,
        visitor: &Visitor<'a>,
        settings: &'a Settings,
        kind: &'a str,
        params: &'a Params<'a>,
    ) -> Self {
        Self {
            kind,
            time: request.time_ms(),
            ip: request.client_ip(),
            host: request.host(),
            path: request.path(),
            query: request.query().unwrap_or_default(),
            agent: visitor.agent,
            node: &settings.node,
            params,
        }
    }
}

/// The last segment of the path below the mount, `/` if there is none.
pub fn type_of<'a>(request: &Request<'a>) -> Cow<'a, str> {
    match request.param("path") {
        Some(below) if below.bytes().any(|byte| byte != b'/') => last_segment(request.path()),
        _ => Cow::Borrowed("/"),
    }
}

/// The type of an event that comes through the image: its `type` in the query.
pub fn pixel_type<'a>(request: &Request<'a>) -> Cow<'a, str> {
    request.query_value("type").unwrap_or(Cow::Borrowed("pixel"))
}

fn last_segment(path: &str) -> Cow<'_, str> {
    let segment = path.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or("/");
    percent_decode_str(segment).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::last_segment;

    #[test]
    fn the_type_is_the_last_segment_of_the_path() {
        assert_eq!(last_segment("/t/purchase"), "purchase");
        assert_eq!(last_segment("/t/blog/2015/"), "2015");
        assert_eq!(last_segment("/t/caf%C3%A9%20noir"), "café noir");
        assert_eq!(last_segment("/t/%ff"), "\u{fffd}");
    }
}
