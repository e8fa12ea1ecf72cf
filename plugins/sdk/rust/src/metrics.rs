//! Numbers for the host's `/metrics`: series named `plugin_…` with the label `plugin`.

use crate::bindings::imports::trellis::plugin::metrics as wit;

/// Add to a counter.
pub fn count(name: &str, labels: &[(&str, &str)], by: u64) {
    wit::count(name, labels, by);
}

/// Set a gauge.
pub fn gauge(name: &str, labels: &[(&str, &str)], value: f64) {
    wit::gauge(name, labels, value);
}

/// Record one observation in a histogram; seconds and bytes are the units to use.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    wit::observe(name, labels, value);
}
