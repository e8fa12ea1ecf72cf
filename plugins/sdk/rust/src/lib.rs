//! Typed views over the contracts of Trellis, for plugins written in Rust.
//!
//! The hot contracts cross as packed bytes; everything here reads them in place and writes them
//! once. The page for people who write plugins:
//!
#![doc = include_str!("../README.md")]

#[doc(hidden)]
pub mod bindings;
pub mod blobs;
pub mod cache;
pub mod channels;
pub mod client;
pub mod config;
pub mod connection;
pub mod consumer;
pub mod geoip;
pub mod http;
pub mod job;
pub mod keyvalue;
pub mod lifecycle;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod presence;
pub mod producer;
pub mod socket;
pub mod sql;
pub mod tries;
mod wire;

pub use wire::Malformed;
