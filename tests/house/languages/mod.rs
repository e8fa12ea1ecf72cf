//! Plugins in other languages than Rust, built with their real toolchains.

mod python;
