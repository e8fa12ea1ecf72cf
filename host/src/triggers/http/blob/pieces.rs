//! The bytes of a blob on their way to a client.
//!
//! The connection's own task asks for the next piece when there is room for it, so that a piece is
//! all that is held for a client that reads slowly. The reading is done on a thread that may block.

use std::{
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use metrics::Counter;

use super::{super::client::Id, Busy, Origin};
use crate::{
    backends::blobs::{self, Blob},
    plugins::Generation,
    runtime::exports::http::BodyError,
};

/// The bytes that are read at a time.
const PIECE: u64 = 64 << 10;

/// A part of a blob that is being sent.
pub struct Pieces {
    blob: Arc<dyn Blob>,
    /// What is left.
    left: Range<u64>,
    reading: Option<BoxFuture<'static, blobs::Result<Bytes>>>,
    read: Counter,
    generation: Arc<Generation>,
    id: Id,
    _busy: Option<Busy>,
}

impl Pieces {
    /// These bytes of a blob.
    pub fn new(
        blob: Arc<dyn Blob>,
        read: Counter,
        left: Range<u64>,
        origin: &mut Origin<'_>,
    ) -> Self {
        Self {
            blob,
            left,
            reading: None,
            read,
            generation: origin.generation.clone(),
            id: origin.id.clone(),
            _busy: origin.busy.take(),
        }
    }

    /// How many bytes are left.
    fn length(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// Whether all were sent.
    pub fn is_end(&self) -> bool {
        self.length() == 0
    }

    /// What is left, as a body says it.
    pub fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }

    /// The next piece.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_end() {
            return Poll::Ready(None);
        }
        let length = self.length().min(PIECE) as usize;
        let (blob, from) = (&self.blob, self.left.start);
        let reading = self.reading.get_or_insert_with(|| blob.clone().read(from, length));
        let outcome = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(Some(match outcome {
            Ok(bytes) if !bytes.is_empty() => {
                self.left.start += bytes.len() as u64;
                self.read.increment(bytes.len() as u64);
                Ok(Frame::data(bytes))
            }
            Ok(_) => Err(self.broken("it ended early")),
            Err(error) => Err(self.broken(&error.to_string())),
        }))
    }

    /// Nothing more comes: the client sees that it did not get all.
    fn broken(&mut self, reason: &str) -> BodyError {
        self.left.start = self.left.end;
        if self.generation.tells() {
            let (id, plugin) = (self.id.as_str(), &self.generation.plugin);
            tracing::error!(id, %plugin, reason, "a blob broke off in an answer");
        }
        BodyError::HttpResponseIncomplete
    }
}
