//! What a handler sends ahead of its answer: written while the instance serves others.

use futures_util::future::FutureExt;

use super::host::fail;
use crate::{
    backends::log::{Error, Landed, Landing, Result},
    observe::traces::Span,
};

/// What a handler has sent ahead of its answer. Dropping this takes nothing back.
#[derive(Default)]
pub struct Ahead {
    writing: Option<Writing>,
    /// Why one was lost that was sent before.
    lost: Option<Error>,
}

/// Records of which it is not known yet what became of them.
struct Writing {
    landing: Landing,
    count: usize,
    /// Ends when the answer is waited for, or the next records are sent.
    span: Option<Span>,
}

impl Ahead {
    /// Hand `count` records to the log ahead of the answer; what became of them, if that is known
    /// at once. Those before must have [settled](Self::settle).
    pub(super) fn send(
        &mut self,
        count: usize,
        handing: impl Future<Output = Landing> + Send + 'static,
        span: &mut Option<Span>,
    ) -> Option<Landed> {
        let mut handing = Box::pin(handing);
        let mut landing = match (&mut handing).now_or_never() {
            Some(landing) => landing,
            // The log is not ready. What is held of it must not wait for the guest.
            None => {
                let writing = tokio::spawn(async move { handing.await.await });
                // It ends early with the host, or with a panic.
                async { writing.await.unwrap_or_default() }.boxed()
            }
        };
        let landed = (&mut landing).now_or_never();
        if landed.is_none() {
            self.writing = Some(Writing { landing, count, span: span.take() });
        }
        landed
    }

    /// Wait until all are durable or lost. Cancel safe.
    pub(super) async fn settle(&mut self) {
        if let Some(Writing { landing, count, span }) = &mut self.writing {
            let landed = landing.await;
            fail(span, &landed);
            let unanswered = landed.len() < *count;
            let lost = landed.into_iter().find_map(Result::err);
            let lost = lost.or_else(|| unanswered.then(no_answer));
            self.lost = self.lost.take().or(lost);
            self.writing = None;
        }
    }

    /// Whether nothing was sent ahead that could be lost, as far as that is known.
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
    use futures_util::future::{poll_immediate, ready};
    use tokio::sync::oneshot;

    use super::*;
    use crate::backends::log::Position;

    const AT: Position = Position { partition: 0, offset: 7 };

    /// Two records that the log has taken over; they have landed when it is told where.
    fn sent(ahead: &mut Ahead) -> oneshot::Sender<Landed> {
        let (ends, end) = oneshot::channel();
        let landing = async { end.await.unwrap() }.boxed();
        assert!(ahead.send(2, ready(landing), &mut None).is_none());
        assert!(!ahead.is_durable());
        ends
    }

    #[test]
    fn what_is_known_at_once_is_told_at_once() {
        let mut ahead = Ahead::default();
        let landing = ready(vec![Err(Error::UnknownTopic("t".into()))]).boxed();
        let landed = ahead.send(1, ready(landing), &mut None).unwrap();
        assert!(matches!(landed[..], [Err(Error::UnknownTopic(_))]));
        assert!(ahead.is_durable());
    }

    #[tokio::test]
    async fn an_answer_waits_until_all_is_durable() {
        let mut ahead = Ahead::default();
        let ends = sent(&mut ahead);
        let mut durable = Box::pin(ahead.durable());
        assert!(poll_immediate(&mut durable).await.is_none());
        ends.send(vec![Ok(AT), Ok(AT)]).unwrap();
        durable.await.unwrap();
    }

    #[tokio::test]
    async fn a_record_that_is_lost_is_told_also_after_later_ones_were_not() {
        for landed in [vec![Ok(AT), Err(Error::UnknownTopic("t".into()))], vec![Ok(AT)]] {
            let mut ahead = Ahead::default();
            sent(&mut ahead).send(landed).unwrap();
            ahead.settle().await;
            sent(&mut ahead).send(vec![Ok(AT), Ok(AT)]).unwrap();
            ahead.durable().await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_log_that_is_not_ready_keeps_no_guest_and_is_waited_for_whoever_goes() {
        let (begins, began) = oneshot::channel();
        let (opens, opened) = oneshot::channel::<()>();
        let mut ahead = Ahead::default();
        let handing = opened.map(|_| {
            begins.send(()).unwrap();
            ready(vec![Ok(AT)]).boxed()
        });
        assert!(ahead.send(1, handing, &mut None).is_none());
        drop(ahead);
        opens.send(()).unwrap();
        began.await.unwrap();
    }
}
