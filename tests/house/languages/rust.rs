//! Rust: packages as people lay them out.

use std::fs;

use super::{build, project};
use crate::command::{run, trellis};

/// A new HTTP plugin that answers with this text.
async fn answering(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("it");
    let into = ["new", "it", "--lang", "rust", "--dir"].map(AsRef::as_ref);
    run(trellis(into.into_iter().chain([folder.as_os_str()]))).await.well();
    let code = folder.join("src/lib.rs");
    let changed = fs::read_to_string(&code).unwrap().replace("world", text);
    assert!(changed.contains(text), "{changed}");
    fs::write(&code, changed).unwrap();
    dir
}

/// Whether the component that comes of a project has this text.
async fn has(project: &tempfile::TempDir, text: &str) -> bool {
    let folder = project.path().join("it");
    let ran = build(&folder, project.path()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let component = fs::read(project.path().join("it.wasm")).unwrap();
    component.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn packages_of_one_name_that_share_a_target_directory_are_told_apart() {
    // The older one is built last: its files are older than what was built of the other.
    let (older, newer) = (answering("older-text").await, answering("newer-text").await);
    for _ in 0..2 {
        assert!(has(&newer, "newer-text").await);
        assert!(has(&older, "older-text").await);
    }
}

#[tokio::test]
async fn a_package_without_a_library_is_told_what_to_add() {
    let package = "[package]\nname = \"it\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[[bin]]\n\
                   name = \"it\"\npath = \"main.rs\"\n";
    let manifest = "name = \"it\"\n[http]\nroutes = [\"/it\"]\n";
    let project = project(&[
        ("Cargo.toml", package),
        ("plugin.toml", manifest),
        ("main.rs", "fn main() {}\n"),
    ]);
    let ran = build(project.path(), project.path()).await.refused();
    for text in ["cargo made no component of", "hint: add `[lib]` with `crate-type"] {
        assert!(ran.err.contains(text), "{ran:?}");
    }
}
