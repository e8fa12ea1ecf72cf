//! What a request asks for: reads its target and host, and packs it for a plugin.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, Version, header, request::Parts, uri::Authority};

use super::{
    client::{Client, Id},
    path,
    refusal::Refusal,
    router::Captures,
};
use crate::{
    observe::traces,
    runtime::exports::{
        connection::{self, Transport},
        http::{packed::Head, plain},
    },
    world::World,
};

/// What the edge itself reads of a head, found in one pass over its fields.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    /// The size of the target and all fields, in bytes.
    pub size: usize,
    /// The first `x-request-id`.
    pub id: Option<&'a HeaderValue>,
    /// The first `traceparent`.
    pub trace: Option<&'a HeaderValue>,
    /// Whether there is any of [`is_of_proxy`].
    pub forwarded: bool,
    /// Whether the client wants to go on with websocket.
    pub websocket: bool,
    /// The `host` fields: the last, and how many.
    host: (Option<&'a HeaderValue>, usize),
}

impl<'a> Fields<'a> {
    /// Those of a request.
    pub fn of(parts: &'a Parts) -> Self {
        let target = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
        let mut fields = Self { size: target, ..Self::default() };
        for (name, value) in &parts.headers {
            let name = name.as_str();
            fields.size += name.len() + value.len() + 4;
            match name {
                "host" => fields.host = (Some(value), fields.host.1 + 1),
                "x-request-id" => fields.id = fields.id.or(Some(value)),
                traces::TRACEPARENT => fields.trace = fields.trace.or(Some(value)),
                "upgrade" => {
                    fields.websocket |= value.as_bytes().eq_ignore_ascii_case(b"websocket");
                }
                _ => fields.forwarded |= is_of_proxy(name),
            }
        }
        fields
    }

    /// The host of the request, in lower case and without its port; empty where an HTTP/1.0
    /// client named none.
    pub fn host(&self, parts: &Parts) -> Result<String, Refusal> {
        const BAD: Refusal = Refusal::bad_request("the host is missing or broken");
        let field = match self.host {
            (Some(host), 1) => Some(bare(host.as_bytes()).ok_or(BAD)?),
            (None, _) => None,
            _ => return Err(BAD),
        };
        // The target's own host wins over the field, as HTTP/1.1 demands. Clients of HTTP/2 have
        // it there, and no reason to name another.
        let target = parts.uri.authority();
        let target =
            target.map(|target| bare(target.as_str().as_bytes()).ok_or(BAD)).transpose()?;
        match (target, field) {
            (Some(target), Some(field)) if target != field && is_http_2(parts) => Err(BAD),
            (Some(_), None) if parts.version == Version::HTTP_11 => Err(BAD),
            (Some(host), _) | (None, Some(host)) => Ok(host),
            (None, None) if parts.version < Version::HTTP_11 => Ok(String::new()),
            (None, None) => Err(BAD),
        }
    }
}

fn is_http_2(parts: &Parts) -> bool {
    parts.version > Version::HTTP_11
}

