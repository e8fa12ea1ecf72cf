//! The instance of one connection, and its way from one version of the plugin to the next.
//!
//! ```text
//!  old version ── save ──▶ bytes ── restore ──▶ new version     the client notices nothing
//!                   └─ none ─────────┴─ refused ──▶ the old one goes on, until the connection ends
//! ```

use std::sync::Arc;

use crate::{
    plugins::Generation,
    runtime::{
        CallError, Lease,
        exports::socket::{Arrival, Occasion, Reply},
    },
};

/// What serves a connection.
pub struct Guest {
    generation: Arc<Generation>,
    lease: Lease,
    /// Identifies the connection in the log.
    cause: String,
    /// The last generation that was asked to take over, by its number.
    asked: u64,
}

/// The guest is of no more use; the plugin's failures are in the log already.
pub struct Failed;

impl Guest {
    /// An instance for the connection of this number; `None` of a generation that has ended.
    pub async fn new(generation: Arc<Generation>, number: u64) -> Result<Option<Self>, Failed> {
        let lease = match generation.lend_socket().await {
            Ok(lease) => lease,
            Err(CallError::Gone { .. }) => return Ok(None),
            Err(error) => return Err(fail(&generation, &error)),
        };
        let asked = generation.number;
        Ok(Some(Self { generation, lease, cause: format!("connection {number}"), asked }))
    }

    /// Tell it what happened, and hear what is to happen.
    pub async fn tell(&mut self, occasion: Occasion) -> Result<Reply, Failed> {
        // An instance that is kept owes like one that is lent anew.
        self.lease.repay().await;
        self.begin();
        let told = self.lease.socket(occasion).await;
        told.map_err(|error| fail(&self.generation, &error))
    }

    /// Tell it that the connection has ended.
    pub async fn close(mut self, reason: String) {
        self.begin();
        if let Err(error) = self.lease.socket_closed(reason).await {
            fail(&self.generation, &error);
        }
    }

    /// Let the next generation take over, if there is one that was not asked yet and both agree.
    /// What it answers is to happen then.
    pub async fn hand_over(
        &mut self,
        next: Arc<Generation>,
        arrival: &Arrival,
    ) -> Result<Option<Reply>, Failed> {
        if next.number == self.asked || next.number == self.generation.number {
            return Ok(None);
        }
        self.asked = next.number;
        self.begin();
        let saved = self.lease.save_socket().await;
        let Some(saved) = saved.map_err(|error| fail(&self.generation, &error))? else {
            return Ok(None);
        };
        match restored(&next, &self.cause, arrival, saved).await {
            Ok((lease, reply)) => {
                (self.lease, self.generation) = (lease, next);
                Ok(Some(reply))
            }
            Err(reason) => {
                let (plugin, cause) = (&next.plugin, &self.cause);
                let (stays, next) = (self.generation.number, next.number);
                tracing::info!(%plugin, cause, stays, next, reason, "a connection stays with the version it has");
                Ok(None)
            }
        }
    }

    /// Give the next call its whole time.
    fn begin(&mut self) {
        self.lease.renew();
        self.lease.state().call.caused_by(&self.cause, None);
    }
}

/// An instance of the next generation that goes on, or why there is none.
async fn restored(
    next: &Arc<Generation>,
    cause: &str,
    arrival: &Arrival,
    saved: Vec<u8>,
) -> Result<(Lease, Reply), String> {
    let restore = async {
        let mut lease = next.lend_socket().await?;
        lease.state().call.caused_by(cause, None);
        let restored = lease.restore_socket(arrival.clone(), saved).await?;
        Ok(restored.map(|reply| (lease, reply)))
    };
    let restored: Result<_, CallError> = restore.await;
    restored.map_err(|error| {
        next.note(&error);
        error.to_string()
    })?
}

/// Note a failure, and say so.
fn fail(generation: &Generation, error: &CallError) -> Failed {
    generation.note(error);
    if generation.tells() {
        let (plugin, kind) = (&generation.plugin, error.kind());
        tracing::error!(%plugin, kind, %error, "a connection was cut: its instance failed");
    }
    Failed
}
