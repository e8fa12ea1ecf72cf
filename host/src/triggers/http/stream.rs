//! The body of a response that a wasi:http guest writes while the client reads it.
//!
//! ```text
//!  connection ── polls ──▶ Stream ── polls ──▶ body (what the guest wrote)
//!                             └───── polls ──▶ the call, with the lease inside
//! ```
//!
//! The connection's own task drives the guest: no task is spawned, the guest writes no faster
//! than the client reads, and when the client goes, the stream is dropped, and the call with it.
//! A guest that has more to do after the end of its body goes on in a task of its own, for as
//! long as any call may take.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

use super::{client::Id, connection::Busy};
use crate::{
    plugins::Generation,
    runtime::{
        CallError,
        exports::http::{BodyError, Running, StreamBody},
    },
};

/// What a stream knows of the request it answers.
pub struct Origin {
    /// Whose guest writes.
    pub generation: Arc<Generation>,
    /// The request, for the log.
    pub id: Id,
    /// The longest pause of the guest between two pieces.
    pub pause: Duration,
    /// Where a guest goes on after its body.
    pub tasks: TaskTracker,
    /// Keeps the connection from looking idle.
    pub _busy: Option<Busy>,
}

/// A body that a guest writes.
pub struct Stream {
    body: StreamBody,
    /// Pieces that were read before the response was sent.
    early: VecDeque<Frame<Bytes>>,
    /// The call, until it has ended.
    running: Option<Running>,
    failed: bool,
    /// What is missing of the length that the guest announced.
    left: Option<u64>,
    /// Runs while the guest writes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    origin: Origin,
}

/// What there is of a body when its head is sent.
pub enum Begun {
    /// All of it: the guest has ended.
    Whole(Bytes),
    /// What the guest has written, and will.
    Stream(Box<Stream>),
    /// The guest has failed; the log says why.
    Broken,
}

impl Origin {
    /// Let a guest whose answer is sent come to its end in a task of its own.
    pub fn see_out_behind(&self, running: Running) {
        self.tasks.spawn(see_out(running, self.generation.clone(), self.id.clone()));
    }
}

impl Stream {
    /// The body of a guest that has given its head; `left` is the length that it announced.
    pub async fn begin(
        body: StreamBody,
        left: Option<u64>,
        mut running: Running,
        origin: Origin,
    ) -> Begun {
        let ended = poll_fn(|cx| Poll::Ready(running.poll(cx))).await;
        let mut stream = Self {
            body,
            early: VecDeque::new(),
            running: Some(running),
            failed: false,
            left,
            waiting: None,
            origin,
        };
        if let Poll::Ready(outcome) = ended {
            stream.ended(outcome);
        }
        if stream.running.is_none() && !stream.failed {
            let whole = poll_fn(|cx| Poll::Ready(stream.read_early(cx))).await;
            if let Some(bytes) = whole {
                return Begun::Whole(bytes);
            }
        }
        if stream.failed { Begun::Broken } else { Begun::Stream(Box::new(stream)) }
    }

    /// Read what an ended guest left behind; the body, if that is one piece.
    fn read_early(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.early.push_back(frame),
                Poll::Ready(Some(Err(error))) => {
                    self.fail(&format!("{error}"));
                    return None;
                }
                Poll::Ready(None) if self.early.len() > 1 => return None,
                Poll::Ready(None) => break,
                Poll::Pending => return None,
            }
        }
        match self.early.pop_front().map(Frame::into_data) {
            None => Some(Bytes::new()),
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(frame)) => {
                self.early.push_back(frame);
                None
            }
        }
    }

    /// The next piece.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.early.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => return Poll::Ready(Some(self.passed(frame))),
                Poll::Ready(None) if self.failed => {
                    return Poll::Ready(Some(Err(BodyError::HttpResponseIncomplete)));
                }
                Poll::Ready(None) => return self.poll_end(cx),
                Poll::Pending => {}
            }
            let Some(running) = &mut self.running else { return self.poll_pause(cx) };
            match running.poll(cx) {
                // What the guest wrote in its last moment is still to be read.
                Poll::Ready(outcome) => self.ended(outcome),
                Poll::Pending => match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => return Poll::Ready(Some(self.passed(frame))),
                    Poll::Ready(None) if !self.failed => return self.poll_end(cx),
                    _ => return self.poll_pause(cx),
                },
            }
        }
    }

    /// The body is over: nobody waits for what the guest does after it.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(mut running) = self.running.take() {
            match running.poll(cx) {
                // A guest that trapped in the middle also ends its body.
                Poll::Ready(outcome) => self.ended(outcome),
                Poll::Pending => self.origin.see_out_behind(running),
            }
        }
        if self.failed {
            return Poll::Ready(Some(Err(BodyError::HttpResponseIncomplete)));
        }
        self.left = None;
        Poll::Ready(None)
    }

    /// The guest writes nothing right now.
    fn poll_pause(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let pause = self.origin.pause;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        if waiting.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.running = None;
        self.fail(&format!("it wrote nothing for {pause:?}"));
        Poll::Ready(Some(Err(BodyError::HttpResponseTimeout)))
    }

    fn passed(
        &mut self,
        frame: Result<Frame<Bytes>, BodyError>,
    ) -> Result<Frame<Bytes>, BodyError> {
        self.waiting = None;
        match &frame {
            Ok(frame) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.map(|left| left.saturating_sub(length));
            }
            Err(error) => self.fail(&error.to_string()),
        }
        frame
    }

    fn ended(&mut self, outcome: Result<(), CallError>) {
        self.running = None;
        if let Err(error) = outcome {
            self.origin.generation.note(&error);
            self.fail(&error.to_string());
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failed = true;
        let (id, generation) = (self.origin.id.as_str(), &self.origin.generation);
        if generation.tells() {
            let plugin = &generation.plugin;
            tracing::error!(id, %plugin, reason, "a response broke off in its body");
        }
    }
}

impl Drop for Stream {
    /// The connection stops reading at the announced length, or when the client is gone. Only
    /// the second cancels the guest.
    fn drop(&mut self) {
        if let Some(running) = self.running.take().filter(|_| self.left == Some(0)) {
            self.origin.see_out_behind(running);
        }
    }
}

async fn see_out(mut running: Running, generation: Arc<Generation>, id: Id) {
    let limit = generation.manifest().limits.deadline();
    let outcome = tokio::time::timeout(limit, poll_fn(|cx| running.poll(cx))).await;
    let outcome = outcome.unwrap_or_else(|_| Err(running.late()));
    if let Err(error) = outcome {
        generation.note(&error);
        if generation.tells() {
            let (id, plugin) = (id.as_str(), &generation.plugin);
            tracing::error!(id, %plugin, %error, "a plugin failed after its answer was sent");
        }
    }
}
