//! Hands what happened on connections to the live generation, batch after batch.

use std::{sync::Arc, time::Duration};

use super::{
    desk::{Desk, Occurrence},
    meters,
};
use crate::{
    plugins::{Generation, Watch},
    runtime::{CallError, Lease},
};

/// How long to wait for the next generation after one has ended, and before trying again where
/// none has an instance free.
const PAUSE: Duration = Duration::from_millis(50);

/// The generation of a plugin that takes connections now.
pub fn serving(live: &Watch, plugin: &str) -> Option<Arc<Generation>> {
    let live = live.borrow();
    let serves = |one: &&Arc<Generation>| *one.plugin == *plugin && one.offered().connection;
    live.generations.iter().find(serves).cloned()
}

/// Whether the plugin is there at all.
pub fn is_live(live: &Watch, plugin: &str) -> bool {
    live.borrow().generations.iter().any(|one| *one.plugin == *plugin)
}

/// Serve one lane until its desk is closed.
pub async fn run(desk: Arc<Desk>, lane: usize, live: Watch) {
    while let Some(batch) = desk.next(lane).await {
        meters::events(&desk.plugin, batch.len());
        if deliver(&desk.plugin, &batch, &live).await.is_ok() {
            continue;
        }
        for one in &batch {
            if deliver(&desk.plugin, std::slice::from_ref(one), &live).await.is_err() {
                one.origin.fail();
            }
        }
    }
}

/// The guest failed over a batch: nothing of what it asked for has happened.
struct Failed;

/// Hand a batch over. Waiting for an instance is back-pressure; where nobody is left to take it,
/// it is done.
async fn deliver(plugin: &str, batch: &[Occurrence], live: &Watch) -> Result<(), Failed> {
    loop {
        let Some(generation) = serving(live, plugin) else { return Ok(()) };
        let (called, began) = match generation.lend().await {
            Ok(lease) => (call(lease, batch).await, true),
            Err(error) => (Err(error), false),
        };
        let Err(error) = called else { return Ok(()) };
        if !matches!(error, CallError::Gone { .. }) {
            tell(&generation, batch, &error);
        }
        // A wait for an instance that was too long is no guest's fault.
        if began && error.is_fault() {
            return Err(Failed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Let one call handle the batch, and then let happen what it asked for.
async fn call(mut lease: Lease, batch: &[Occurrence]) -> Result<(), CallError> {
    lease.renew();
    if let Some(first) = batch.first() {
        lease.state().call.caused_by(&format!("connection {}", first.origin.id), None);
    }
    if let Some(channels) = &mut lease.state().own.channels {
        channels.defer();
    }
    lease.events(batch.iter().map(Occurrence::event).collect()).await?;
    let effects = lease.state().own.channels.as_mut().map(|channels| channels.take());
    drop(lease);
    if let Some(effects) = effects {
        effects.apply().await;
    }
    Ok(())
}

fn tell(generation: &Generation, batch: &[Occurrence], error: &CallError) {
    generation.note(error);
    if generation.tells() {
        let (plugin, kind, events) = (&generation.plugin, error.kind(), batch.len());
        tracing::error!(%plugin, kind, events, %error, "events of connections were not handled");
    }
}
