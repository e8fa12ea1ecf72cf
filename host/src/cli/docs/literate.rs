//! Files whose comments are their manual: each comment beside the lines that it is about.
//!
//! ```text
//!  /// What it does.          ┌────────────────────────┐
//!  send: func(...)       ─▶   │ send: func(...)        │
//!                             │ What it does.          │
//! ```

use super::{markdown, page::escape};

/// How a kind of file is written.
pub(super) struct Literate {
    /// What a line of comment starts with.
    comment: &'static str,
    /// The heading that a line begins, if it begins one: its level and its text.
    heading: fn(&str) -> Option<(u8, &str)>,
}

/// Some lines and what is said of them.
#[derive(Debug, Default, PartialEq)]
struct Item {
    comment: String,
    code: String,
}

impl Literate {
    /// WIT: interfaces and what is in them.
    pub(super) fn wit() -> Self {
        Self { comment: "///", heading: wit_heading }
    }

    /// Settings: tables and their keys.
    pub(super) fn settings() -> Self {
        Self { comment: "#", heading: settings_heading }
    }

    /// The file as a page.
    pub(super) fn html(&self, text: &str) -> String {
        self.items(text).iter().map(|item| self.item(item)).collect()
    }

    fn item(&self, item: &Item) -> String {
        let first = item.code.lines().next().unwrap_or_default().trim();
        let heading = (self.heading)(first).map_or(String::new(), |(level, name)| {
            let name = escape(name);
            format!("<h{level} id=\"{name}\"><a href=\"#{name}\">{name}</a></h{level}>\n")
        });
        let code = match item.code.trim() {
            "" | "}" => String::new(),
            code => format!("<pre><code>{}</code></pre>\n", escape(code)),
        };
        format!("<section>\n{heading}{code}{}</section>\n", markdown::html(&item.comment))
    }

    /// A comment ends with the lines it is about, and those end with the next comment.
    fn items(&self, text: &str) -> Vec<Item> {
        let mut items = vec![Item::default()];
        for line in text.lines() {
            let comment = line.trim_start().strip_prefix(self.comment);
            let last = items.last_mut().filter(|last| comment.is_none() || last.code.is_empty());
            let item = match last {
                Some(last) => last,
                None => {
                    items.push(Item::default());
                    let Some(last) = items.last_mut() else { continue };
                    last
                }
            };
            match comment {
                Some(comment) => {
                    item.comment += comment.strip_prefix(' ').unwrap_or(comment);
                    item.comment.push('\n');
                }
                None if line.trim().is_empty()
                    && item.code.is_empty()
                    && item.comment.is_empty() => {}
                None => {
                    item.code += line;
                    item.code.push('\n');
                }
            }
        }
        items
    }
}

fn wit_heading(line: &str) -> Option<(u8, &str)> {
    let name = |text: &'static str| {
        let rest = line.strip_prefix(text)?.strip_prefix(' ')?;
        Some(rest.split([' ', '{', ';', '(']).next().unwrap_or(rest))
    };
    if let Some(name) = name("interface") {
        return Some((2, name));
    }
    let kinds = ["record", "variant", "enum", "flags", "resource", "type"];
    if let Some(name) = kinds.into_iter().find_map(name) {
        return Some((3, name));
    }
    let (name, _) = line.split_once(": func(")?;
    Some((3, name))
}

fn settings_heading(line: &str) -> Option<(u8, &str)> {
    line.starts_with('[').then_some((2, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = "/// Being asked.\npackage a:b;\n\n/// One.\ninterface one {\n    /// Asks.\n    ask: func(a: u8) -> list<u8>;\n}\n";

    #[test]
    fn each_comment_stands_with_the_lines_it_is_about() {
        let items = Literate::wit().items(WIT);
        let codes: Vec<_> = items.iter().map(|item| item.code.trim()).collect();
        assert_eq!(codes, ["package a:b;", "interface one {", "ask: func(a: u8) -> list<u8>;\n}"]);
        assert_eq!(items[2].comment, "Asks.\n");
    }

    #[test]
    fn what_can_be_linked_to_has_a_heading() {
        let html = Literate::wit().html(WIT);
        assert!(html.contains("<h2 id=\"one\">") && html.contains("<h3 id=\"ask\">"), "{html}");
        assert!(html.contains("list&lt;u8&gt;"), "{html}");
        let html = Literate::settings().html("# Where.\n[http]\n# The address.\nlisten = \"x\"\n");
        assert!(html.contains("id=\"[http]\"") && html.contains("<p>The address.</p>"), "{html}");
    }
}
