//! What starts a plugin: one folder a trigger.
//!
//! A trigger watches [`crate::plugins::Live`], binds what the manifests ask of it, and calls
//! plugins through leases. It runs until the shutdown token is cancelled, and then lets its calls
//! end.

pub mod connection;
pub mod consumer;
pub mod http;
pub mod schedule;
pub mod socket;
