//! Trellis: one host that runs a backend of WebAssembly plugins.
//!
//! The rooms, from the top down; a room enters only those below it:
//!
//! - [`backends`]: what the house stands on (log, SQL, key-value), without any WebAssembly.

pub mod backends;
