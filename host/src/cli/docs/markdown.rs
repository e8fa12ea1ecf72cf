//! Markdown to HTML, for texts of our own.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// A text as HTML. Of links to files only the text is left: the pages stand without the source tree.
pub(super) fn html(text: &str) -> String {
    let mut leads_out = Vec::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => {
            let out = dest_url.contains(':') || dest_url.starts_with('#');
            leads_out.push(out);
            out
        }
        Event::End(TagEnd::Link) => leads_out.pop().unwrap_or(true),
        _ => true,
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_page() {
        let html =
            html("# A\n\n`b` and [c](https://c.example) [f](src/f.rs)\n\n| d |\n|---|\n| e |\n");
        for part in ["<h1>A</h1>", "<code>b</code>", "https://c.example", "</a> f", "<td>e</td>"] {
            assert!(html.contains(part), "{html}");
        }
    }
}
