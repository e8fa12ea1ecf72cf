//! Flags over environment variables over the file over the defaults.

use std::{fs, path::Path};

use serde::Deserialize;
use toml::{Table, Value};

use super::{DEFAULTS, Settings, check::check, conceal};
use crate::manifest::{Problem, problem};

/// What the environment variables of settings start with.
const PREFIX: &str = "TRELLIS_";
/// Variables that are not settings: the file itself, and where toolchains are kept.
const NOT_SETTINGS: &[&str] = &["TRELLIS_SETTINGS", "TRELLIS_CACHE"];

/// A value from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As it was written: `--data`.
    pub name: &'static str,
    /// Table and key, joined by a dot: `host.data`.
    pub key: &'static str,
    /// The value as a text.
    pub value: String,
}

/// Settings with what the operator should know about where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Variables that look like settings and are none, each in a sentence.
    pub warnings: Vec<String>,
}

/// Lay flags over `variables` (all of the environment; others are left alone) over the file
/// over the defaults.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Loaded, Problem> {
    let mut table = file.map(read).transpose()?.unwrap_or_default();
    let keys = keys(DEFAULTS);
    let mut warnings = Vec::new();
    let mut variables: Vec<_> =
        variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        match keys.iter().find(|key| variable(key) == name) {
            Some(key) => set(&mut table, key, &value, &name)?,
            None if NOT_SETTINGS.contains(&name.as_str()) => {}
            None => warnings.push(unknown(&name, &keys)),
        }
    }
    for flag in flags {
        set(&mut table, flag.key, &flag.value, flag.name)?;
    }
    let settings = typed(table).map_err(|refused| refused.about("settings"))?;
    Ok(Loaded { settings, warnings })
}

/// Read a file and check it, so that an error points into it.
fn read(path: &Path) -> Result<Table, Problem> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Problem {
        file: file.clone(),
        message: format!("the settings cannot be read: {error}"),
        hint: Some("name a file with `--settings` or TRELLIS_SETTINGS, or none".into()),
        place: None,
    })?;
    let settings = problem::parse(&text, &file).and_then(|settings| {
        check(&settings).map_err(|fault| Problem::locate(fault, &text, &file))
    });
    settings.map_err(|problem| conceal::conceal(problem, &text))?;
    problem::parse(&text, &file)
}

/// Put a value in its place. It is a text; where that is not what the key takes, it is read as
/// TOML, and then as a list with commas.
fn set(table: &mut Table, key: &str, text: &str, source: &str) -> Result<(), Problem> {
    let list = || text.split(',').map(|item| Value::from(item.trim())).collect::<Vec<_>>();
    let toml = toml::from_str::<Table>(&format!("value = {text}")).ok();
    let toml = toml.and_then(|mut table| table.remove("value"));
    let values = [Some(Value::from(text)), toml, Some(Value::Array(list()))];
    let mut first = None;
    for value in values.into_iter().flatten() {
        let mut changed = table.clone();
        insert(&mut changed, key, value);
        match typed(changed.clone()) {
            Ok(_) => {
                *table = changed;
                return Ok(());
            }
            // It has the type of the key, so this is what was meant.
            Err(refused) if refused.fits => return Err(refused.about(source)),
            Err(refused) => first = first.or(Some(refused)),
        }
    }
    first.map_or(Ok(()), |refused| Err(refused.about(source)))
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = table.entry(name).or_insert_with(|| Table::new().into());
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// What is wrong with a value that did not come from a file.
struct Refused {
    message: String,
    hint: Option<String>,
    /// Whether it has the right type and is still not allowed.
    fits: bool,
}

impl Refused {
    fn about(self, source: &str) -> Problem {
        let Self { message, hint, .. } = self;
        Problem { file: source.to_owned(), message, hint, place: None }
    }
}

/// The settings that a table holds, if a host can run with them.
fn typed(table: Table) -> Result<Settings, Refused> {
    let settings = Settings::deserialize(table).map_err(|error| {
        let (message, hint) = problem::reword(error.message());
        Refused { message, hint, fits: false }
    })?;
    match check(&settings) {
        Ok(()) => Ok(settings),
        Err(fault) => Err(Refused { message: fault.message, hint: Some(fault.hint), fits: true }),
    }
}

/// Every key of a settings file, those without a value (`#key = ...`) included.
pub(super) fn keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut table = "";
    for line in text.lines() {
        let word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| word(key)) {
            keys.push(format!("{table}.{key}"));
        }
    }
    keys
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    PREFIX.to_owned() + &key.replace(['.', '-'], "_").to_uppercase()
}

/// Not an error: Kubernetes, for one, sets variables like these for a service of our name.
fn unknown(name: &str, keys: &[String]) -> String {
    let known: Vec<String> = keys.iter().map(|key| variable(key)).collect();
    let message = format!("the environment variable `{name}` is no setting");
    let lower: Vec<String> =
        known.iter().map(|name| name.to_lowercase().replace('_', "-")).collect();
    let near = problem::nearest(name, lower.iter().map(String::as_str));
    match near.and_then(|near| lower.iter().position(|name| name == near)) {
        Some(index) => format!("{message}; did you mean `{}`?", known[index]),
        None => message,
    }
}
