//! Finds the route of a request: one tree of path segments a host.
//!
//! A host's own routes win over those of `*.host`, the longer of these over the shorter, and
//! they over the routes of every host. Within a host the segments are compared from left to
//! right: a literal wins over `{name}.end`, the longer end over the shorter, and they over `{name}`,
//! which wins over `{*name}`. Whatever any route matches is
//! found: a branch that leads nowhere is left again. A search visits each node of a tree at most
//! once and allocates only where the path is percent-encoded.

use std::collections::{BTreeMap, HashMap};

use super::path;
use crate::manifest::route::{Pattern, Segment};

/// The most parameters a route may have, so that a match needs no memory of its own.
pub const MAX_PARAMS: usize = 16;

/// Routes with what they lead to.
pub struct Router<T> {
    exact: HashMap<String, Node<T>>,
    under: HashMap<String, Node<T>>,
    any: Node<T>,
}

struct Node<T> {
    // Few as a rule, and found without hashing what a stranger sent.
    literals: BTreeMap<String, Self>,
    /// By their ends, the longest first.
    suffixed: Vec<(String, Self)>,
    param: Option<Box<Self>>,
    rest: Option<T>,
    end: Option<T>,
}

/// Where the parameters of a match lie in the path, in the order of the route.
#[derive(Clone, Copy, Debug, Default)]
pub struct Captures {
    spans: [(u32, u32); MAX_PARAMS],
    count: usize,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: BTreeMap::new(), suffixed: Vec::new(), param: None, rest: None, end: None }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), under: HashMap::new(), any: Node::default() }
    }
}

// === impl Router ===

impl<T> Router<T> {
    /// Add a route of at most [`MAX_PARAMS`] parameters. Where the same one exists, it stays,
    /// and what it leads to is the error.
    pub fn insert(&mut self, pattern: &Pattern, target: T) -> Result<(), &T> {
        let mut node = match &pattern.host {
            None => &mut self.any,
            Some(host) => match host.strip_prefix("*.") {
                Some(host) => self.under.entry(host.to_owned()).or_default(),
                None => self.exact.entry(host.clone()).or_default(),
            },
        };
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.param.get_or_insert_default(),
                Segment::Suffixed(_, suffix) => node.suffixed(suffix),
                Segment::Rest(_) => return put(&mut node.rest, target),
            };
        }
        put(&mut node.end, target)
    }

    /// The best route for a host in lower case without its port, and a path that starts with
    /// `/` and whose percent-encoding is whole.
    pub fn find(&self, host: &str, path: &str) -> Option<(&T, Captures)> {
        let search = Search { path, encoded: path.contains('%') };
        let mut captures = Captures::default();
        let own = self.exact.get(host).into_iter();
        let above = (!self.under.is_empty()).then(|| parents(host)).into_iter().flatten();
        let above = above.filter_map(|parent| self.under.get(parent));
        for tree in own.chain(above).chain([&self.any]) {
            if let Some(target) = search.walk(tree, 1, &mut captures) {
                return Some((target, captures));
            }
        }
        None
    }
}

impl<T> Node<T> {
    /// The node of segments with this end.
    fn suffixed(&mut self, suffix: &str) -> &mut Self {
        let key = |suffix: &str| (std::cmp::Reverse(suffix.len()), suffix.to_owned());
        let search = self.suffixed.binary_search_by_key(&key(suffix), |(known, _)| key(known));
        let at = search.unwrap_or_else(|at| {
            self.suffixed.insert(at, (suffix.to_owned(), Self::default()));
            at
        });
        &mut self.suffixed[at].1
    }
}

fn put<T>(place: &mut Option<T>, target: T) -> Result<(), &T> {
    if place.is_some() {
        return place.as_ref().map_or(Ok(()), Err);
    }
    *place = Some(target);
    Ok(())
}

/// `b.c` and `c` for `a.b.c`.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(dot, _)| &host[dot + 1..])
}

struct Search<'p> {
    path: &'p str,
    encoded: bool,
}

