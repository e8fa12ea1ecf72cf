//! Partitions against a log in memory and a plugin that behaves as each message says.
#![allow(clippy::unwrap_used)]

mod delivery;
mod group;
mod log;
mod plugin;
mod sql;
