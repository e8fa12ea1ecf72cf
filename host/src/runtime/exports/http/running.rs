//! A wasi:http call in progress: its head, its body and its guest, polled by whoever waits.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::sync::oneshot;

use crate::runtime::CallError;

/// A body that a guest reads or writes while it is sent.
pub type StreamBody = wasmtime_wasi_http::WasiBody;
/// Why such a body broke off.
pub type BodyError = wasmtime_wasi_http::Error;
/// What a guest answers: a response, or the error code in its place.
pub(super) type Head = Result<http::Response<StreamBody>, String>;

/// A call whose guest goes on after the head of its answer. It moves only while it is polled,
/// and dropping it cancels the call and throws the instance away.
pub struct Running {
    pub(super) guest: Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>,
    /// How the guest ended, for whoever polls next.
    pub(super) outcome: Option<Result<(), CallError>>,
    /// `None` once it was taken.
    pub(super) head: Option<oneshot::Receiver<Head>>,
    pub(super) deadline: Instant,
    /// The error of a guest that takes too long.
    pub(super) late: CallError,
}

impl Running {
    /// Wait for the head of the answer, until the deadline of the call.
    pub async fn head(&mut self) -> Result<http::Response<StreamBody>, CallError> {
        let deadline = self.deadline.into();
        let head = poll_fn(|cx| self.poll_head(cx));
        tokio::time::timeout_at(deadline, head).await.unwrap_or_else(|_| Err(self.late()))
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::Response<StreamBody>, CallError>> {
        let ended = self.outcome.is_some() || self.poll_guest(cx);
        if let Some(head) = &mut self.head
            && let Poll::Ready(head) = Pin::new(head).poll(cx)
        {
            self.head = None;
            match head {
                Ok(Ok(response)) => return Poll::Ready(Ok(response)),
                Ok(Err(code)) => {
                    return Poll::Ready(Err(self.fault(format!("it answered with `{code}`"))));
                }
                // Without a head, how the guest ends says why.
                Err(_) => {}
            }
        }
        if !ended {
            return Poll::Pending;
        }
        Poll::Ready(Err(match self.outcome.take() {
            Some(Err(error)) => error,
            _ => self.fault("it returned without an answer".to_owned()),
        }))
    }

    /// Let the guest go on; ready when it has ended.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        if self.outcome.is_none() && !self.poll_guest(cx) {
            return Poll::Pending;
        }
        Poll::Ready(self.outcome.clone().unwrap_or(Ok(())))
    }

    /// The error of a guest that takes too long.
    pub fn late(&self) -> CallError {
        self.late.clone()
    }

    fn poll_guest(&mut self, cx: &mut Context<'_>) -> bool {
        if let Poll::Ready(outcome) = self.guest.as_mut().poll(cx) {
            self.outcome = Some(outcome);
        }
        self.outcome.is_some()
    }

    fn fault(&self, reason: String) -> CallError {
        CallError::Trap { plugin: self.late.plugin().to_owned(), reason }
    }
}
