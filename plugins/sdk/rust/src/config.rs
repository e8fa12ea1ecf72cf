//! Settings of the plugin, through `wasi:config`: `[config]` of the manifest under what the
//! operator set. Only keys in `[needs.config] keys` are there.

use std::str::FromStr;

use crate::bindings::imports::wasi::config::store;
use crate::log;

/// The value of a key. A source that cannot be read is logged and counts as no value.
pub fn get(key: &str) -> Option<String> {
    store::get(key).unwrap_or_else(|error| {
        log::error(format_args!("the setting `{key}` could not be read: {error}"));
        None
    })
}

/// The value of a key as another type. One that does not fit is logged and counts as no value.
pub fn parse<T: FromStr>(key: &str) -> Option<T> {
    let text = get(key)?;
    let value = text.parse().ok();
    if value.is_none() {
        log::error(format_args!("the setting `{key}` has the value `{text}`, which does not fit"));
    }
    value
}

/// A list that is written with commas; empty without a value.
pub fn list(key: &str) -> Vec<String> {
    let text = get(key).unwrap_or_default();
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
