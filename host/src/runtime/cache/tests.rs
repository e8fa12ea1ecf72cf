//! The cache with a directory of its own, and a component of nothing.

use std::{fmt::Write as _, os::unix::fs::PermissionsExt};

use tokio::sync::oneshot;

use super::*;

const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

fn open(dir: &Path) -> Result<Cache, Error> {
    Cache::open(dir.to_owned(), 1, Duration::from_secs(60))
}

/// A turn ends when the file has its name.
async fn until_named(cache: &Cache) {
    cache.compilers.until_done().await;
}

/// What is in the directory.
fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let names = fs::read_dir(dir).unwrap().map(name);
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_component_is_there_at_once_and_again_after_its_file_was_broken() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap();
    let engine = Engine::default();
    let digest = blake3::hash(EMPTY);
    assert!(cache.stored(&engine, &digest).is_none());
    for _ in 0..2 {
        cache.compile(&engine, &digest, EMPTY).await.unwrap();
        assert!(cache.stored(&engine, &digest).is_some());
        until_named(&cache).await;
        assert!(cache.fresh.lock().is_empty());
        assert!(cache.stored(&engine, &digest).is_some());
        assert_eq!(names(dir.path()).len(), 1);
        fs::write(cache.path(&engine, &digest), b"not native code").unwrap();
        assert!(cache.stored(&engine, &digest).is_none());
    }
}

#[tokio::test]
async fn what_is_no_component_does_not_compile_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap();
    let bytes = b"\0asm\x0d\0\x01\0\xff";
    let outcome = cache.compile(&Engine::default(), &blake3::hash(bytes), bytes).await;
    assert!(matches!(outcome, Err(Error::Compile(_))));
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn a_component_that_several_compile_at_once_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap();
    let (engine, digest) = (Engine::default(), blake3::hash(EMPTY));
    let compile = |_| cache.compile(&engine, &digest, EMPTY);
    for outcome in futures_util::future::join_all((0..16).map(compile)).await {
        outcome.unwrap();
    }
    until_named(&cache).await;
    assert!(cache.fresh.lock().is_empty());
    let path = cache.path(&engine, &digest);
    assert_eq!(names(dir.path()), [path.file_name().unwrap().to_str().unwrap()]);
    assert!(cache.stored(&engine, &digest).is_some());
}

#[tokio::test]
async fn components_whose_files_cannot_be_named_are_kept_in_memory_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap();
    let engine = Engine::default();
    let digests: Vec<_> = (0..=MAX_FRESH).map(|n| blake3::hash(&n.to_le_bytes())).collect();
    for digest in &digests {
        // No file can take the place of a directory.
        fs::create_dir(cache.path(&engine, digest)).unwrap();
        cache.compile(&engine, digest, EMPTY).await.unwrap();
    }
    until_named(&cache).await;
    assert!(cache.stored(&engine, &digests[0]).is_none());
    assert!(digests[1..].iter().all(|digest| cache.stored(&engine, digest).is_some()));
    assert!(names(dir.path()).iter().all(|name| name.ends_with(".cwasm")));
    // What can be named again is.
    fs::remove_dir(cache.path(&engine, &digests[1])).unwrap();
    cache.compile(&engine, &digests[1], EMPTY).await.unwrap();
    until_named(&cache).await;
    assert_eq!(cache.fresh.lock().len(), MAX_FRESH - 1);
}

#[test]
fn files_that_were_left_behind_without_names_are_removed_once_nobody_can_be_at_them() {
    let dir = tempfile::tempdir().unwrap();
    let hour_ago = std::time::SystemTime::now() - LEFT_BEHIND - Duration::from_secs(1);
    let files = [".unnamed-old", ".unnamed-new", "0-1.cwasm", "of another"];
    for name in files {
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_modified(hour_ago).unwrap();
    }
    fs::write(dir.path().join(".unnamed-new"), "").unwrap();
    open(dir.path()).unwrap();
    assert_eq!(names(dir.path()), [".unnamed-new", "0-1.cwasm", "of another"]);
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("mode 777"), "{error}");
}

/// A component that takes the compiler seconds: one function with very many branches.
fn tangled(branches: usize) -> Vec<u8> {
    let mut body = String::new();
    for number in 0..branches {
        let (a, b, c) = (number % 50, number % 47, number % 43);
        write!(
            body,
            "(if (local.get {a}) (then
                (local.set {b} (i32.mul (local.get {c}) (i32.const {number})))))"
        )
        .unwrap();
    }
    let params = "i32 ".repeat(50);
    let function = format!("(func (export \"f\") (param {params}) {body})");
    wat::parse_str(format!("(component (core module {function}))")).unwrap()
}

#[tokio::test]
async fn components_that_compile_for_too_long_keep_no_other_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path().to_owned(), 1, Duration::from_millis(400)).unwrap();
    let engine = Engine::default();
    let compile = async |component: Vec<u8>| {
        cache.compile(&engine, &blake3::hash(&component), component).await
    };
    let is_late = |outcome| matches!(outcome, Err(Error::NoAnswer(compilers::Error::Timeout(_))));
    let (long, longer, short) =
        tokio::join!(compile(tangled(40_000)), compile(tangled(40_001)), compile(EMPTY.to_vec()));
    assert!([long, longer].into_iter().all(is_late));
    short.unwrap();
}

