//! Feeds the host foreign bytes, and looks whether it says no.
//!
//! ```text
//! seeds (real inputs, and those that once went wrong) ─▶ mutate ─▶ target ─▶ verdict
//! ```
//! A target is a door of the host that foreign bytes come through. It panics when the host does
//! something that it must not; a crash of the process counts as that as well.

pub mod mutate;
pub mod seeds;
pub mod targets;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The host took it: it still is what it should be.
    Taken,
    /// The host said no, and why.
    Refused,
}
