//! Functions of components that are made by hand, compiled for real or made up.

use std::{fmt::Write as _, thread};

use proptest::{collection::vec, prelude::*};

use super::*;

const SCOPE: u64 = 7;
const COUNT: u32 = 200;
/// With the one through which the host enters.
const ALL: u64 = COUNT as u64 + 1;

/// A component of many functions, of which one is `changed`.
fn component(changed: u32) -> Vec<u8> {
    let mut functions = String::new();
    for number in 0..COUNT {
        let answer = if number == 17 { changed } else { number };
        write!(
            functions,
            "(func (param i32) (result i32)
                (i32.mul (i32.add (local.get 0) (i32.const {answer})) (i32.const {number})))"
        )
        .unwrap();
    }
    let component =
        format!("(component (core module $m {functions}) (core instance (instantiate $m)))");
    wat::parse_str(component).unwrap()
}

fn open(dir: &Path) -> Arc<Functions> {
    Arc::new(Functions::new(dir.to_owned(), 1 << 20))
}

fn session(functions: &Arc<Functions>) -> Arc<Session> {
    functions.session(SCOPE).unwrap()
}

/// Compile with what is kept, which must change nothing. Answers how many functions were reused,
/// and how many were not.
fn compile(functions: &Arc<Functions>, component: &[u8]) -> (u64, u64) {
    let (engine, session) = (Engine::default(), session(functions));
    let native = session.compiler(&engine).unwrap().precompile_component(component).unwrap();
    assert!(native == engine.precompile_component(component).unwrap());
    session.keep().unwrap();
    session.take_counts()
}

/// Keep some bytes under a key.
fn keep(functions: &Arc<Functions>, key: u8, code: &[u8]) {
    let session = session(functions);
    assert!(session.insert(&[key; 32], code.to_vec()));
    session.keep().unwrap();
}

fn kept(functions: &Arc<Functions>, key: u8) -> Option<Vec<u8>> {
    session(functions).get(&[key; 32]).map(Cow::into_owned)
}

fn files(functions: &Functions) -> Vec<PathBuf> {
    let names = functions.list().unwrap().into_iter().map(|(name, _)| functions.dir.join(name));
    names.collect()
}

#[test]
fn the_next_version_is_compiled_where_it_differs_also_by_the_next_host() {
    let dir = tempfile::tempdir().unwrap();
    let functions = open(dir.path());
    assert_eq!(compile(&functions, &component(1)).1, ALL);
    assert_eq!(compile(&functions, &component(2)), (ALL - 1, 1));
    drop(functions);
    assert_eq!(compile(&open(dir.path()), &component(2)), (ALL, 0));
}

#[test]
fn versions_that_are_compiled_at_once_are_what_they_would_be_alone() {
    let dir = tempfile::tempdir().unwrap();
    let functions = open(dir.path());
    thread::scope(|scope| {
        for changed in 1..5 {
            let functions = &functions;
            scope.spawn(move || compile(functions, &component(changed)));
        }
    });
    for changed in 1..5 {
        assert_eq!(compile(&functions, &component(changed)), (ALL, 0));
    }
}

#[test]
fn functions_that_went_bad_are_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    for of_table in [true, false] {
        compile(&open(dir.path()), &component(1));
        let [file] = &files(&open(dir.path()))[..] else { panic!("one compilation, one file") };
        let mut bytes = fs::read(file).unwrap();
        let at = if of_table { 100 } else { bytes.len() - 1 };
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
        let (_, compiled) = compile(&open(dir.path()), &component(1));
        assert!(compiled > 0 && !file.exists());
    }
}

#[test]
fn functions_of_another_engine_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let functions = open(dir.path());
    keep(&functions, 1, b"code");
    assert_eq!(kept(&functions, 1).as_deref(), Some(&b"code"[..]));
    let other = functions.session(SCOPE + 1).unwrap();
    assert_eq!(other.get(&[1; 32]), None);
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let functions = Arc::new(Functions::new(dir.path().to_owned(), 3000));
    let code = [0; 1200];
    keep(&functions, 1, &code);
    keep(&functions, 2, &code);
    assert!(kept(&functions, 1).is_some());
    keep(&functions, 3, &code);
    let there = |functions| [1, 2, 3].map(|key| kept(functions, key).is_some());
    assert_eq!(there(&functions), [true, false, true]);
    let restarted = Arc::new(Functions::new(dir.path().to_owned(), 3000));
    assert_eq!(there(&restarted), [true, false, true]);
    let bytes: u64 = functions.list().unwrap().iter().map(|(_, found)| found.len()).sum();
    assert!(bytes <= 3000);
    assert!(!session(&functions).insert(&[4; 32], vec![0; 3001]));
}

#[test]
fn small_files_are_bounded_by_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let functions = open(dir.path());
    for key in 0..=MAX_PACKS {
        keep(&functions, key as u8, b"code");
    }
    assert_eq!(files(&functions).len(), MAX_PACKS);
    assert_eq!(functions.lock().packs.len(), MAX_PACKS);
}

#[test]
fn what_another_host_has_removed_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let functions = open(dir.path());
    keep(&functions, 1, b"code");
    files(&functions).iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(kept(&functions, 1), None);
    assert!(functions.lock().functions.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_opened_without_a_panic(tail in vec(any::<u8>(), 0..400), count: u8, magic: bool) {
        let dir = tempfile::tempdir().unwrap();
        let head = if magic { [&b"TRLfuns1"[..], &[count, 0, 0, 0]].concat() } else { Vec::new() };
        let name = format!("{SCOPE:016x}-0{ENDING}");
        fs::write(dir.path().join(&name), [head, tail].concat()).unwrap();
        let functions = open(dir.path());
        prop_assert_eq!(kept(&functions, 1), None);
        prop_assert_eq!(files(&functions), Vec::<PathBuf>::new());
    }
}
