//! Keys and values in named stores.
//!
//! The keyvalue capability enters here. Two implementations: [`embedded`] in the data directory,
//! and [`postgres`], a table of a server that several hosts share.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub mod embedded;
pub mod postgres;
mod settings;

pub use settings::{Backend, Settings};

#[cfg(test)]
mod contract;

/// The longest key in bytes.
pub const MAX_KEY: usize = 4096;
/// The most bytes of one value, and of all keys and values of one call.
pub const MAX_BYTES: usize = 16 << 20;
/// The most keys of one call, and of a page.
pub const MAX_KEYS: usize = 10_000;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace<'a> {
    /// A plugin's own.
    Own {
        /// The plugin.
        plugin: &'a str,
        /// The store.
        store: &'a str,
    },
    /// One that several plugins use.
    Shared(&'a str),
    /// One of the host itself, which no plugin can name.
    Host(&'a str),
}

/// Where a page of keys begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// At the first key.
    First,
    /// Behind this key.
    After(String),
    /// Behind this many keys. Slower the further it goes.
    Skip(u64),
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order of their bytes.
    pub keys: Vec<String>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Why a store did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key, a value or a call is larger than the limits of this room.
    #[error(
        "more than {MAX_KEY} bytes in a key, or {MAX_KEYS} keys or {MAX_BYTES} bytes in a call"
    )]
    TooLarge,
    /// The value to add to is no number in decimal digits.
    #[error("the value of `{0}` is not a number")]
    NotANumber(String),
    /// The sum does not fit.
    #[error("the sum in `{0}` is out of range")]
    OutOfRange(String),
    /// Nothing was read, and whether something was written is open; the same call may succeed
    /// later.
    #[error("the key-value store is not available: {0}")]
    Unavailable(String),
}

/// A `Result` of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// All stores.
pub trait KeyValue: Send + Sync + 'static {
    /// A store; there is no need to create one.
    fn store(&self, namespace: Namespace<'_>) -> Arc<dyn Store>;
}

/// One store.
///
/// Promises, which `contract.rs` checks for every implementation:
/// - What returned `Ok` survives `kill -9`, and every later read sees it.
/// - A call that changes something does so wholly or not at all, and no other writer comes
///   between what it reads and what it writes.
/// - Numbers are kept as decimal text, so that `get` shows them and `set` can lay them down.
/// - No call blocks the thread it is polled on. Dropping the future of a write does not take the
///   write back.
pub trait Store: Send + Sync + 'static {
    /// The values of keys, in order; `None` where there is no such key.
    fn get_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>>;

    /// Write values over whatever was there; of a key that comes twice, the last.
    fn set_many(&self, pairs: Vec<(String, Bytes)>) -> BoxFuture<'_, Result<()>>;

    /// Remove keys; a missing one is fine.
    fn delete_many(&self, keys: Vec<String>) -> BoxFuture<'_, Result<()>>;

    /// A page of keys, at most [`MAX_KEYS`].
    fn keys(&self, from: Cursor) -> BoxFuture<'_, Result<Page>>;

    /// Add to a number and answer the sum; a missing key counts as 0.
    fn increment(&self, key: String, delta: i64) -> BoxFuture<'_, Result<i64>>;

    /// Write `value` if the key's value still is `expected`; otherwise answer what it is now.
    fn compare_and_swap(
        &self,
        key: String,
        expected: Option<Bytes>,
        value: Bytes,
    ) -> BoxFuture<'_, Result<Swap>>;
}

/// How a compare-and-swap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value was written.
    Done,
    /// Somebody else wrote in between; this is the value now.
    Lost(Option<Bytes>),
}
