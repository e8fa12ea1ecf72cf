//! What measurements and fault scenarios share: they start hosts and clients.

pub mod built;
pub mod client;
pub mod fill;
pub mod house;
pub mod process;
