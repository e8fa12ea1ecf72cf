//! The allow-list: which hosts and ports a plugin may call.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// One entry of `hosts`: `api.example.com`, `*.example.org:8443`, `[2001:db8::1]`, `*:*`.
///
/// Without a port it stands for the usual port of the scheme, with `:*` for every port. A
/// leading `*.` stands for any number of labels, but at least one; a lone `*` for every host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    host: Host,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// Everything that ends in this suffix, which starts with a dot.
    Under(String),
    Exact(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    Usual,
    Exact(u16),
}

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    usual: bool,
    /// The address, when the host is one as it stands.
    pub literal: Option<IpAddr>,
}

impl Target {
    /// The host and port of an absolute address; `None` when it has no host, or a user name,
    /// which some parsers take for the host.
    pub fn of(uri: &http::Uri) -> Option<Self> {
        let authority = uri.authority()?;
        let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => usual,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        let (host, literal) = normal(authority.host())?;
        Some(Self { host, port, usual: port == usual, literal })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.usual {
            true => f.write_str(&self.host),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Pattern {
    /// Whether a target is on the list.
    pub fn allows(&self, target: &Target) -> bool {
        let port = match self.port {
            Port::Any => true,
            Port::Usual => target.usual,
            Port::Exact(port) => target.port == port,
        };
        port && self.host.covers_name(&target.host)
    }

    /// Whether all that `other` allows is allowed by this pattern.
    pub fn covers(&self, other: &Self) -> bool {
        let port = self.port == Port::Any || self.port == other.port;
        port && match &other.host {
            Host::Any => self.host == Host::Any,
            Host::Exact(name) => self.host.covers_name(name),
            Host::Under(suffix) => match &self.host {
                Host::Any => true,
                Host::Under(mine) => suffix.ends_with(mine.as_str()),
                Host::Exact(_) => false,
            },
        }
    }
}

impl Host {
    fn covers_name(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == name,
            Self::Under(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
        }
    }
}

/// The one spelling of a host: lower case, without the dot of the root, addresses in their
/// shortest form; with the address if it is one.
fn normal(host: &str) -> Option<(String, Option<IpAddr>)> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.starts_with('.') || host.ends_with('.') || host.contains("..") {
        return None;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        let shown = match address {
            IpAddr::V4(_) => address.to_string(),
            IpAddr::V6(_) => format!("[{address}]"),
        };
        return Some((shown, Some(address)));
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = !host.is_empty() && host.len() <= 253 && host.chars().all(letters);
    named.then(|| (host.to_ascii_lowercase(), None))
}

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no host to allow: write `api.example.com`, `*.example.org:8443` or `[::1]:80`")]
pub struct Invalid(String);

impl FromStr for Pattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid(text.to_owned());
        let (host, port) = match text.rsplit_once(':') {
            // A colon inside brackets belongs to the address.
            Some((_, rest)) if rest.ends_with(']') => (text, Port::Usual),
            Some((host, "*")) => (host, Port::Any),
            Some((host, port)) => (host, Port::Exact(port.parse().map_err(|_| invalid())?)),
            None => (text, Port::Usual),
        };
        let named = |host| normal(host).map(|(host, _)| host).ok_or_else(invalid);
        let host = match host.strip_prefix('*') {
            Some("") => Host::Any,
            Some(suffix) => match suffix.strip_prefix('.') {
                Some(domain) => Host::Under(format!(".{}", named(domain)?)),
                None => return Err(invalid()),
            },
            None => Host::Exact(named(host)?),
        };
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for Pattern {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => f.write_str("*"),
            Host::Under(suffix) => write!(f, "*{suffix}"),
            Host::Exact(name) => f.write_str(name),
        }?;
        match self.port {
            Port::Any => f.write_str(":*"),
            Port::Usual => Ok(()),
            Port::Exact(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn allows(pattern: &str, uri: &str) -> bool {
        let target = Target::of(&uri.parse().unwrap()).unwrap();
        pattern.parse::<Pattern>().unwrap().allows(&target)
    }

    #[test]
    fn a_pattern_allows_its_hosts_and_ports() {
        assert!(allows("api.example.com", "https://api.example.com/x"));
        assert!(allows("API.example.com.", "http://Api.Example.Com./x"));
        assert!(allows("*.example.org:8443", "https://a.b.example.org:8443/"));
        assert!(allows("example.org", "https://example.org:443/"));
        assert!(allows("*:*", "http://10.0.0.1:81/"));
        assert!(allows("[::1]:80", "http://[0:0::1]/"));
        assert!(allows("[::1]", "https://[::1]/"));
    }

    #[test]
    fn a_pattern_allows_nothing_else() {
        assert!(!allows("api.example.com", "https://api.example.com:8443/"));
        assert!(!allows("api.example.com", "https://api.example.com:80/"));
        assert!(!allows("api.example.com", "https://evil-api.example.com/"));
        assert!(!allows("api.example.com", "https://api.example.com.evil.net/"));
        assert!(!allows("*.example.org:8443", "https://example.org:8443/"));
        assert!(!allows("*.example.org:8443", "https://evilexample.org:8443/"));
        assert!(!allows("*", "https://example.org:22/"));
    }

    #[test]
    fn a_target_with_a_user_or_without_a_host_is_none() {
        for uri in ["https://api.example.com@evil.net/", "/path", "https://a:99999/"] {
            let uri = uri.parse::<http::Uri>();
            assert_eq!(uri.ok().as_ref().and_then(Target::of), None);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "https://a.b", "a b", "*a.b", "a.b/c", "a:http", "*.", "u@a", "a:70000"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_narrower_ones() {
        let covers = |wide: &str, narrow: &str| {
            wide.parse::<Pattern>().unwrap().covers(&narrow.parse().unwrap())
        };
        assert!(covers("*.example.org", "*.api.example.org"));
        assert!(covers("*.example.org:*", "a.example.org:81"));
        assert!(covers("*", "*"));
        assert!(!covers("*.example.org", "*.example.org:*"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("*.example.org", "*"));
        assert!(!covers("a.example.org", "*.a.example.org"));
    }

    #[test]
    fn a_name_with_an_empty_part_is_no_host() {
        for text in ["..", ".", "a..b", ".a", "*.a..", "a.."] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_is_shown_as_it_is_read(text in "\\PC*|(\\*\\.)?[a-zA-Z0-9.:\\[\\]-]{1,20}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                proptest::prop_assert_eq!(pattern.to_string().parse::<Pattern>().unwrap(), pattern);
            }
        }
    }
}
