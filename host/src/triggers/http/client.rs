//! Who asks: the address of the socket, or what a trusted proxy reports.

use std::{borrow::Cow, net::IpAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of a connection, looked at once.
#[derive(Debug)]
pub struct Peer {
    ip: IpAddr,
    text: String,
    /// Whether its `x-forwarded-*` and `x-request-id` fields are believed.
    pub trusted: bool,
}

/// Who sent a request.
#[derive(Debug)]
pub struct Client<'a> {
    /// The address.
    pub ip: IpAddr,
    /// The address as text.
    pub text: Cow<'a, str>,
    /// Whether it used TLS, as far as the host can know.
    pub https: bool,
}

impl Peer {
    /// The end with this address.
    pub fn new(ip: IpAddr, proxies: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        Self { ip, text: ip.to_string(), trusted: is_trusted(proxies, ip) }
    }

    /// Who sent a request with these fields over this connection. `forwarded` tells whether any
    /// of them is an `x-forwarded-*`.
    pub fn client(&self, headers: &HeaderMap, forwarded: bool, proxies: &[IpNet]) -> Client<'_> {
        let mut client = Client { ip: self.ip, text: Cow::Borrowed(&self.text), https: false };
        if !self.trusted || !forwarded {
            return client;
        }
        client.https = is_https(headers);
        if let Some(ip) = forwarded_for(headers, proxies) {
            client.ip = ip;
            client.text = Cow::Owned(ip.to_string());
        }
        client
    }
}

fn is_trusted(proxies: &[IpNet], ip: IpAddr) -> bool {
    proxies.iter().any(|net| net.contains(&ip))
}

/// The nearest address that is no proxy of ours. Each proxy appends whom it heard, so the list is
/// read from its end, and what lies before the first stranger may be made up.
fn forwarded_for(headers: &HeaderMap, proxies: &[IpNet]) -> Option<IpAddr> {
    let values = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let entries = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let mut nearest = None;
    for entry in entries {
        let Some(ip) = address(entry.trim()) else { break };
        nearest = Some(ip);
        if !is_trusted(proxies, ip) {
            break;
        }
    }
    nearest
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare
        .parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()));
    ip.map(|ip: IpAddr| ip.to_canonical())
}

/// What the nearest proxy says: it stands at the end of the list.
fn is_https(headers: &HeaderMap) -> bool {
    let value = headers.get_all(FORWARDED_PROTO).into_iter().next_back();
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let last = value.rsplit(',').next().unwrap_or_default();
    last.trim().eq_ignore_ascii_case("https")
}

/// The id of a request: sixteen random hexadecimal digits, or what a trusted proxy sent.
#[derive(Clone, Debug)]
pub struct Id(String);

/// The header field that carries it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over.
const MAX_ID: usize = 64;

impl Id {
    /// The id for a request from this end that sent `given` as [`REQUEST_ID`].
    pub fn of(peer: &Peer, given: Option<&HeaderValue>) -> Self {
        let given = given.filter(|_| peer.trusted).and_then(|given| given.to_str().ok());
        match given {
            Some(id) if is_sane(id) => Self(id.to_owned()),
            _ => Self::made_up(),
        }
    }

    /// An id for what came without one.
    pub fn made_up() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let random = fastrand::u64(..);
        let digit = |at: usize| DIGITS[(random >> (at * 4)) as usize & 15];
        let digits: [u8; 16] = std::array::from_fn(digit);
        Self(String::from_utf8_lossy(&digits).into_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As the value of [`REQUEST_ID`].
    pub fn into_value(self) -> HeaderValue {
        // Every id is sane.
        HeaderValue::try_from(self.0).unwrap_or(HeaderValue::from_static("0"))
    }
}

fn is_sane(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(allowed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
    }

    fn client(peer: &str, fields: &[(HeaderName, &'static str)]) -> (String, bool) {
        let proxies = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let peer = Peer::new(peer.parse().unwrap(), &proxies);
        let headers = headers(fields);
        let client = peer.client(&headers, true, &proxies);
        (client.text.into_owned(), client.https)
    }

    #[test]
    fn a_stranger_cannot_pretend_to_be_somebody_else() {
        let fields = [(FORWARDED_FOR, "1.2.3.4"), (FORWARDED_PROTO, "https")];
        assert_eq!(client("9.9.9.9", &fields), ("9.9.9.9".into(), false));
    }

    #[test]
    fn the_nearest_stranger_behind_trusted_proxies_is_the_client() {
        let ip = |list: &'static str| client("127.0.0.1", &[(FORWARDED_FOR, list)]).0;
        assert_eq!(ip("1.2.3.4"), "1.2.3.4");
        assert_eq!(ip("6.6.6.6, 1.2.3.4, 10.1.1.1"), "1.2.3.4");
        assert_eq!(ip("10.2.2.2, 10.1.1.1"), "10.2.2.2");
        assert_eq!(ip("1.2.3.4:5678"), "1.2.3.4");
        assert_eq!(ip("[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(ip("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(ip("1.2.3.4, unknown"), "127.0.0.1");
        assert_eq!(ip(""), "127.0.0.1");
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [(FORWARDED_FOR, "6.6.6.6"), (FORWARDED_FOR, "1.2.3.4")];
        assert_eq!(client("::ffff:127.0.0.1", &fields).0, "1.2.3.4");
    }

    #[test]
    fn the_scheme_is_what_the_nearest_proxy_says() {
        assert!(client("127.0.0.1", &[(FORWARDED_PROTO, "HTTPS")]).1);
        assert!(!client("127.0.0.1", &[(FORWARDED_PROTO, "https, http")]).1);
    }

    #[test]
    fn an_id_is_taken_over_from_a_trusted_proxy_alone() {
        let trusted = Peer::new([127, 0, 0, 1].into(), &["127.0.0.0/8".parse().unwrap()]);
        let stranger = Peer::new([9, 9, 9, 9].into(), &[]);
        let id = |peer, given| {
            let given = HeaderValue::from_static(given);
            Id::of(peer, Some(&given)).as_str().to_owned()
        };
        assert_eq!(id(&trusted, "abc-1"), "abc-1");
        assert_eq!(id(&stranger, "abc-1").len(), 16);
        assert_eq!(id(&trusted, "a b").len(), 16);
        assert_ne!(id(&stranger, "abc-1"), id(&stranger, "abc-1"));
    }
}
