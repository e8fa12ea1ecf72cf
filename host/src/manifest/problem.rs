//! What is wrong with a text that people wrote, and where: manifests and settings share it.
//!
//! ```text
//! unknown key `rotues`
//!   --> plugins/hits/plugin.toml:3:1
//!    |
//!  3 | rotues = ["/t"]
//!    | ^^^^^^
//! hint: did you mean `routes`?
//! ```

use std::{
    fmt,
    ops::{Range, RangeInclusive},
};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a file, shown with the line it stands in.
///
/// `Display` is one line, for logs and answers; [`Problem::explain`] is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the reader was told.
    pub file: String,
    /// One sentence in lower case with the offending value in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where; `None` when it is about the file as a whole.
    pub place: Option<Place>,
}

/// A place in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// How many characters from `column` on are meant, at least 1.
    pub width: usize,
}

/// A step from a table of a TOML text to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of this key.
    Key(String),
    /// This element of an array.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for Step {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A value that has the right type and is still not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The way to the value.
    pub path: Vec<Step>,
    /// As in [`Problem::message`].
    pub message: String,
    /// As in [`Problem::hint`].
    pub hint: String,
}

impl Fault {
    /// Something about the value at the end of a path.
    pub fn new(
        path: impl Into<Vec<Step>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), message: message.into(), hint: hint.into() }
    }
}

/// Whether a value is within its bounds; the last step of the path is its key.
pub fn check_range<T: PartialOrd + fmt::Display>(
    path: impl Into<Vec<Step>>,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<(), Fault> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let path = path.into();
    let key = match path.last() {
        Some(Step::Key(key)) => key.as_str(),
        _ => "the value",
    };
    let hint = match value < *allowed.start() {
        true => format!("make it at least {}", allowed.start()),
        false => format!("make it at most {}", allowed.end()),
    };
    let message = format!("`{key}` cannot be {value}");
    Err(Fault::new(path, message, hint))
}

/// Read a TOML text into a type that denies unknown fields.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| {
        let (message, hint) = reword(error.message());
        let place = error.span().map(|span| Place::of(text, span));
        Problem { file: file.to_owned(), message, hint, place }
    })
}

impl Problem {
    /// A problem with the value that a fault points at, which was read from `text`.
    pub fn locate(fault: Fault, text: &str, file: &str) -> Self {
        let place = span(text, &fault.path).map(|span| Place::of(text, span));
        let Fault { message, hint, .. } = fault;
        Self { file: file.to_owned(), message, hint: Some(hint), place }
    }

    /// The message, the line with a mark under what is meant, and the hint, each on its own
    /// lines.
    pub fn explain(&self) -> String {
        let mut out = format!("{}\n", self.message);
        match &self.place {
            Some(place) => out += &place.draw(&self.file),
            None => out += &format!("  --> {}\n", self.file),
        }
        if let Some(hint) = &self.hint {
            out += &format!("hint: {hint}\n");
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for Problem {}

impl Place {
    /// Where the bytes of a span stand. A span that goes beyond its line is cut off there.
    pub fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor(text, span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = floor(text, span.end).clamp(start, line_end);
        Self {
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            width: text[start..end].chars().count().max(1),
        }
    }

    fn draw(&self, file: &str) -> String {
        let Self { line, column, text, width } = self;
        let gutter = " ".repeat(line.to_string().len() + 2);
        // A tab keeps its width, so the mark stays under what is meant.
        let indent: String =
            text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marks = "^".repeat(*width);
        let arrow = &gutter[..gutter.len() - 1];
        format!(
            "{arrow}--> {file}:{line}:{column}\n{gutter}|\n {line} | {text}\n{gutter}| {indent}{marks}\n"
        )
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Where the value at the end of a path stands; if the path leads nowhere, the last value on it.
fn span(text: &str, path: &[Step]) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let Step::Key(key) = first else { return None };
    let mut value = document.get_ref().get(key.as_str())?;
    for step in rest {
        let next = match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str()),
            (Step::Index(index), DeValue::Array(array)) => array.get(*index),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    Some(value.span())
}

/// Say what serde says in our words, with a hint.
pub fn reword(message: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = [("unknown field", "key"), ("unknown variant", "value")];
    for (theirs, ours) in unknown {
        let (true, Some((name, known))) = (message.starts_with(theirs), quoted.split_first())
        else {
            continue;
        };
        return (format!("unknown {ours} `{name}`"), Some(suggest(name, known)));
    }
    if let (true, [key, ..]) = (message.starts_with("missing field"), &quoted[..]) {
        return (format!("the key `{key}` is missing"), Some(format!("add `{key} = ...`")));
    }
    let mut lines = message.lines().filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("it cannot be read").to_owned();
    let rest: Vec<&str> = lines.collect();
    (first, (!rest.is_empty()).then(|| rest.join("; ")))
}

/// A hint that names the nearest of the known names, or all of them.
pub fn suggest(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "nothing is known here".to_owned(),
        None => format!("known are `{}`", known.join("`, `")),
    }
}

/// The known name that a misspelt one is nearest to, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase().replace('_', "-");
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, known);
    let (near, distance) =
        known.into_iter().map(|known| (known, distance(known))).min_by_key(|(_, d)| *d)?;
    (distance <= 1 + lower.chars().count() / 4).then_some(near)
}
