//! Partitions against a log in memory and a plugin that behaves as each message says.
#![allow(clippy::unwrap_used)]

mod delivery;
mod log;
mod plugin;