/// Whether a field says what a proxy has seen; in lower case.
fn is_of_proxy(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

/// Take out what a plugin could mistake for the truth: what a stranger says of proxies, and a
/// `host` that the target does not have.
pub fn cleanse(parts: &mut Parts, forwarded: bool, trusted: bool) {
    if forwarded && !trusted {
        let names = parts.headers.keys().filter(|name| is_of_proxy(name.as_str()));
        for name in names.cloned().collect::<Vec<_>>() {
            parts.headers.remove(name);
        }
    }
    if let Some(target) = parts.uri.authority()
        && let Some(field) = parts.headers.get_mut(header::HOST)
        && let Ok(host) = HeaderValue::from_str(target.as_str())
    {
        *field = host;
    }
}

/// `Example.com:80` as `example.com`; `None` where it is no host.
fn bare(authority: &[u8]) -> Option<String> {
    let end = match authority {
        [b'[', ..] => authority.iter().position(|byte| *byte == b']')? + 1,
        _ => authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let port_is_sane = match port {
        [] => true,
        [colon, digits @ ..] => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    // A name with its root: `example.com.` is `example.com`.
    let host = host.strip_suffix(b".").unwrap_or(host);
    let lower: Vec<u8> = host.iter().map(|byte| IN_HOST[usize::from(*byte)]).collect();
    if !port_is_sane || lower.contains(&0) {
        return None;
    }
    String::from_utf8(lower).ok()
}

/// The bytes that a host may consist of, as RFC 3986 has them, in lower case; 0 for the others.
const IN_HOST: [u8; 256] = {
    let mut lower = [0; 256];
    let allowed = b"abcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=[]:";
    let mut at = 0;
    while at < allowed.len() {
        let byte = allowed[at];
        lower[byte as usize] = byte;
        lower[byte.to_ascii_uppercase() as usize] = byte;
        at += 1;
    }
    lower
};

/// The path, if the request is one that a plugin may see.
pub fn target(parts: &Parts) -> Result<&str, Refusal> {
    if parts.method == Method::CONNECT {
        let says = "this server is no proxy";
        return Err(Refusal::new(http::StatusCode::METHOD_NOT_ALLOWED, says));
    }
    let path = parts.uri.path();
    if !path.starts_with('/') {
        return Err(Refusal::bad_request("the path does not start with a slash"));
    }
    if path::decode(path).is_none() {
        return Err(Refusal::bad_request("the percent-encoding of the path is broken"));
    }
    Ok(path)
}

/// A request that found its plugin.
pub struct Asked<'a> {
    /// The head.
    pub parts: &'a Parts,
    /// In lower case, without a port.
    pub host: &'a str,
    /// Who asks.
    pub client: &'a Client<'a>,
    /// Identifies it.
    pub id: &'a Id,
    /// Whose time it comes at.
    pub world: &'a World,
    /// The names of the route's parameters.
    pub names: &'a [String],
    /// Where they are in the path.
    pub captures: &'a Captures,
}

impl Asked<'_> {
    /// The head for a packed handler.
    pub fn pack(&self) -> Vec<u8> {
        let head = Head {
            https: self.client.https,
            method: self.parts.method.as_str(),
            host: self.host,
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            client_ip: &self.client.text,
            id: self.id.as_str(),
            time_ms: self.world.now_ms(),
            params: &self.params().collect::<Vec<_>>(),
        };
        head.pack(&self.parts.headers)
    }

    /// The request for a connection, but for what the transport makes of it.
    pub fn connection(&self) -> connection::Request {
        connection::Request {
            connection: 0,
            transport: Transport::Stream,
            host: self.host.to_owned(),
            path: self.parts.uri.path().to_owned(),
            query: self.parts.uri.query().map(str::to_owned),
            params: self.params().map(|(n, v)| (n.to_owned(), v.into_owned())).collect(),
            headers: self.headers_with_host(),
            client_ip: self.client.text.to_string(),
            id: self.id.as_str().to_owned(),
            time_ms: self.world.now_ms(),
            protocols: Vec::new(),
            last_event: None,
        }
    }

    /// Clients of HTTP/2 name the host in the target only, and who compares it with an `origin`
    /// needs it with its port.
    fn headers_with_host(&self) -> Vec<(String, String)> {
        let mut headers = self.headers();
        if let Some(authority) = self.parts.uri.authority()
            && !self.parts.headers.contains_key(header::HOST)
        {
            headers.push(("host".to_owned(), authority.to_string()));
        }
        headers
    }

    fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.parts.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect()
    }

    /// The request for a plain handler.
    pub fn plain(&self, body: Bytes) -> plain::Request {
        plain::Request {
            method: self.parts.method.as_str().to_owned(),
            scheme: if self.client.https { "https" } else { "http" }.to_owned(),
            host: self.host.to_owned(),
            path: self.parts.uri.path().to_owned(),
            query: self.parts.uri.query().map(str::to_owned),
            params: self.params().map(|(n, v)| (n.to_owned(), v.into_owned())).collect(),
            headers: self.headers(),
            client_ip: self.client.text.to_string(),
            id: self.id.as_str().to_owned(),
            time_ms: self.world.now_ms(),
            body: body.into(),
        }
    }

    fn params(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let values = self.captures.of(self.parts.uri.path());
        // `target` saw that the whole path decodes, so its segments do.
        let values = values.map(|value| path::decode(value).unwrap_or(Cow::Borrowed(value)));
        self.names.iter().map(String::as_str).zip(values)
    }
}