#[tokio::test]
async fn files_that_nobody_wants_go_and_only_those() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap();
    let engine = Engine::default();
    let other = b"\0asm\x0d\0\x01\0\0\x02\x01a";
    let digests = [blake3::hash(EMPTY), blake3::hash(other)];
    cache.compile(&engine, &digests[0], EMPTY).await.unwrap();
    cache.compile(&engine, &digests[1], other).await.unwrap();
    until_named(&cache).await;
    let there = |digest| cache.stored(&engine, digest).is_some();
    cache.sweep(&BTreeSet::new(), Duration::from_secs(3600)).unwrap();
    assert!(there(&digests[0]) && there(&digests[1]), "they are young");
    cache.sweep(&[digests[0].to_string()].into(), Duration::ZERO).unwrap();
    assert!(there(&digests[0]) && !there(&digests[1]));
    cache.forget(&digests[0]).unwrap();
    assert!(!there(&digests[0]) && names(dir.path()).is_empty());
}

/// A component with a custom section that makes it as large as it should be.
fn padded(bytes: usize, version: u8) -> Vec<u8> {
    let component = "(component
        (core module $m (func (result i32) (i32.const 1)))
        (core instance (instantiate $m)))";
    let mut component = wat::parse_str(component).unwrap();
    let length = bytes + 6;
    // The kind, the length in LEB128 of five bytes, and the section's name.
    let mut section = vec![0];
    section.extend((0..5).map(|at| (length >> (7 * at)) as u8 & 0x7f | u8::from(at < 4) << 7));
    section.extend(b"\x05large");
    section.resize(section.len() + bytes, version);
    component.splice(8..8, section);
    component
}

#[tokio::test]
async fn functions_are_kept_of_components_that_are_large() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap().with_functions(Bytes(1 << 20));
    let engine = Engine::default();
    let mut files = Vec::new();
    for (size, version) in [(LARGE / 2, 0), (LARGE, 1), (LARGE, 2)] {
        let component = padded(size, version);
        cache.compile(&engine, &blake3::hash(&component), component).await.unwrap();
        until_named(&cache).await;
        files.push(names(dir.path()).iter().filter(|name| name.ends_with(".functions")).count());
    }
    assert_eq!(files, [0, 1, 1], "the third has none of its own");
}

/// A component of so many functions, one more with that through which the host enters.
fn functions(count: usize) -> Vec<u8> {
    let mut functions = String::new();
    for number in 0..count {
        write!(functions, "(func (result i32) (i32.const {number}))").unwrap();
    }
    wat::parse_str(format!("(component (core module {functions}))")).unwrap()
}

/// How many functions are kept of a component, for somebody who waits or does not.
fn kept(component: &[u8], limit: Bytes, is_awaited: bool) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap().with_functions(limit);
    let mut job = cache.job(&Engine::default(), &blake3::hash(component), component.to_vec());
    job.functions = cache.functions.clone();
    let (done, waits) = oneshot::channel();
    let _waits = is_awaited.then_some(waits);
    job.compile_and_keep(done)
}

#[test]
fn functions_count_as_kept_where_they_are_and_somebody_waited() {
    let component = functions(100);
    assert_eq!(kept(&component, Bytes(1 << 20), true), 101);
    assert_eq!(kept(&component, Bytes(1 << 20), false), 0);
    assert_eq!(kept(&component, Bytes(1 << 10), true), 0, "they do not fit");
    assert_eq!(kept(b"no component", Bytes(1 << 20), true), 0);
}

#[test]
fn what_is_asked_for_again_is_there_and_gives_way_to_whom_somebody_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path()).unwrap().with_functions(Bytes(1 << 20));
    let (kept, engine) = (cache.functions.as_ref().unwrap(), Engine::default());
    let ask = |count| again::ask(&engine, &functions(count), kept, cache.waiting.clone()).unwrap();
    assert_eq!(ask(100), Some((0, 101)));
    let waits = cache.waiting.enter();
    assert_eq!(ask(200), None);
    drop(waits);
    let (reused, compiled) = ask(200).unwrap();
    assert!(reused >= 100 && reused + compiled == 201, "{reused} and {compiled}");
}

#[tokio::test]
async fn nobody_is_waited_for_once_a_compilation_has_ended_well_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, engine) = (open(dir.path()).unwrap(), Engine::default());
    let digest = blake3::hash(EMPTY);
    cache.compile(&engine, &digest, EMPTY).await.unwrap();
    cache.waiting.give_way();
    assert!(cache.compile(&engine, &digest, b"no component").await.is_err());
    cache.waiting.give_way();
    let given_up = cache.compile(&engine, &digest, tangled(5_000));
    let given_up = tokio::time::timeout(Duration::ZERO, given_up);
    assert!(given_up.await.is_err());
    until_named(&cache).await;
    cache.waiting.give_way();
}
