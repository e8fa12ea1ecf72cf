//! Real servers for tests and measurements.
//!
//! Each is run by the script of its name beside this crate, on free ports, and ends with the process
//! that started it, also when that is killed. What cannot be started panics: a test that needs a
//! server fails without it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod kafka;
mod postgres;
mod redis;
mod script;

pub use kafka::Broker;
pub use postgres::Postgres;
pub use redis::Redis;
pub use script::Script;
