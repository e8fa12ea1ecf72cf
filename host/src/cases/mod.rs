//! Cases: what a plugin is asked, and what must come of it.
//!
//! A case is a JSON file in `cases/` of a plugin's folder: steps, each with something that happens
//! and what is expected then. [`read`] makes a [`Case`] of the text, [`house`] is a host for one
//! plugin in this process, on backends that keep nothing, in a [`crate::world::Fixed`] world;
//! [`play`] takes the steps there and tells what it saw, and [`update`] writes that into the text.
//!
//! ```text
//!  cases/1.json ── read ── Case ── play ── Outcome: expected and seen, step by step
//!                                   │ house: edge, consumer, log, databases, hosts
//!                                   └ see: what a step's `expect` asks about
//! ```

mod case;
mod fit;
mod hosts;
pub mod house;
mod json;
mod look;
mod play;
mod read;
mod update;

pub use case::{Case, Step};
pub use house::{Plugin, Stage};
pub use play::{Outcome, Taken, Verdict, play};
pub use read::{Problem, read};
pub use update::update;
