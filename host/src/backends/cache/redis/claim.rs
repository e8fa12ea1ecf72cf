//! A claim in Redis, and its return when it is dropped.

use futures_util::{FutureExt, future::BoxFuture};
use tokio::runtime::Handle;

use super::{
    super::{Claim, Error, Key, Lease, Result, Value, claims::Turn},
    Asked, Place,
};

/// A claim, or the attempt to get it. Dropping it gives back what it has, or may have.
pub struct Mine {
    place: Place,
    key: Key,
    /// Tells this claim from all others.
    token: String,
    /// The turn on this host; `Some` until the drop.
    turn: Option<Turn>,
    /// Whether the claim may stand in Redis under the token.
    stands: bool,
    /// Gives it back; a drop cannot wait.
    handle: Handle,
}

impl Mine {
    /// Nothing is claimed yet.
    pub fn new(place: Place, key: Key, turn: Turn) -> Self {
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Self { place, key, token, turn: Some(turn), stands: false, handle: Handle::current() }
    }

    /// Ask for the claim once.
    pub async fn ask(&mut self, lease: Lease) -> Result<Asked> {
        // Until the answer is there: it may be late, or this future be dropped before.
        self.stands = true;
        let asked = self.place.claim_once(&self.key, &self.token, lease).await?;
        self.stands = matches!(asked, Asked::Yours);
        if let (true, Some(turn)) = (self.stands, &self.turn) {
            turn.renew(lease.0);
        }
        Ok(asked)
    }
}

impl Claim for Mine {
    fn fill(mut self: Box<Self>, value: Value) -> BoxFuture<'static, Result<()>> {
        async move {
            let good = self.place.fill(&self.key, &self.token, &value).await?;
            self.stands = false;
            if good { Ok(()) } else { Err(Error::Lost) }
        }
        .boxed()
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if !self.stands {
            return;
        }
        let (place, turn) = (self.place.clone(), self.turn.take());
        let (key, token) = (self.key.clone(), self.token.clone());
        self.handle.spawn(async move {
            // Should Redis not hear of it, the lease ends the claim.
            let _ = place.release(&key, &token).await;
            // Those who wait here would find it taken any sooner.
            drop(turn);
        });
    }
}
