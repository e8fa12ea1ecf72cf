//! What a handler sends ahead of its answer: written while the instance serves others.

use futures_util::future::poll_immediate;
use tokio::task::JoinHandle;

use super::host::fail;
use crate::{
    backends::log::{Error, Position, Result},
    observe::traces::Span,
};

/// What became of each record, in order.
pub type Landed = Vec<Result<Position>>;

/// What a handler has sent ahead of its answer.
#[derive(Default)]
pub struct Ahead {
    /// A task of its own, because what it holds of the log must not wait for the guest; it ends
    /// with why a record was lost.
    writing: Option<JoinHandle<Option<Error>>>,
    /// Why one was lost that was sent before.
    lost: Option<Error>,
}

impl Ahead {
    /// Write `count` records ahead of the answer; what became of them, if that is known at once.
    /// Those before must have [settled](Self::settle). Dropping this takes nothing back.
    pub(super) async fn write(
        &mut self,
        count: usize,
        writing: impl Future<Output = Landed> + Send + 'static,
        span: &mut Option<Span>,
    ) -> Option<Landed> {
        let mut writing = Box::pin(writing);
        let landed = poll_immediate(&mut writing).await;
        if landed.is_none() {
            let mut span = span.take();
            self.writing = Some(tokio::spawn(async move {
                let landed = writing.await;
                fail(&mut span, &landed);
                let answered = landed.len();
                let lost = landed.into_iter().find_map(Result::err);
                lost.or_else(|| (answered < count).then(no_answer))
            }));
        }
        landed
    }

    /// Wait until all are durable or lost.
    pub(super) async fn settle(&mut self) {
        if let Some(writing) = &mut self.writing {
            // It ends early with the host, or with a panic.
            let lost = writing.await.unwrap_or_else(|_| Some(no_answer()));
            self.lost = self.lost.take().or(lost);
            self.writing = None;
        }
    }

    /// Whether nothing was sent ahead that could be lost.
    pub fn is_durable(&self) -> bool {
        self.writing.is_none() && self.lost.is_none()
    }

    /// Wait until all are durable; why one is not.
    pub async fn durable(mut self) -> Result<()> {
        self.settle().await;
        self.lost.map_or(Ok(()), Err)
    }
}

fn no_answer() -> Error {
    Error::Unavailable("the log gave no answer".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const AT: Position = Position { partition: 0, offset: 7 };

    /// A write of two records that ends when it is told what became of them.
    async fn sent(ahead: &mut Ahead) -> oneshot::Sender<Landed> {
        let (ends, end) = oneshot::channel();
        let writing = async { end.await.unwrap() };
        assert!(ahead.write(2, writing, &mut None).await.is_none());
        assert!(!ahead.is_durable());
        ends
    }

    #[tokio::test]
    async fn what_is_known_at_once_is_told_at_once() {
        let mut ahead = Ahead::default();
        let landed = vec![Err(Error::UnknownTopic("t".into()))];
        let landed = ahead.write(1, async { landed }, &mut None).await.unwrap();
        assert!(matches!(landed[..], [Err(Error::UnknownTopic(_))]));
        assert!(ahead.is_durable());
    }

    #[tokio::test]
    async fn an_answer_waits_until_all_is_durable() {
        let mut ahead = Ahead::default();
        let ends = sent(&mut ahead).await;
        let mut durable = Box::pin(ahead.durable());
        assert!(poll_immediate(&mut durable).await.is_none());
        ends.send(vec![Ok(AT), Ok(AT)]).unwrap();
        durable.await.unwrap();
    }

    #[tokio::test]
    async fn a_record_that_is_lost_is_told_also_after_later_ones_were_not() {
        for landed in [vec![Ok(AT), Err(Error::UnknownTopic("t".into()))], vec![Ok(AT)]] {
            let mut ahead = Ahead::default();
            let (told, settled) = (sent(&mut ahead).await, async { ahead.settle().await });
            told.send(landed).unwrap();
            settled.await;
            sent(&mut ahead).await.send(vec![Ok(AT), Ok(AT)]).unwrap();
            ahead.durable().await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_write_goes_on_when_nobody_waits_for_it() {
        let (begins, began) = oneshot::channel();
        let (ends, end) = oneshot::channel::<()>();
        let mut ahead = Ahead::default();
        let writing = async {
            end.await.unwrap();
            begins.send(()).unwrap();
            vec![Ok(AT)]
        };
        ahead.write(1, writing, &mut None).await;
        drop(ahead);
        ends.send(()).unwrap();
        began.await.unwrap();
    }
}
