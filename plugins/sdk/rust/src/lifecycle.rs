//! Hooks around a generation: before it goes live, before the next one starts, after its end.
//!
//! ```no_run
//! use trellis_sdk::lifecycle::Lifecycle;
//!
//! struct Plugin;
//! trellis_sdk::lifecycle!(Plugin);
//!
//! impl Lifecycle for Plugin {
//!     fn start(saved: Option<Vec<u8>>) -> Result<(), String> {
//!         trellis_sdk::log::info(format_args!("{} bytes were handed over", saved.map_or(0, |s| s.len())));
//!         Ok(())
//!     }
//! }
//! # fn main() {}
//! ```

/// What a plugin does around a generation; each hook does nothing unless written.
pub trait Lifecycle {
    /// Before this generation goes live, with what `save` of the one before returned. An error
    /// keeps the old generation serving.
    fn start(saved: Option<Vec<u8>>) -> Result<(), String> {
        drop(saved);
        Ok(())
    }

    /// Before the next generation starts; the bytes (at most 16 MiB) are handed to it.
    fn save() -> Vec<u8> {
        Vec::new()
    }

    /// After the last call of this generation.
    fn stop() {}
}

/// Export a type's [`Lifecycle`](crate::lifecycle::Lifecycle) as the hooks of this plugin.
#[macro_export]
macro_rules! lifecycle {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::lifecycle::Lifecycle;
            struct Hooks;
            impl $crate::bindings::lifecycle::exports::trellis::plugin::lifecycle::Guest for Hooks {
                fn start(saved: Option<Vec<u8>>) -> Result<(), String> {
                    <$plugin as Lifecycle>::start(saved)
                }
                fn save() -> Vec<u8> {
                    <$plugin as Lifecycle>::save()
                }
                fn stop() {
                    <$plugin as Lifecycle>::stop()
                }
            }
            $crate::bindings::lifecycle::export_lifecycle!(
                Hooks with_types_in $crate::bindings::lifecycle
            );
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = <$plugin as $crate::lifecycle::Lifecycle>::start;
        };
    };
}
