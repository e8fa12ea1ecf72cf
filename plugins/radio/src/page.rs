//! The player: one HTML with nothing from elsewhere, and a policy that lets a browser run and load
//! nothing but what is in it, and the radio's sound.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use trellis_sdk::http::Response;

const HTML: &str = include_str!("../page/radio.html");
const STYLE: &str = include_str!("../page/radio.css");
const SCRIPT: &str = include_str!("../page/radio.js");

/// The page and its policy.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let html = HTML.replacen("/*style*/", STYLE, 1).replacen("/*script*/", SCRIPT, 1);
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; media-src 'self'; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE),
    );
    (html, policy)
});

/// How a policy names what stands between a pair of tags.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// The page.
pub fn radio() -> Response {
    let (html, policy) = &*PAGE;
    Response::html(html.as_str())
        .with_header("content-security-policy", policy)
        .with_header("cache-control", "no-cache")
        .with_header("referrer-policy", "same-origin")
        .with_header("x-content-type-options", "nosniff")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_policy_names_the_style_and_the_script_as_they_are_sent() {
        let (html, policy) = &*PAGE;
        let between = |open, close| html.split_once(open).unwrap().1.split_once(close).unwrap().0;
        assert!(policy.contains(&hash(between("<style>", "</style>"))));
        assert!(policy.contains(&hash(between("<script>", "</script>"))));
        assert!(!policy.contains("unsafe"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        let html = PAGE.0.replacen("http://www.w3.org/2000/svg", "", 1);
        for word in ["http://", "https://", "innerHTML", "insertAdjacent", " style=", "onclick="] {
            assert!(!html.contains(word), "{word}");
        }
    }
}
