//! What measurements and fault scenarios share: they start hosts, brokers and clients.

/// A real broker, run by the script beside this source.
#[allow(missing_docs, clippy::unwrap_used, reason = "shared with the tests of the host")]
#[path = "../../servers/kafka.rs"]
pub mod broker;
pub mod built;
pub mod client;
pub mod fill;
pub mod house;
/// A real PostgreSQL, likewise.
#[allow(missing_docs, clippy::unwrap_used, reason = "shared with the tests of the host")]
#[path = "../../servers/postgres.rs"]
pub mod postgres;
pub mod process;