impl Search<'_> {
    /// Match what is left of the path from `at`, which lies behind a slash, or behind the end
    /// when no segment is left.
    fn walk<'t, T>(&self, node: &'t Node<T>, at: usize, captures: &mut Captures) -> Option<&'t T> {
        if at > self.path.len() {
            return node.end.as_ref();
        }
        let left = &self.path[at..];
        let segment = left.find('/').map_or(left, |slash| &left[..slash]);
        let next = at + segment.len() + 1;
        if let Some(child) = self.literal(node, segment)
            && let Some(target) = self.walk(child, next, captures)
        {
            return Some(target);
        }
        for (suffix, child) in &node.suffixed {
            if segment.len() > suffix.len() && segment.ends_with(suffix.as_str()) {
                captures.push(at, next - 1 - suffix.len());
                if let Some(target) = self.walk(child, next, captures) {
                    return Some(target);
                }
                captures.count -= 1;
            }
        }
        if let Some(child) = &node.param
            && !segment.is_empty()
        {
            captures.push(at, next - 1);
            if let Some(target) = self.walk(child, next, captures) {
                return Some(target);
            }
            captures.count -= 1;
        }
        let target = node.rest.as_ref()?;
        captures.push(at, self.path.len());
        Some(target)
    }

    fn literal<'t, T>(&self, node: &'t Node<T>, segment: &str) -> Option<&'t Node<T>> {
        if node.literals.is_empty() {
            return None;
        }
        if self.encoded {
            return node.literals.get(&*path::decode(segment)?);
        }
        node.literals.get(segment)
    }
}

