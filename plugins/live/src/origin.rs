//! Whether a browser may do what a page of some origin made it do.
//!
//! A browser sends its cookies along with the websockets of any page, and reads what comes. So what
//! names an origin must name that of this view; what names none is no page of a browser's.

/// Whether a request with this `origin` may go on. `host` is the field of that name, with its port,
/// and `allowed` are further origins.
pub fn may(origin: Option<&str>, host: &str, allowed: &[String]) -> bool {
    let Some(origin) = origin else { return true };
    let same = |(scheme, asked): (&str, &str)| match scheme {
        "https" => alike(asked, host, ":443"),
        "http" => alike(asked, host, ":80"),
        _ => false,
    };
    origin.split_once("://").is_some_and(same)
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

/// Whether two hosts are the same, with or without the port that goes without saying.
fn alike(one: &str, other: &str, usual: &str) -> bool {
    let bare = |host: &str| host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
    !one.is_empty() && bare(one) == bare(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_origin_of_the_page_may_and_those_that_are_named() {
        let allowed = ["https://elsewhere.example".to_owned()];
        for (origin, host, wanted) in [
            (None, "a.example", true),
            (Some("https://a.example"), "a.example", true),
            (Some("https://A.example"), "a.EXAMPLE:443", true),
            (Some("http://a.example:80"), "a.example", true),
            (Some("http://localhost:8080"), "localhost:8080", true),
            (Some("http://[::1]:8080"), "[::1]:8080", true),
            (Some("https://elsewhere.example"), "a.example", true),
            // Another program on the same machine is another origin, but gets the same cookies.
            (Some("http://localhost:3000"), "localhost:8080", false),
            (Some("https://a.example:8443"), "a.example", false),
            (Some("https://evil.example"), "a.example", false),
            (Some("https://a.example.evil.example"), "a.example", false),
            (Some("https://evil.example://a.example"), "a.example", false),
            (Some("null"), "a.example", false),
            (Some("file://"), "", false),
            (Some(""), "", false),
            (Some("https://"), "", false),
        ] {
            assert_eq!(may(origin, host, &allowed), wanted, "{origin:?} {host}");
        }
    }
}
