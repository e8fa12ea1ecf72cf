//! Trellis: one host that runs a backend of WebAssembly plugins.
//!
//! The rooms, from the top down; a room enters only those below it, and `tests/house/doors.rs`
//! checks that it does:
//!
//! - [`cli`]: the commands.
//! - [`cases`]: what a plugin is asked and what must come of it, tried in this process.
//! - [`serve`]: opens the house, runs it, closes it.
//! - [`settings`]: what the operator decides, table by table from the rooms below.
//! - [`admin`]: what operators see and do while the host runs.
//! - [`triggers`]: what starts a plugin.
//! - [`nodes`]: the hosts that share their backends.
//! - [`plugins`]: what is installed.
//! - [`runtime`]: the only driver of wasmtime.
//! - [`manifest`]: what a plugin says about itself.
//! - [`capabilities`]: what a plugin may import.
//! - [`backends`]: what the house stands on (log, SQL, key-value), without any WebAssembly.
//! - [`quantity`]: sizes and times as people write them.
//! - [`secret`]: values that are never shown.
//! - [`world`]: the time, chance, and what other hosts answer.
//! - [`observe`]: where log lines and numbers of all rooms end up. No room enters it to write: that
//!   is what the crates `tracing` and `metrics` are for.

pub mod admin;
pub mod backends;
pub mod capabilities;
pub mod cases;
pub mod cli;
pub mod manifest;
pub mod nodes;
pub mod observe;
pub mod plugins;
pub mod quantity;
pub mod runtime;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod triggers;
pub mod world;