impl Captures {
    /// The parts of the path that the parameters matched, still encoded.
    pub fn of<'p>(&self, path: &'p str) -> impl Iterator<Item = &'p str> {
        self.spans.into_iter().take(self.count).map(|(from, to)| &path[from as usize..to as usize])
    }

    fn push(&mut self, from: usize, to: usize) {
        self.spans[self.count] = (from as u32, to as u32);
        self.count += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn router(routes: &[&'static str]) -> Router<&'static str> {
        let mut router = Router::default();
        for route in routes {
            router.insert(&Pattern::parse(route).unwrap(), *route).unwrap();
        }
        router
    }

    fn found(router: &Router<&'static str>, host: &str, path: &str) -> String {
        match router.find(host, path) {
            Some((route, captures)) => {
                let values: Vec<&str> = captures.of(path).collect();
                format!("{route} {}", values.join("|")).trim_end().to_owned()
            }
            None => "none".to_owned(),
        }
    }

    #[test]
    fn a_literal_wins_over_a_parameter_and_that_over_the_rest() {
        let router = router(&["/a/b", "/a/{x}", "/a/{*x}", "/{x}/b/c", "/", "/t/{*path}"]);
        assert_eq!(found(&router, "", "/a/b"), "/a/b");
        assert_eq!(found(&router, "", "/a/c"), "/a/{x} c");
        assert_eq!(found(&router, "", "/a/c/d"), "/a/{*x} c/d");
        assert_eq!(found(&router, "", "/a/b/c"), "/a/{*x} b/c");
        assert_eq!(found(&router, "", "/z/b/c"), "/{x}/b/c z");
        assert_eq!(found(&router, "", "/"), "/");
        assert_eq!(found(&router, "", "/t/"), "/t/{*path}");
        assert_eq!(found(&router, "", "/t"), "none");
    }

    #[test]
    fn an_end_wins_over_any_segment_and_needs_something_before_it() {
        let router = router(&["/{x}", "/{x}.mp3", "/{x}.gz", "/{x}.tar.gz", "/a.mp3"]);
        assert_eq!(found(&router, "", "/a.mp3"), "/a.mp3");
        assert_eq!(found(&router, "", "/b.mp3"), "/{x}.mp3 b");
        assert_eq!(found(&router, "", "/b.tar.gz"), "/{x}.tar.gz b");
        assert_eq!(found(&router, "", "/b.gz"), "/{x}.gz b");
        assert_eq!(found(&router, "", "/.mp3"), "/{x} .mp3");
        assert_eq!(found(&router, "", "/b%20c.mp3"), "/{x}.mp3 b%20c");
    }

    #[test]
    fn a_branch_that_leads_nowhere_is_left_again_with_its_captures() {
        let router = router(&["/{a}/{b}/x", "/{a}/{*rest}"]);
        assert_eq!(found(&router, "", "/1/2/x"), "/{a}/{b}/x 1|2");
        assert_eq!(found(&router, "", "/1/2/y"), "/{a}/{*rest} 1|2/y");
    }

    #[test]
    fn a_host_of_its_own_wins_over_a_wildcard_and_that_over_every_host() {
        let router = router(&["/{*p}", "a.b.c/x", "*.b.c/{*p}", "*.c/x", "c/x"]);
        assert_eq!(found(&router, "a.b.c", "/x"), "a.b.c/x");
        assert_eq!(found(&router, "a.b.c", "/y"), "*.b.c/{*p} y");
        assert_eq!(found(&router, "z.y.b.c", "/x"), "*.b.c/{*p} x");
        assert_eq!(found(&router, "b.c", "/x"), "*.c/x");
        assert_eq!(found(&router, "c", "/x"), "c/x");
        assert_eq!(found(&router, "d", "/x"), "/{*p} x");
        assert_eq!(found(&router, "", "/x"), "/{*p} x");
    }

    #[test]
    fn an_encoded_path_matches_decoded_and_an_encoded_slash_parts_nothing() {
        let router = router(&["/café/{x}", "/{x}"]);
        assert_eq!(found(&router, "", "/caf%C3%A9/a%2Fb"), "/café/{x} a%2Fb");
        assert_eq!(found(&router, "", "/a%2Fb"), "/{x} a%2Fb");
    }

    #[test]
    fn the_same_route_twice_is_a_conflict() {
        let mut router = router(&["/a/{x}"]);
        let again = Pattern::parse("/a/{y}").unwrap();
        assert_eq!(router.insert(&again, "second"), Err(&"/a/{x}"));
        assert_eq!(found(&router, "", "/a/1"), "/a/{x} 1");
    }

    /// The rules of the module, one by one: every pattern is tried, the best one wins.
    fn naive<'t>(
        patterns: &'t [Pattern],
        host: &str,
        path: &str,
    ) -> Option<(&'t Pattern, Vec<String>)> {
        let segments: Vec<&str> = path[1..].split('/').collect();
        let fits = patterns.iter().filter_map(|pattern| {
            let nearness = match &pattern.host {
                None => 2000,
                Some(name) => match name.strip_prefix('*') {
                    Some(end) => host.ends_with(end).then_some(1000 - end.len())?,
                    None => (name == host).then_some(0)?,
                },
            };
            let mut values = Vec::new();
            let mut ranks = Vec::new();
            for (at, segment) in pattern.segments.iter().enumerate() {
                match segment {
                    Segment::Literal(text) => {
                        (segments.get(at) == Some(&text.as_str())).then_some(())?;
                        ranks.push(0);
                    }
                    Segment::Parameter(_) => {
                        let value = segments.get(at).filter(|value| !value.is_empty())?;
                        values.push((*value).to_owned());
                        ranks.push(1000);
                    }
                    Segment::Suffixed(_, suffix) => {
                        let value = segments.get(at)?.strip_suffix(suffix.as_str())?;
                        values.push(Some(value).filter(|value| !value.is_empty())?.to_owned());
                        ranks.push(999 - suffix.len());
                    }
                    Segment::Rest(_) => {
                        values.push(segments.get(at..).filter(|rest| !rest.is_empty())?.join("/"));
                        ranks.push(2000);
                    }
                }
            }
            let whole = ranks.last() == Some(&2000) || segments.len() == pattern.segments.len();
            whole.then_some(((nearness, ranks), pattern, values))
        });
        fits.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, pattern, values)| (pattern, values))
    }

    prop_compose! {
        fn route()(
            host in prop::sample::select(vec!["", "", "a", "a.b", "*.b", "*.a.b"]),
            segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "{}", "{}.b", "{}.a.b"]), 1..5),
            rest in any::<bool>(),
        ) -> String {
            let mut path = host.to_owned();
            for (at, segment) in segments.iter().enumerate() {
                path.push('/');
                path.push_str(&segment.replace("{}", &format!("{{p{at}}}")));
            }
            if rest { path + "/{*rest}" } else { path }
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_naive_matcher_finds(
            routes in prop::collection::vec(route(), 0..12),
            host in prop::sample::select(vec!["", "a", "a.b", "x.a.b", "x.b", "b"]),
            path in prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "c.b", "c.a.b", ".b", ""]), 1..6),
        ) {
            let path = format!("/{}", path.join("/"));
            let mut router = Router::default();
            let mut patterns: Vec<Pattern> = Vec::new();
            for route in routes {
                let pattern = Pattern::parse(&route).unwrap();
                let known = patterns.iter().any(|other| other.shape() == pattern.shape());
                prop_assert_eq!(router.insert(&pattern, pattern.clone()).is_err(), known);
                if !known {
                    patterns.push(pattern);
                }
            }
            let found = router.find(host, &path).map(|(pattern, captures)| {
                (pattern, captures.of(&path).map(str::to_owned).collect::<Vec<_>>())
            });
            prop_assert_eq!(found, naive(&patterns, host, &path));
        }
    }
}
