//! The core in a world of memory: what clients send, and what they get.
#![allow(clippy::unwrap_used)]

mod foreign;
mod memory;
mod moderation;
mod room;
mod talk;
