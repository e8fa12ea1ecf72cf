//! The handshake (RFC 6455, section 4.2) and the negotiation of compressed messages (RFC 7692,
//! section 7.1).
//!
//! Reads the request only. Who calls judges `host` and `origin`, picks a protocol, and answers 101
//! with what is here.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

#[cfg(test)]
mod tests;

/// What every key is hashed with (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// The parameters of compression (RFC 7692, section 7.1).
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The answer to an offer of compression.
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The answer to one that limits the server's window to what it is.
const ANSWER_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
                                  client_no_context_takeover; server_max_window_bits=15";

/// A request that may be answered with 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The value of `sec-websocket-accept` in the answer.
    pub accept_key: HeaderValue,
    /// The protocols that the client offers, the one it likes best first. The answer names one of
    /// them in `sec-websocket-protocol` or has no such field.
    pub protocols: Vec<String>,
    /// Compressed messages, if the client offers them in a way the server can take.
    pub deflate: Option<Negotiated>,
}

/// Compressed messages, as they were negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The value of `sec-websocket-extensions` in the answer.
    pub answer: HeaderValue,
}

/// Why a request is not answered with 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another method.
    #[error("a websocket is opened with GET; send that method")]
    Method,
    /// HTTP/1.0 and HTTP/2 have no upgrades to websocket.
    #[error("a websocket is opened over HTTP/1.1; send the request with that version")]
    Http,
    /// No `upgrade`.
    #[error("this path is a websocket; send `upgrade: websocket`")]
    Upgrade,
    /// No `connection`.
    #[error("the upgrade is not asked of this server; send `connection: upgrade`")]
    Connection,
    /// Another version of the protocol.
    #[error("this version of websocket is not spoken here; send `sec-websocket-version: 13`")]
    WebsocketVersion,
    /// No key, several or a broken one.
    #[error("send one `sec-websocket-key` of 16 bytes in base64")]
    Key,
    /// Broken protocols.
    #[error("`sec-websocket-protocol` is broken; send different names, separated by commas")]
    Protocols,
    /// Broken extensions.
    #[error("`sec-websocket-extensions` is broken; send `name; parameter=value`")]
    Extensions,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade | Self::WebsocketVersion => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Add the fields that an answer with this status needs.
    pub fn put_fields(self, headers: &mut HeaderMap) {
        let mut put = |name: HeaderName, value| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        match self {
            Self::Method => put(header::ALLOW, "GET"),
            Self::Upgrade | Self::WebsocketVersion => {
                put(header::UPGRADE, "websocket");
                put(header::CONNECTION, "upgrade");
                put(header::SEC_WEBSOCKET_VERSION, "13");
            }
            _ => {}
        }
    }
}

/// Whether a request asks for websocket; [`accept`] says whether it does so rightly.
pub fn wanted(headers: &HeaderMap) -> bool {
    has(headers, header::UPGRADE, "websocket")
}

/// Read the handshake of a request with this method, version and fields.
///
/// # Errors
///
/// The first thing that is wrong with it. Extensions that are not known and offers that cannot be
/// taken are no errors: the answer just leaves them out.
pub fn accept(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Result<Handshake, Refusal> {
    if version != Version::HTTP_11 {
        return Err(Refusal::Http);
    }
    if method != Method::GET {
        return Err(Refusal::Method);
    }
    if !wanted(headers) {
        return Err(Refusal::Upgrade);
    }
    if !has(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::Connection);
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::WebsocketVersion);
    }
    Ok(Handshake {
        accept_key: accept_key(headers)?,
        protocols: protocols(headers)?,
        deflate: deflate(headers)?,
    })
}

