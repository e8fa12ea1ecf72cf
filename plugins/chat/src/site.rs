//! The page at `/chat`: one file with its style and script, which speaks the protocol itself.

use std::cell::OnceCell;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use trellis_sdk::http::{Request, Response, Result};

use crate::access::hex;

const PAGE: &str = include_str!("page.html");

thread_local! {
    /// The policy and the tag of the page, which never change.
    static HEAD: OnceCell<(String, String)> = const { OnceCell::new() };
}

/// Answer one request.
pub fn answer(request: &Request<'_>) -> Result {
    if !matches!(request.method(), "GET" | "HEAD") {
        return Ok(Response::text("send GET").with_status(405).with_header("allow", "GET, HEAD"));
    }
    let (policy, etag) = HEAD.with(|head| head.get_or_init(head_of_page).clone());
    let seen = request.header("if-none-match").is_some_and(|tags| tags.contains(&etag));
    let response = if seen { Response::new(304) } else { Response::html(PAGE) };
    Ok(response
        .with_header("content-security-policy", policy)
        .with_header("etag", etag)
        .with_header("cache-control", "no-cache")
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff"))
}

fn head_of_page() -> (String, String) {
    let etag = format!("\"{}\"", hex(&Sha256::digest(PAGE)[..16]));
    (policy(PAGE), etag)
}

/// What the page may do: run its own script, wear its own style, talk to where it came from.
fn policy(page: &str) -> String {
    let hash = |tag: &str| STANDARD.encode(Sha256::digest(inside(page, tag)));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        hash("script"),
        hash("style"),
    )
}

/// What stands between a tag and its end.
fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let behind = page.split_once(begin.as_str()).map_or("", |(_, behind)| behind);
    behind.split_once(end.as_str()).map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_brings_everything_along_and_never_writes_markup() {
        for tag in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(!inside(PAGE, tag).is_empty());
        }
        // What is shown of others goes through `textContent`; a policy of hashes allows no
        // attribute with a style or a script.
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            " style=",
            " onclick=",
            "https://",
            "http://",
        ] {
            assert!(!PAGE.contains(way), "{way}");
        }
    }

    #[test]
    fn the_policy_allows_this_script_and_no_other() {
        let page = "<style>a</style><script>b</script>";
        // echo -n b | openssl dgst -sha256 -binary | base64
        let wanted = "script-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='";
        assert!(policy(page).contains(wanted), "{}", policy(page));
    }
}
