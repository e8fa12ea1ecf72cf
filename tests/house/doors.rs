//! The rooms' doors: who may import whom, checked on the source.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the top down; a room enters only those below it.
const ROOMS: &[&[&str]] = &[
    &["cli"],
    &["serve"],
    &["admin", "triggers"],
    &["plugins"],
    &["runtime"],
    &["manifest"],
    &["capabilities"],
    &["backends"],
    &["quantity"],
];

/// Crates that only some rooms may name.
const CRATES: &[(&str, &[&str])] = &[
    ("fjall", &["backends"]),
    ("sqlx", &["backends"]),
    ("notify", &["plugins/changes.rs"]),
    ("axum", &["admin"]),
    ("wasmtime", &["runtime", "capabilities"]),
    ("wasmtime_wasi", &["runtime", "capabilities"]),
    ("wasmtime_wasi_http", &["runtime", "capabilities", "triggers"]),
    ("maxminddb", &["capabilities/geoip"]),
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

/// A unit's tests may look around.
fn without_tests(text: &str) -> String {
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn a_room_enters_only_those_below_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let Some(own) = floor(&room(&path)) else { continue };
        for other in ROOMS.iter().flat_map(|rooms| rooms.iter()) {
            let upward = floor(other).is_some_and(|floor| floor < own);
            let sibling = floor(other) == Some(own) && *other != room(&path);
            if (upward || sibling) && text.contains(&format!("crate::{other}")) {
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
