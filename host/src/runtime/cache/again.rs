//! Asking for the functions of a new interpreter a second time, while nobody waits.
//!
//! The digest that the compiler asks by follows a little from what it compiled before, which is
//! chance where it has two threads. So a function has a few digests, and the first compilation of
//! an interpreter keeps one of each: of Python's 22,000 functions 1,400 were compiled again with
//! the first change. A second compilation before it leaves 900 to 1,000.
//!
//! It runs on spare time, and leaves as soon as somebody waits for another compilation.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use wasmtime::Engine;

use super::{Functions, hash};

/// So many new functions are no change of a program that was there before.
pub(super) const MANY: usize = 5_000;

/// How many compilations somebody waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Waits(Waiting);

/// What a compilation unwinds with that gives way.
struct GivesWay;

impl Waiting {
    /// One more.
    pub(super) fn enter(&self) -> Waits {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waits(self.clone())
    }

    /// Leave the compilation that asks this, if somebody waits for another. The compiler has no
    /// other way out than to unwind; nobody is told of a panic.
    pub(super) fn give_way(&self) {
        if self.0.load(Ordering::Relaxed) > 0 {
            panic::resume_unwind(Box::new(GivesWay));
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ask for all functions of a component, and keep those that have to be compiled. Writes the disk.
/// Answers how many there were already and how many not, unless it gave way.
pub(super) fn ask(
    engine: &Engine,
    bytes: &[u8],
    functions: &Arc<Functions>,
    waiting: Waiting,
) -> wasmtime::Result<Option<(u64, u64)>> {
    let session = functions.aside(hash(engine), waiting)?;
    let compile = || session.compiler(engine)?.precompile_component(bytes).map(drop);
    // What is unwound is the compiler's, which nobody sees again, and what the session has, which
    // is whole after every function.
    let came_to_its_end = match panic::catch_unwind(AssertUnwindSafe(compile)) {
        Ok(outcome) => outcome.map(|()| true)?,
        Err(reason) if reason.is::<GivesWay>() => false,
        Err(reason) => panic::resume_unwind(reason),
    };
    session.keep()?;
    Ok(came_to_its_end.then(|| session.take_counts()))
}
