//! Keys and values in a named store, through `wasi:keyvalue`.
//!
//! ```no_run
//! use trellis_sdk::keyvalue::Store;
//!
//! let store = Store::open("default")?;
//! let visits = store.increment("visits", 1)?;
//! store.set("last", visits.to_string().as_bytes())?;
//! # Ok::<(), trellis_sdk::keyvalue::Error>(())
//! ```

use crate::bindings::imports::wasi::keyvalue::{atomics, batch, store};

pub use store::Error;

/// An open store; it must be in `[needs.keyvalue] stores` of the manifest.
pub struct Store(store::Bucket);

impl Store {
    /// Open a store by its name.
    pub fn open(name: &str) -> Result<Self, Error> {
        store::open(name).map(Self)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key)
    }

    /// Write a value over whatever was there.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.set(key, value)
    }

    /// Write several values in one call. An error may leave some of them written.
    pub fn set_many(&self, pairs: &[(&str, &[u8])]) -> Result<(), Error> {
        batch::set_many(&self.0, pairs)
    }

    /// Remove a key; a missing one is fine.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.delete(key)
    }

    /// Remove several keys in one call. An error may leave some of them removed.
    pub fn delete_many(&self, keys: &[&str]) -> Result<(), Error> {
        batch::delete_many(&self.0, keys)
    }

    /// Whether there is such a key.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        self.0.exists(key)
    }

    /// One page of keys, and the cursor for the next one.
    pub fn keys(&self, cursor: Option<&str>) -> Result<(Vec<String>, Option<String>), Error> {
        self.0.list_keys(cursor).map(|page| (page.keys, page.cursor))
    }

    /// Add to a number and return the sum; no other writer can come between.
    pub fn increment(&self, key: &str, by: i64) -> Result<i64, Error> {
        atomics::increment(&self.0, key, by)
    }

    /// Replace a value by what the function makes of it; the function runs again whenever
    /// somebody else wrote in between.
    pub fn update(
        &self,
        key: &str,
        mut change: impl FnMut(Option<Vec<u8>>) -> Vec<u8>,
    ) -> Result<(), Error> {
        let mut read = atomics::Cas::new(&self.0, key)?;
        loop {
            let value = change(read.current()?);
            match atomics::swap(read, &value) {
                Ok(()) => return Ok(()),
                Err(atomics::CasError::CasFailed(newer)) => read = newer,
                Err(atomics::CasError::StoreError(error)) => return Err(error),
            }
        }
    }
}
