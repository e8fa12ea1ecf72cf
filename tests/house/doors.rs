//! The rooms' doors: who may import whom, checked on the source.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the top down; a room enters only those below it.
const ROOMS: &[&[&str]] = &[
    &["cli"],
    &["cases"],
    &["serve"],
    &["settings"],
    &["admin", "triggers"],
    &["nodes"],
    &["plugins"],
    &["runtime"],
    &["manifest"],
    &["capabilities"],
    &["backends"],
    &["observe"],
    &["world"],
    &["quantity", "secret"],
];

/// Crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("fjall", &["backends"]),
    ("rdkafka", &["backends/log/kafka"]),
    ("sqlx", &["backends"]),
    ("moka", &["backends/cache/embedded.rs"]),
    ("redis", &["backends/cache/redis"]),
    ("notify", &["plugins/changes.rs"]),
    ("axum", &["admin"]),
    ("wasmtime", &["runtime", "capabilities"]),
    ("wasmtime_wasi", &["runtime", "capabilities"]),
    ("wasmtime_wasi_http", &["runtime", "capabilities", "triggers"]),
    ("maxminddb", &["capabilities/geoip"]),
    ("opentelemetry", &["observe/traces"]),
    ("opentelemetry_sdk", &["observe/traces"]),
    ("opentelemetry_otlp", &["observe/traces"]),
    ("opentelemetry_http", &["observe/traces"]),
    ("clap", &["cli", "main.rs"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), without_tests(&text))
    };
    found.into_iter().map(read).collect()
}

/// A unit's tests may look around: those at its end, and those in files of their own.
fn without_tests(text: &str) -> String {
    text.split("\nmod tests {").next().unwrap_or_default().to_owned()
}

fn is_of_tests(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a source names, alone (`crate::plugins`) or in a list
/// (`crate::{plugins::Live, runtime}`).
fn entered(text: &str) -> BTreeSet<&str> {
    let mut rooms = BTreeSet::new();
    for path in text.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(list) => rooms.extend(first_names(list)),
            None => rooms.extend(first_name(path)),
        }
    }
    rooms
}

fn first_name(path: &str) -> Option<&str> {
    let end = path.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    Some(path[..end.unwrap_or(path.len())].trim()).filter(|name| !name.is_empty())
}

/// The first names of a list of paths, up to the brace that closes it.
fn first_names(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.extend(first_name(list[start..at].trim()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn a_room_is_seen_to_be_entered_alone_and_in_a_list() {
    let text = "use crate::cli;\nuse crate::{\n    admin::{self, ports::Ports},\n    plugins,\n};\n\
                fn f() -> crate::runtime::Code {}\n";
    assert!(entered(text).into_iter().eq(["admin", "cli", "plugins", "runtime"]));
}

#[test]
fn a_room_enters_only_those_below_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_of_tests(path)) {
        let own = room(&path);
        let Some(height) = floor(&own) else { continue };
        for other in entered(&text).into_iter().filter(|other| *other != own) {
            if floor(other).is_some_and(|floor| floor <= height) {
                wrong.push(format!("{} enters {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_crate_stays_in_its_room() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (name, rooms) in CRATES {
            let allowed = rooms.iter().any(|room| path.starts_with(room));
            let names = text
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':')
                .any(|word| word.strip_prefix(name).is_some_and(|rest| rest.starts_with("::")));
            if names && !allowed {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
