//! What the house stands on. One folder a kind: `mod.rs` holds the trait with its promises,
//! `contract.rs` the tests that every implementation must pass, and each further file or folder
//! one implementation. A backend knows nothing of WebAssembly; what it hands out is bytes.

pub mod keyvalue;
pub mod log;
pub mod sql;

use std::sync::Arc;

/// The backends that the capabilities and the consumer trigger share.
#[derive(Clone)]
pub struct Backends {
    /// Topics.
    pub log: Arc<dyn log::Log>,
    /// Each plugin's database.
    pub sql: Arc<dyn sql::Databases>,
    /// Stores of keys and values.
    pub keyvalue: Arc<dyn keyvalue::KeyValue>,
}