/// The target in absolute form, as wasi:http wants it.
pub fn absolute(parts: &Parts, https: bool) -> Result<Uri, Refusal> {
    const BAD: Refusal = Refusal::bad_request("the host is missing or broken");
    let mut uri = parts.uri.clone().into_parts();
    if uri.authority.is_none() {
        let host = parts.headers.get(header::HOST).ok_or(BAD)?;
        let host = Bytes::copy_from_slice(host.as_bytes());
        uri.authority = Some(Authority::from_maybe_shared(host).map_err(|_| BAD)?);
    }
    uri.scheme = Some(if https { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
    Uri::from_parts(uri).map_err(|_| BAD)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parts(target: &str, version: Version, hosts: &[&str]) -> Parts {
        let mut request = http::Request::builder().uri(target).version(version);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_is_that_of_the_target_or_else_of_the_one_field() {
        let host_of = |target, hosts: &[&str]| {
            let parts = parts(target, Version::HTTP_11, hosts);
            let host = Fields::of(&parts).host(&parts);
            host.map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(host_of("/", &["Example.com:8080"]), Ok("example.com".into()));
        assert_eq!(host_of("/", &["[::1]:80"]), Ok("[::1]".into()));
        assert_eq!(host_of("/", &["a.b."]), Ok("a.b".into()));
        assert_eq!(host_of("http://in.target/x", &["other"]), Ok("in.target".into()));
        assert_eq!(host_of("http://in.target/x", &[]), Err(400));
        assert_eq!(host_of("http://in.target/x", &["in.target", "in.target"]), Err(400));
        for broken in [&["a b"][..], &["a/b"], &["a:x"], &["u@h"], &["a", "b"], &[]] {
            assert_eq!(host_of("/", broken), Err(400), "{broken:?}");
        }
        let old = parts("/", Version::HTTP_10, &[]);
        assert_eq!(Fields::of(&old).host(&old).unwrap(), "");
    }

    #[test]
    fn a_plugin_sees_no_host_beside_the_target_and_no_proxy_that_a_stranger_made_up() {
        let seen = |trusted| {
            let mut parts = parts("http://in.target/x", Version::HTTP_11, &["other"]);
            for name in ["x-forwarded-for", "x-forwarded-for", "forwarded", "x-real-ip", "accept"] {
                parts.headers.append(name, HeaderValue::from_static("1.2.3.4"));
            }
            let forwarded = Fields::of(&parts).forwarded;
            cleanse(&mut parts, forwarded, trusted);
            assert_eq!(parts.headers["host"], "in.target");
            parts.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(seen(false), ["host", "accept"]);
        assert_eq!(seen(true).len(), 5);
    }

    #[test]
    fn targets_that_no_plugin_may_see_are_refused() {
        let status = |target: &str| {
            let parts = parts(target, Version::HTTP_11, &["h"]);
            super::target(&parts).map(str::to_owned).map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(status("/a%20b"), Ok("/a%20b".into()));
        assert_eq!(status("http://h"), Ok("/".into()));
        assert_eq!(status("*"), Err(400));
        assert_eq!(status("/%zz"), Err(400));
        assert_eq!(status("/%ff"), Ok("/%ff".into()));
    }
}
