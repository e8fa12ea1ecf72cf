//! Route patterns: `[host]/path`, where `{name}` stands for one segment and a last `{*name}`
//! for the rest; `{name}.mp3` for a segment that ends so.

use std::fmt;

/// A pattern taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// The host in lower case; `None`: any. `*.example.com` stands for every name below.
    pub host: Option<String>,
    /// What lies between the slashes.
    pub segments: Vec<Segment>,
}

/// What stands between two slashes of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, as it stands in the request after percent-decoding.
    Literal(String),
    /// Any one segment, under this name.
    Parameter(String),
    /// Any one segment that has something before this end, which is under this name.
    Suffixed(String, String),
    /// All that is left, under this name; only at the end.
    Rest(String),
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no path in it.
    #[error("route `{0}` has no path; write `/{0}` or `{0}/`")]
    NoPath(String),
    /// What stands before the first slash is no host.
    #[error("route `{route}` has the host `{host}`, which is no host name")]
    Host {
        /// The pattern.
        route: String,
        /// What stands before the first slash.
        host: String,
    },
    /// A parameter that is not written as one.
    #[error("route `{route}` has the segment `{segment}`; write `{{name}}`, or last `{{*name}}`")]
    Segment {
        /// The pattern.
        route: String,
        /// The segment.
        segment: String,
    },
    /// Something follows the rest.
    #[error("route `{0}` goes on behind `{{*...}}`, which takes all that is left")]
    BehindRest(String),
    /// Two parameters with one name.
    #[error("route `{route}` has the parameter `{name}` twice")]
    Twice {
        /// The pattern.
        route: String,
        /// The name.
        name: String,
    },
}

impl Pattern {
    /// Take a pattern apart.
    pub fn parse(route: &str) -> Result<Self, Error> {
        let (host, path) = route.split_once('/').ok_or_else(|| Error::NoPath(route.into()))?;
        if !host.is_empty() && !is_host(host) {
            return Err(Error::Host { route: route.into(), host: host.into() });
        }
        let segments = path
            .split('/')
            .map(|segment| Segment::parse(route, segment))
            .collect::<Result<Vec<_>, _>>()?;
        check_order(route, &segments)?;
        let host = (!host.is_empty()).then(|| host.to_ascii_lowercase());
        Ok(Self { host, segments })
    }

    /// Equal for patterns that match the same requests: the names of parameters do not count.
    pub fn shape(&self) -> String {
        let mut shape = self.host.clone().unwrap_or_default();
        for segment in &self.segments {
            shape.push('/');
            // No literal has a brace.
            let (stem, end) = match segment {
                Segment::Literal(text) => (text.as_str(), ""),
                Segment::Parameter(_) => ("{}", ""),
                Segment::Suffixed(_, suffix) => ("{}", suffix.as_str()),
                Segment::Rest(_) => ("{*}", ""),
            };
            shape.push_str(stem);
            shape.push_str(end);
        }
        shape
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host.as_deref().unwrap_or_default())?;
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Suffixed(name, suffix) => write!(f, "/{{{name}}}{suffix}"),
            Segment::Rest(name) => write!(f, "/{{*{name}}}"),
        })
    }
}

impl Segment {
    fn parse(route: &str, segment: &str) -> Result<Self, Error> {
        let broken = || Error::Segment { route: route.into(), segment: segment.into() };
        let inside = segment.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((name, suffix)) = inside else {
            let literal = !segment.contains(['{', '}', '?', '#']) && !segment.contains(' ');
            return if literal { Ok(Self::Literal(segment.into())) } else { Err(broken()) };
        };
        let (rest, name) = match name.strip_prefix('*') {
            Some(name) => (true, name),
            None => (false, name),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        {
            return Err(broken());
        }
        match (rest, suffix) {
            (true, "") => Ok(Self::Rest(name.into())),
            (false, "") => Ok(Self::Parameter(name.into())),
            (false, suffix) if is_suffix(suffix) => Ok(Self::Suffixed(name.into(), suffix.into())),
            _ => Err(broken()),
        }
    }

    /// The name of a parameter.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Suffixed(name, _) | Self::Rest(name) => Some(name),
        }
    }
}

/// What a segment may end with: nothing that requests write in more than one way.
fn is_suffix(suffix: &str) -> bool {
    // It begins with none of those that escapes end with.
    suffix.starts_with(['.', '_', '-'])
        && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn check_order(route: &str, segments: &[Segment]) -> Result<(), Error> {
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        if matches!(segment, Segment::Rest(_)) && index < last {
            return Err(Error::BehindRest(route.into()));
        }
        let Some(name) = segment.name() else { continue };
        if segments[..index].iter().any(|earlier| earlier.name() == Some(name)) {
            return Err(Error::Twice { route: route.into(), name: name.into() });
        }
    }
    Ok(())
}

/// A host name, without a port; its first label may be `*`.
fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_shown_as_it_is_read() {
        for route in
            ["/", "/{a}.mp3", "/t/{*path}", "trk.example.com/batch", "*.example.com/a/{b}/c", "/a/"]
        {
            assert_eq!(Pattern::parse(route).unwrap().to_string(), route);
        }
        assert_eq!(Pattern::parse("WWW.Example.com/").unwrap().host.unwrap(), "www.example.com");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let why = |route: &str| Pattern::parse(route).unwrap_err().to_string();
        insta::assert_snapshot!(why("users"), @"route `users` has no path; write `/users` or `users/`");
        insta::assert_snapshot!(why("exa mple.com/"), @"route `exa mple.com/` has the host `exa mple.com`, which is no host name");
        insta::assert_snapshot!(why("/a/b{id}"), @"route `/a/b{id}` has the segment `b{id}`; write `{name}`, or last `{*name}`");
        for route in ["/a/{*id}.mp3", "/{a}{b}", "/{a}.x}", "/{a}%2F", "/{a}F"] {
            assert!(why(route).contains("has the segment"), "{route}");
        }
        insta::assert_snapshot!(why("/a/{id"), @"route `/a/{id` has the segment `{id`; write `{name}`, or last `{*name}`");
        insta::assert_snapshot!(why("/{*all}/b"), @"route `/{*all}/b` goes on behind `{*...}`, which takes all that is left");
        insta::assert_snapshot!(why("/{id}/b/{id}"), @"route `/{id}/b/{id}` has the parameter `id` twice");
    }

    #[test]
    fn names_of_parameters_and_the_case_of_hosts_do_not_tell_patterns_apart() {
        let shape = |route| Pattern::parse(route).unwrap().shape();
        for (one, other) in [("/a/{b}", "/a/{c}"), ("/{*b}", "/{*c}"), ("h/a", "H/a")] {
            assert_eq!(shape(one), shape(other));
        }
        let routes = ["/", "/a", "/a/", "/A", "/{x}", "/{x}.a", "/{*x}", "/a/{*x}", "h/a", "*.h/a"];
        let shapes: std::collections::BTreeSet<String> = routes.map(shape).into();
        assert_eq!(shapes.len(), routes.len(), "{shapes:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(route: String) {
            if let Ok(pattern) = Pattern::parse(&route) {
                assert_eq!(Pattern::parse(&pattern.to_string()).unwrap(), pattern);
            }
        }
    }
}
