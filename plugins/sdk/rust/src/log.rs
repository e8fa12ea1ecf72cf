//! Lines for the log of the host, through `wasi:logging`.
//!
//! ```no_run
//! trellis_sdk::log::info(format_args!("{} events in a batch", 7));
//! ```
//!
//! The host adds the name of the plugin and the id of the request. Natively, in the tests of a
//! plugin, lines go to the standard error.

use std::fmt::Display;

pub use crate::bindings::imports::wasi::logging::logging::Level;

/// Write a line that also names the part of the plugin that speaks.
pub fn log(level: Level, context: &str, message: impl Display) {
    write(level, context, &message.to_string());
}

/// What helps to follow every step.
pub fn trace(message: impl Display) {
    log(Level::Trace, "", message);
}

/// What helps to find a mistake.
pub fn debug(message: impl Display) {
    log(Level::Debug, "", message);
}

/// What an operator likes to know.
pub fn info(message: impl Display) {
    log(Level::Info, "", message);
}

/// What went wrong without harm.
pub fn warn(message: impl Display) {
    log(Level::Warn, "", message);
}

/// What failed.
pub fn error(message: impl Display) {
    log(Level::Error, "", message);
}

/// What needs somebody at once.
pub fn critical(message: impl Display) {
    log(Level::Critical, "", message);
}

#[cfg(target_family = "wasm")]
fn write(level: Level, context: &str, message: &str) {
    crate::bindings::imports::wasi::logging::logging::log(level, context, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: Level, context: &str, message: &str) {
    eprintln!("{level:?} {context} {message}");
}
