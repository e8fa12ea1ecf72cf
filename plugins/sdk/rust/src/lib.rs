//! Typed views over the contracts of Trellis, for plugins written in Rust.
//!
//! A plugin is a `cdylib` for `wasm32-wasip2`. It names a function for each trigger it wants:
//!
//! ```no_run
//! use trellis_sdk::{http::{Request, Response}, consumer::{Batch, Failure}};
//!
//! trellis_sdk::http!(answer);
//! trellis_sdk::consumer!(count);
//!
//! fn answer(request: Request<'_>) -> Response {
//!     Response::text(format!("hello {}", request.path()))
//! }
//!
//! fn count(batch: Batch<'_>) -> Result<(), Failure> {
//!     trellis_sdk::metrics::count("messages", &[("topic", batch.topic())], batch.len() as u64);
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! The hot contracts cross as packed bytes; everything here reads them in place and writes them
//! once, so a header that nobody asks for costs nothing. A component imports only the
//! capabilities whose functions it calls.

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
