//! How errors look: `error:` and one sentence, then `hint:` lines.

use super::output::Style;
use crate::{admin, manifest::Problem};

/// An error with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Hinted {
    /// One sentence in lower case with the offending value in backticks.
    pub message: String,
    /// What to do, one a line.
    pub hints: Vec<String>,
}

impl Hinted {
    /// An error with one hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hints: vec![hint.into()] }
    }
}

impl From<admin::Error> for Hinted {
    fn from(admin::Error { error, hint, .. }: admin::Error) -> Self {
        Self { message: error, hints: hint.into_iter().collect() }
    }
}

/// The lines that are shown for an error.
pub(super) fn report(error: &anyhow::Error, style: Style) -> String {
    let text = match error.downcast_ref::<Problem>() {
        Some(problem) => problem.explain(),
        None => chain(error),
    };
    let hints = error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>());
    let hints = hints.flat_map(|hinted| &hinted.hints).map(|hint| format!("hint: {hint}\n"));
    let lines = text + &hints.collect::<String>();
    lines.lines().fold(style.red("error:") + " ", |shown, line| {
        let line = match line.strip_prefix("hint:") {
            Some(hint) => style.green("hint:") + hint,
            None => line.to_owned(),
        };
        shown + &line + "\n"
    })
}

/// The error and its causes in one line; a cause that was said already is not said again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text + "\n"
}