/// The proof that the key was read (RFC 6455, section 4.2.2, item 5.4).
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let key = only(headers, header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    if BASE64_STANDARD.decode(key).ok().is_none_or(|bytes| bytes.len() != 16) {
        return Err(Refusal::Key);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(GUID.as_bytes());
    let digest = digest.finish();
    HeaderValue::try_from(BASE64_STANDARD.encode(digest.as_ref())).map_err(|_| Refusal::Key)
}

/// All protocols in their order; they have to be tokens, and different (section 4.1, item 10).
fn protocols(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let (mut protocols, mut seen) = (Vec::new(), HashSet::new());
    for name in list(headers, header::SEC_WEBSOCKET_PROTOCOL) {
        let name = name.filter(|name| is_token(name)).ok_or(Refusal::Protocols)?;
        if !seen.insert(name) {
            return Err(Refusal::Protocols);
        }
        protocols.push(name.to_owned());
    }
    Ok(protocols)
}

/// The answer to the first offer of compression that can be taken. A field that is against the
/// grammar ends the handshake (RFC 6455, section 9.1).
fn deflate(headers: &HeaderMap) -> Result<Option<Negotiated>, Refusal> {
    let mut taken = None;
    for offer in list(headers, header::SEC_WEBSOCKET_EXTENSIONS) {
        let offer = offer.and_then(Offer::parse).ok_or(Refusal::Extensions)?;
        taken = taken.or_else(|| offer.take());
    }
    Ok(taken)
}

/// An extension that the client offers.
struct Offer<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Offer<'a> {
    /// `name; parameter; parameter=value; parameter="value"`
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim_ascii);
        let name = parts.next().filter(|name| is_token(name))?;
        let parameters = parts.map(parameter).collect::<Option<_>>()?;
        Some(Self { name, parameters })
    }

    /// The answer, if it is an offer of compression that the server can keep. Both sides begin
    /// each message anew, whatever the client offered.
    fn take(&self) -> Option<Negotiated> {
        let is_deflate = self.name.eq_ignore_ascii_case("permessage-deflate");
        if !is_deflate || self.has_twice() || !self.parameters.iter().all(can_be_kept) {
            return None;
        }
        // A limit that is offered has to be in the answer (RFC 7692, section 7.1.2.1).
        let confirms = self
            .parameters
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(SERVER_MAX_WINDOW_BITS));
        let answer = if confirms { ANSWER_WITH_WINDOW } else { ANSWER };
        Some(Negotiated { answer: HeaderValue::from_static(answer) })
    }

    /// Whether a parameter is there more than once.
    fn has_twice(&self) -> bool {
        let mut seen = HashSet::new();
        self.parameters.iter().any(|(name, _)| !seen.insert(name.to_ascii_lowercase()))
    }
}

/// Whether the server can do what a parameter of compression asks (RFC 7692, section 7.1).
fn can_be_kept((name, value): &(&str, Option<&str>)) -> bool {
    match (name.to_ascii_lowercase().as_str(), value) {
        (SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER, None) => true,
        // The inflater takes any window, and asks for no smaller one.
        (CLIENT_MAX_WINDOW_BITS, value) => value.is_none_or(|bits| window_bits(bits).is_some()),
        // A frame is compressed once for all its listeners, so all have the same window: the
        // largest.
        (SERVER_MAX_WINDOW_BITS, Some(bits)) => window_bits(bits) == Some(15),
        _ => false,
    }
}

/// `name`, `name=value` or `name="value"`. A value in quotes has to be a token, too (RFC 6455,
/// section 9.1); a backslash in it is kept, since no value that is known has one.
fn parameter(text: &str) -> Option<(&str, Option<&str>)> {
    let Some((name, value)) = text.split_once('=') else {
        return is_token(text).then_some((text, None));
    };
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_value = match quoted {
        Some(value) => is_token(&value.replace('\\', "")),
        None => is_token(value),
    };
    (is_token(name) && is_value).then_some((name, Some(quoted.unwrap_or(value))))
}

/// A number from 8 to 15 as RFC 7692 writes it, without leading zeros (section 7.1.2).
fn window_bits(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|bits| is_plain && (8..=15).contains(bits))
}

/// Whether a list has a word, in any case.
fn has(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    list(headers, name).flatten().any(|element| element.eq_ignore_ascii_case(word))
}

/// The elements of a list over all lines of the field, without empty ones (RFC 9110, section
/// 5.6.1); `None` for one that is not UTF-8.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Option<&str>> {
    let lines = headers.get_all(name).into_iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let elements = elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty());
    elements.map(|element| str::from_utf8(element).ok())
}

/// The value of a field that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim_ascii),
        _ => None,
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_token)
}
