//! What stands between a partition and the plugin that handles its batches.

use std::{future::Future, sync::Arc};

use super::table::Table;
use crate::{
    backends::log::{Batch, Outgoing},
    runtime::exports::consumer::Failure,
    world::World,
};

/// Takes the batches of one partition.
pub trait Handler: Send + 'static {
    /// The table as it is now; a reload may change it between two batches.
    fn table(&self) -> Arc<Table>;

    /// The generation that took the last batch; 0 before the first.
    fn generation(&self) -> u64;

    /// The world in which a message waits for its next attempt.
    fn world(&self) -> World {
        World::default()
    }

    /// Hand a batch over and wait for the verdict. An error leaves nothing behind that the
    /// delivery of the table keeps from being doubled.
    fn handle(&mut self, batch: &Batch) -> impl Future<Output = Result<Verdict, Fault>> + Send;

    /// Where to go on, when it is not the log that knows: under `exactly-once-sql`, from the
    /// plugin's database.
    fn place(&mut self) -> impl Future<Output = Result<Option<u64>, Fault>> + Send;

    /// Move that place from `from` to `next` without handing anything over.
    fn pass(&mut self, from: u64, next: u64) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Put that place at `next`, forward or back, while nobody reads the partition.
    fn put(&mut self, next: u64) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What the guest said: what it sent during the call (under `exactly-once-topics`, else
/// nothing), or which message failed.
pub type Verdict = Result<Vec<Outgoing>, Failure>;

/// Why a batch has no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The guest trapped, hung or took too much memory; one of the messages makes it.
    #[error("{0}")]
    Guest(String),
    /// The host could not: no message is to blame, the batch comes again.
    #[error("{0}")]
    Host(String),
    /// The plugin's database is further already: what lies before this offset was handled by
    /// another member, and nothing of the batch was kept.
    #[error("the plugin's database goes on at offset {0}")]
    Moved(u64),
    /// The partition is to stop; the guest was not called.
    #[error("the partition stops")]
    Stopped,
}
