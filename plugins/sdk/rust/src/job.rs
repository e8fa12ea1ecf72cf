//! Being run by the clock.
//!
//! ```no_run
//! use trellis_sdk::job::Job;
//!
//! trellis_sdk::job!(run);
//!
//! fn run(job: Job) -> Result<(), String> {
//!     trellis_sdk::log::info(format_args!("{} was due at {}", job.name, job.due_ms));
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! When is in the manifest, in `[[schedule]]`.

pub use crate::bindings::jobs::exports::trellis::jobs::job_handler::Job;

/// Export a function `fn(Job) -> Result<(), String>` as what this plugin does by the clock.
#[macro_export]
macro_rules! job {
    ($run:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Handler;
            impl $crate::bindings::jobs::exports::trellis::jobs::job_handler::Guest for Handler {
                fn run(job: $crate::job::Job) -> ::std::result::Result<(), String> {
                    $run(job)
                }
            }
    $crate::bindings::jobs::export_jobs!(Handler with_types_in $crate::bindings::jobs);
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: fn($crate::job::Job) -> ::std::result::Result<(), String> = $run;
    };
}
