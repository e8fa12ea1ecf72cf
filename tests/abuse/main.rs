//! A hostile plugin beside an innocent one: the host lives, the innocent is served.
//!
//! Each test starts the real program with both, lets the one misbehave while the other works, and
//! looks what became of everybody. How much slower the innocent gets is measured by
//! `bench abuse`, not here. The components come from the directory that `TRELLIS_TEST_COMPONENTS`
//! names; `tests/run` builds them and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod calls;
mod consumer;
mod innocent;
mod lifecycle;
mod scene;
mod things;

#[path = "../house/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole house, which need more of it")]
mod support;
