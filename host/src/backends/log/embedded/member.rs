//! A member of a group and the partitions it reads.

use std::{collections::HashSet, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::{Notify, oneshot};

use super::{
    super::{
        Batch, Change, Error, Limit, MAX_NAME, Member, Outgoing, Partition, Reader, Result, Start,
        Subscription,
    },
    assign::MemberId,
    claim::Claim,
    groups::Told,
    request::Request,
    shared::{Shared, closed},
};

/// A member. Dropping it leaves the group.
pub struct EmbeddedMember {
    shared: Arc<Shared>,
    group: Arc<str>,
    id: MemberId,
    wake: Arc<Notify>,
    start: Start,
    /// The topics that existed when it joined: of later ones it reads everything, also with
    /// [`Start::Latest`], because everything in them is newer.
    known: HashSet<Arc<str>>,
    /// Granted, but not taken over yet.
    taking: Vec<Claim>,
}

impl EmbeddedMember {
    /// Join a group.
    pub fn join(shared: Arc<Shared>, subscription: Subscription) -> Result<Self> {
        let Subscription { group, topics, start } = subscription;
        if !(1..=MAX_NAME).contains(&group.len()) {
            return Err(Error::InvalidTopic(format!(
                "`{group}` cannot be a group; use 1 to {MAX_NAME} bytes"
            )));
        }
        let present = shared.topics.load();
        let known = topics.iter().filter(|topic| present.get(topic).is_ok()).cloned().collect();
        let (id, wake) = shared.groups.join(&group, topics);
        Ok(Self { shared, group, id, wake, start, known, taking: Vec::new() })
    }

    async fn next_change(&mut self) -> Result<Change> {
        loop {
            if !self.taking.is_empty() {
                let readers = self.take().await?;
                if !readers.is_empty() {
                    return Ok(Change::Assigned(readers));
                }
            }
            match self.shared.groups.tell(&self.group, self.id) {
                Some(Told::Granted(claims)) => self.taking = claims,
                Some(Told::Revoked(revocation)) => {
                    let (partitions, done) = (revocation.partitions, revocation.done);
                    return Ok(Change::Revoked { partitions, done });
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Take over what was granted. A dropped or failed call is made up for by the next.
    async fn take(&mut self) -> Result<Vec<Box<dyn Reader>>> {
        let taken = join_all(self.taking.iter().map(|claim| self.take_one(claim))).await;
        let mut readers: Vec<Box<dyn Reader>> = Vec::new();
        for reader in taken {
            match reader {
                Ok(reader) => readers.push(Box::new(reader)),
                // Late: it went on to another member meanwhile.
                Err(Error::Fenced { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.taking.clear();
        Ok(readers)
    }

    async fn take_one(&self, claim: &Claim) -> Result<EmbeddedReader> {
        let start = match self.start {
            Start::Latest if !self.known.contains(&claim.partition.topic) => Start::Earliest,
            start => start,
        };
        let place = self.shared.place(&claim.partition, start).await?;
        let keep = start != Start::Earliest;
        let take = |reply| Request::Claim { claim: claim.clone(), start: place, keep, reply };
        // A commit may lie beyond the end; waiting there would miss what comes before it.
        let position = self.shared.ask(take).await?.min(claim.partition.range().end);
        Ok(EmbeddedReader {
            shared: Arc::clone(&self.shared),
            partition: claim.partition.describe(),
            claim: claim.clone(),
            position,
            last_commit: None,
        })
    }
}

impl Member for EmbeddedMember {
    fn next(&mut self) -> BoxFuture<'_, Result<Change>> {
        self.next_change().boxed()
    }
}

impl Drop for EmbeddedMember {
    fn drop(&mut self) {
        self.shared.groups.leave(&self.group, self.id);
    }
}

struct EmbeddedReader {
    shared: Arc<Shared>,
    partition: Partition,
    claim: Claim,
    position: u64,
    /// Ends when the last commit was handed to the writer, or was given up.
    last_commit: Option<oneshot::Receiver<()>>,
}

impl Reader for EmbeddedReader {
    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn next(&mut self, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        async move {
            let batch = self.shared.read(&self.claim.partition, self.position, limit).await?;
            self.position = batch.next;
            Ok(batch)
        }
        .boxed()
    }

    fn seek(&mut self, offset: u64) {
        self.position = offset;
    }

    fn commit(&mut self, offset: u64) -> BoxFuture<'static, Result<()>> {
        self.commit_with(Vec::new(), offset)
    }

    fn commit_with(
        &mut self,
        outputs: Vec<Outgoing>,
        offset: u64,
    ) -> BoxFuture<'static, Result<()>> {
        let (handed_over, later) = oneshot::channel();
        let earlier = self.last_commit.replace(later);
        let (shared, claim) = (Arc::clone(&self.shared), self.claim.clone());
        async move {
            let outputs = shared.resolve_all(outputs)?;
            if let Some(earlier) = earlier {
                // An error says that it was dropped: it cannot come after this one.
                let _: std::result::Result<(), _> = earlier.await;
            }
            let request = |reply| Request::Commit { claim, offset, outputs, reply };
            let answer = shared.hand_over(request).await?;
            // The writer keeps the order from here on, so the next may share its sync.
            drop(handed_over);
            answer.await.map_err(|_| closed())?
        }
        .boxed()
    }

    fn committed(&mut self) -> BoxFuture<'static, Result<Option<u64>>> {
        let (shared, claim) = (Arc::clone(&self.shared), self.claim.clone());
        // After a write that failed the writer knows once it has opened the log again.
        async move { shared.ask(|reply| Request::Committed { claim, reply }).await }.boxed()
    }
}
