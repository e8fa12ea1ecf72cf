//! How a member goes: so that the cluster hears of it, and nobody waits for one that is gone.
//!
//! ```text
//! not let in yet? wait for that ─▶ offsets on their way ─▶ shut the taps ─▶ leave ─▶ wait for the
//!                                                                                   cluster
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::consumer::Consumer;
use tokio::time::{sleep, timeout};

use super::{
    super::{super::Error, group::Event, step::Step},
    Driver, LOOK, ended,
};

/// How long a member that leaves waits to be let in first.
const LET_IN: Duration = Duration::from_secs(10);
/// How long leaving waits for offsets that are on their way.
const LAST_COMMIT: Duration = Duration::from_secs(5);
/// How long leaving looks for answers at a time.
const LEAVE: Duration = Duration::from_millis(20);

impl Driver {
    /// Wait until the group has answered a member that asked to be let in. Whoever goes before
    /// that cannot take leave: the cluster does not hear of it, and keeps the place, and with it
    /// the whole group waiting, for as long as a session lasts.
    async fn be_let_in(&mut self) {
        let deadline = Instant::now() + LET_IN;
        self.asking = None;
        while !self.let_in && self.asking != Some(false) && Instant::now() < deadline {
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(LOOK) => {}
            }
            self.serve();
        }
    }

    /// Leave the group, and wait until the cluster knows.
    pub(super) async fn leave(mut self) {
        self.be_let_in().await;
        if let Step::Placing { .. } | Step::Unassigning(_) = &self.step {
            let stepped = self.step.ended().await;
            self.stepped(stepped);
        }
        for tap in self.taps.values() {
            tap.shut();
        }
        if self.committing.is_some()
            && let Ok(outcome) = timeout(LAST_COMMIT, ended(&mut self.committing)).await
        {
            self.landed(&outcome);
        }
        let group = Arc::clone(&self.subscription.group);
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::error!(%group, %error, "the group is not left cleanly");
        }
    }
}

impl Drop for Driver {
    /// Leaves the group, as far as that has not happened. Waits for the cluster.
    fn drop(&mut self) {
        let events = self.consumer.context();
        events.close();
        let empty = self.taps.is_empty();
        for tap in std::mem::take(&mut self.taps).into_values() {
            tap.shut();
        }
        self.commits.forget(|_| false);
        self.commits.end();
        // What librdkafka still waits for an answer to.
        let mut unanswered = std::mem::replace(&mut self.step, Step::Idle).unanswered();
        while let Some(event) = events.take() {
            if let Event::Assigned(list) | Event::Revoked { list, .. } = event {
                unanswered = Some(list);
            }
        }
        if empty && unanswered.is_none() {
            // One without a share that is about to ask again would go without a word.
            self.consumer.unsubscribe();
        }
        let closed = self.consumer.close_queue().and_then(|()| match &unanswered {
            // Whatever the question was, this is the answer while the group is being left.
            Some(list) => self.consumer.incremental_unassign(list),
            None => Ok(()),
        });
        match closed {
            Ok(()) => {
                while !self.consumer.closed() {
                    drop(self.consumer.poll(LEAVE));
                }
            }
            Err(error) => {
                let group = &self.subscription.group;
                tracing::warn!(%group, %error, "the group is not left cleanly");
            }
        }
        self.outbox.put(Err(Error::Unavailable("the group was left".into())));
    }
}
