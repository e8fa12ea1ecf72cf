//! The whole house, from outside: the real program on free ports of this machine, with real
//! components, over HTTP. One file a subject; `support` starts and kills hosts.
//!
//! The components come from the directory that `TRELLIS_TEST_COMPONENTS` names; `tests/run`
//! builds them and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod blobs;
mod browser;
mod cache;
mod cases;
#[cfg(feature = "kafka")]
mod channels_nodes;
mod chat;
#[cfg(feature = "kafka")]
mod chat_nodes;
mod check;
mod command;
mod conformance;
mod connections;
mod consume;
mod crash;
mod doors;
mod faults;
mod foreign;
#[cfg(feature = "kafka")]
mod kafka;
mod languages;
mod live;
mod metrics;
mod nodes;
mod operators;
mod postgres;
mod radio;
mod readme;
mod reload;
mod schedules;
mod secrets;
mod sockets;
mod standards;
mod start;
mod storage;
mod support;
mod traces;
mod versions;
mod video;
mod walk;
mod websocket;
