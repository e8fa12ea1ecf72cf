//! The radio.

pub mod format;
