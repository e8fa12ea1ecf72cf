//! One page: the menu, the text, and how it looks.

/// The look of all pages.
pub(super) const STYLE: &str = include_str!("style.css");

/// A page of the manual.
pub(super) struct Page {
    name: String,
    /// The part of the menu that it stands in.
    part: &'static str,
    title: String,
    html: String,
}

impl Page {
    pub(super) fn new(name: &str, part: &'static str, title: &str, html: String) -> Self {
        Self { name: name.to_owned(), part, title: title.to_owned(), html }
    }

    /// Its file.
    pub(super) fn file(&self) -> String {
        format!("{}.html", self.name)
    }

    /// The whole of it, among all pages.
    pub(super) fn render(&self, all: &[Self]) -> String {
        let title = escape(&self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} – Trellis</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n</head>\n\
             <body>\n<nav>\n{}</nav>\n<main>\n{}{}</main>\n</body>\n</html>\n",
            self.menu(all),
            self.heading(),
            self.html
        )
    }

    /// Texts have their own first heading, references have none.
    fn heading(&self) -> String {
        match self.html.contains("<h1") {
            true => String::new(),
            false => format!("<h1>{}</h1>\n", escape(&self.title)),
        }
    }

    fn menu(&self, all: &[Self]) -> String {
        let (mut menu, mut part) = (String::new(), "");
        for page in all {
            if page.part != part {
                part = page.part;
                menu += &format!("<p>{part}</p>\n");
            }
            let here = if page.name == self.name { " aria-current=\"page\"" } else { "" };
            let title = escape(&page.title);
            menu += &format!("<a href=\"{}\"{here}>{title}</a>\n", page.file());
        }
        menu
    }
}

/// A text between tags or in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            other => out.push(other),
        }
    }
    out
}
