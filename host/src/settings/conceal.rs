//! Keeps secrets out of problems. Whoever writes a secret where only its place belongs, or breaks
//! the line of the token, is told so without the line's value being shown to everybody who reads
//! the log.

use crate::manifest::{Problem, problem::Place};

/// The problem without the value, if it stands in a line that may hold a secret.
pub(super) fn conceal(problem: Problem, text: &str) -> Problem {
    let Some(Place { line, text: shown, .. }) = &problem.place else { return problem };
    let table = table_of(text, *line);
    let key = shown.split('=').next().unwrap_or_default().trim();
    let hint = match (table, key.split('.').next().unwrap_or_default()) {
        ("admin", "token") => "write it as a text in quotes, on one line",
        ("config", "secrets") | ("log.kafka" | "cache.redis" | "postgres", "password") => PLACE,
        ("log", "kafka") | ("cache", "redis") | ("", "postgres") if shown.contains("password") => {
            PLACE
        }
        _ if is_of(table, "log.kafka.password") => PLACE,
        _ if is_of(table, "cache.redis.password") => PLACE,
        _ if is_of(table, "postgres.password") => PLACE,
        _ if is_of(table, "config.secrets") => PLACE,
        _ => return problem,
    };
    let place = Place {
        line: *line,
        column: 1,
        text: format!("{key} = ***"),
        width: key.chars().count().max(1),
    };
    Problem {
        file: problem.file,
        message: format!("the value of `{key}` cannot be used here"),
        hint: Some(hint.to_owned()),
        place: Some(place),
    }
}

const PLACE: &str =
    "say where the secret is: `{ env = \"NAME\" }` or `{ file = \"/path\" }`, never what it is";

/// The table that a line of a text belongs to.
fn table_of(text: &str, line: usize) -> &str {
    let headings = text.lines().take(line).map(str::trim);
    let names = headings.filter_map(|line| line.strip_prefix('[')?.split(']').next());
    names.last().unwrap_or_default().trim()
}

fn is_of(table: &str, name: &str) -> bool {
    table.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
