//! The pages: what is live, and one to watch a stream. One HTML each, with nothing from elsewhere,
//! and a policy that lets a browser run and load nothing but what is in it.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use trellis_sdk::http::Response;

use crate::names::Name;

const STYLE: &str = include_str!("../page/video.css");
const LIST: &str = include_str!("../page/list.html");
const LIST_SCRIPTS: [&str; 2] = [include_str!("../page/words.js"), include_str!("../page/list.js")];
const WATCH: &str = include_str!("../page/watch.html");
const WATCH_SCRIPTS: [&str; 4] = [
    include_str!("../page/words.js"),
    include_str!("../page/playlist.js"),
    include_str!("../page/player.js"),
    include_str!("../page/watch.js"),
];

/// A page and its policy.
struct Page {
    html: String,
    policy: String,
}

impl Page {
    fn new(html: &str, scripts: &[&str]) -> Self {
        let script = format!("'use strict'\n{}", scripts.concat());
        let html = html.replacen("/*style*/", STYLE, 1).replacen("/*script*/", &script, 1);
        // A player hands the browser pieces of its own making, or an address of this site.
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
             media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors *",
            hash(&script),
            hash(STYLE),
        );
        Self { html, policy }
    }

    fn answer(&self, fill: &[(&str, &str)]) -> Response {
        let mut html = self.html.clone();
        for (place, text) in fill {
            html = html.replace(place, text);
        }
        Response::html(html)
            .with_header("content-security-policy", &self.policy)
            .with_header("cache-control", "no-cache")
            .with_header("referrer-policy", "same-origin")
    }
}

/// How a policy names what stands between a pair of tags.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// What is live.
pub fn list() -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(LIST, &LIST_SCRIPTS));
    PAGE.answer(&[])
}

/// The player of a stream, whether it is live or not.
pub fn watch(name: &Name) -> Response {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page::new(WATCH, &WATCH_SCRIPTS));
    // A name has no character that HTML knows.
    PAGE.answer(&[("%app%", &name.app), ("%name%", &name.name)])
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

    fn pages() -> [(String, String); 2] {
        [whole(list()), whole(watch(&Name::new("live", "show").unwrap()))]
    }

    #[test]
    fn the_policy_names_the_style_and_the_script_as_they_are_sent() {
        for (head, html) in pages() {
            assert!(head.contains(&hash(between(&html, "<style>", "</style>"))));
            assert!(head.contains(&hash(between(&html, "<script>", "</script>"))));
            assert!(!head.contains("unsafe"));
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() {
        for (_, html) in pages() {
            for word in
                ["http://", "https://", "innerHTML", "insertAdjacent", " style=", "onclick="]
            {
                assert!(!html.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn the_player_knows_which_stream_it_is_for() {
        let html = &pages()[1].1;
        assert!(html.contains("data-app=\"live\" data-name=\"show\""));
        assert!(!html.contains("%app%") && !html.contains("%name%"));
    }
}
