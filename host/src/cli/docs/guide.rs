//! The guide: a first consumer in every language, with the code of `trellis new`, and the page of
//! each language's library.

use super::{
    markdown,
    page::{Page, escape},
};
use crate::cli::{assets, build::languages};

const TEMPLATES: &str = "host/src/cli/new/templates";
/// What is said around the code.
const TEXT: &str = include_str!("guide.md");
/// Where the code goes.
const CODE: &str = "<!-- code -->";
/// Files of a project that tell a newcomer nothing.
const PLUMBING: &[&str] = &["README.md", "Cargo.toml.template", "package.json", "tsconfig.json"];

/// The guide.
pub(super) fn html() -> String {
    let (before, after) = TEXT.split_once(CODE).unwrap_or((TEXT, ""));
    let code: String = languages::ALL.iter().map(|language| sources(language.name)).collect();
    format!("{}{code}{}", markdown::html(before), markdown::html(after))
}

/// The consumer in one language: its source and its manifest.
fn sources(language: &str) -> String {
    let folder = format!("{TEMPLATES}/{language}/consumer");
    let mut text = format!("<h3 id=\"{language}\">{}</h3>\n", title(language));
    for (path, bytes) in assets::below(&folder) {
        let hidden = path.starts_with('.') || path.starts_with("cases/");
        if !hidden && !PLUMBING.contains(&path) {
            let source = String::from_utf8_lossy(bytes).replace("{{name}}", "tally");
            text += &format!(
                "<p class=\"file\">{}</p>\n<pre><code>{}</code></pre>\n",
                escape(path.trim_end_matches(".template")),
                escape(&source)
            );
        }
    }
    text
}

/// What plugins in all languages have in common, and the page of each library.
pub(super) fn languages() -> Vec<Page> {
    let mut pages = Vec::new();
    for (path, bytes) in assets::below("plugins/sdk") {
        let name = match path.split_once('/') {
            None if path == "README.md" => COMMON,
            Some((language, "README.md")) => language,
            _ => continue,
        };
        let text = String::from_utf8_lossy(bytes);
        let (file, title) = (format!("sdk-{name}"), title(name));
        pages.push(Page::new(&file, "Languages", &title, markdown::html(&text)));
    }
    pages
}

/// The page of what all languages have in common.
const COMMON: &str = "all";

/// A language as people write it.
fn title(language: &str) -> String {
    match language {
        COMMON => "Writing plugins".to_owned(),
        "typescript" => "TypeScript".to_owned(),
        "javascript" => "JavaScript".to_owned(),
        other => {
            let mut letters = other.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect()
        }
    }
}
