//! The page and the form to log in: one HTML each, with nothing from elsewhere, and a policy that
//! lets a browser run and load nothing but what is in it.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use trellis_sdk::http::Response;

const LIVE: &str = include_str!("../page/live.html");
const LOGIN: &str = include_str!("../page/login.html");
const STYLE: &str = include_str!("../page/live.css");
const SCRIPTS: [&str; 3] = [
    include_str!("../page/store.js"),
    include_str!("../page/wire.js"),
    include_str!("../page/live.js"),
];

/// A page and its policy.
struct Page {
    html: String,
    policy: String,
}

impl Page {
    fn new(html: &str) -> Self {
        let script = format!("'use strict'\n{}", SCRIPTS.concat());
        let html = html.replacen("/*style*/", STYLE, 1).replacen("/*script*/", &script, 1);
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash(&script),
            hash(STYLE),
        );
        Self { html, policy }
    }

    fn answer(&self, fill: &[(&str, &str)]) -> Response {
        let mut html = self.html.clone();
        for (place, text) in fill {
            html = html.replacen(place, text, 1);
        }
        Response::html(html)
            .with_header("content-security-policy", &self.policy)
            .with_header("cache-control", "no-store")
            .with_header("referrer-policy", "same-origin")
            .with_header("x-content-type-options", "nosniff")
    }
}

/// How a policy names what stands between a pair of tags.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// The live view, for a user who may log out, or for everybody.
pub fn live(user: Option<&str>) -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(LIVE));
    // A user's name has no character that HTML knows.
    let user = user.map(|name| {
        format!(
            "<form method=\"post\" action=\"/kafidx/logout\"><button class=\"quiet\" \
             title=\"logged in as {name}\">Log out</button></form>"
        )
    });
    PAGE.answer(&[("<!--user-->", user.as_deref().unwrap_or_default())])
}

/// The form to log in, with what went wrong the last time.
pub fn login(wrong: &str) -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(LOGIN));
    PAGE.answer(&[("<!--wrong-->", wrong)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn between<'a>(html: &'a str, open: &str, close: &str) -> &'a str {
        html.split_once(open).unwrap().1.split_once(close).unwrap().0
    }

    fn whole(response: Response) -> (String, String) {
        let (head, body) = response.into_packed();
        (String::from_utf8_lossy(&head).into_owned(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_as_they_are_sent() {
        let (head, html) = whole(live(None));
        assert!(head.contains(&hash(between(&html, "<style>", "</style>"))));
        assert!(head.contains(&hash(between(&html, "<script>", "</script>"))));
        assert!(!head.contains("unsafe"));
        let (head, html) = whole(login("nobody"));
        assert!(head.contains(&hash(between(&html, "<style>", "</style>"))));
        assert!(html.contains("nobody") && !html.contains("<script"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for (_, html) in [whole(live(Some("ada"))), whole(login(""))] {
            for word in [
                "http://",
                "https://",
                "src=",
                "innerHTML",
                "insertAdjacent",
                " style=",
                "onclick=",
            ] {
                assert!(!html.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn only_who_is_logged_in_may_log_out() {
        assert!(whole(live(Some("ada"))).1.contains("logged in as ada"));
        assert!(!whole(live(None)).1.contains("logout"));
    }
}
