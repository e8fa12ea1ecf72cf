//! Standard output: text or JSON, with colours where a person reads.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;
use serde::Serialize;

use crate::capabilities::Needs;

/// `--color`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Where a command writes what it found.
pub(super) struct Output {
    /// Whether the caller wants JSON.
    pub(super) json: bool,
    color: Color,
}

impl Output {
    pub(super) fn new(color: Color, json: bool) -> Self {
        Self { json, color }
    }

    /// The style of standard output.
    pub(super) fn style(&self) -> Style {
        self.color.style(&io::stdout())
    }

    /// The style of standard error.
    pub(super) fn error_style(&self) -> Style {
        self.color.style(&io::stderr())
    }

    /// Write a text that ends in a newline.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Write one JSON value as a line.
    pub(super) fn json<T: Serialize + ?Sized>(&self, value: &T) -> io::Result<()> {
        self.text(&(serde_json::to_string(value)? + "\n"))
    }
}

impl Color {
    fn style(self, stream: &impl IsTerminal) -> Style {
        let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style(match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => stream.is_terminal() && !asked_for_none,
        })
    }
}

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Style(pub(super) bool);

impl Style {
    pub(super) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Rows as columns of equal width, two spaces apart; the first row is the heading.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// What a plugin asks for, a text for each capability. Migrations are too long to be shown.
pub(super) fn needs(needs: &Needs) -> Vec<String> {
    const LONGEST: usize = 160;
    let shown = |(name, need): (String, serde_json::Value)| {
        let text = format!("{name} {need}");
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    };
    match serde_json::to_value(needs) {
        Ok(serde_json::Value::Object(needs)) => needs.into_iter().map(shown).collect(),
        _ => Vec::new(),
    }
}

/// A moment as people read it, in UTC.
pub(super) fn time(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms);
    time.map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

/// What a plugin wrote, without a way to move the cursor or to look like another line: further
/// lines are moved in, control characters are spelt out.
pub(super) fn tame(text: &str) -> String {
    let tame = |letter: char| match letter {
        '\n' => "\n    ".to_owned(),
        '\t' => "\t".to_owned(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(tame).collect()
}
