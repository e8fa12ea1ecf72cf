//! A connection that is the body of an answer over HTTP/2: an event stream, or frames as they are.
//! Over HTTP/1.1 a shard owns the socket instead.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame as Piece};
use tokio::time::{Instant, Sleep, sleep};

use super::{desk::Origin, meters::Open, shard::event};
use crate::{
    backends::channels::{End, Form, Frame, Reader},
    triggers::http::Busy,
};

/// How often a silent event stream says that it is there, so that neither proxies nor browsers
/// take it for dead, and a client that is gone is noticed.
const BEAT: Duration = Duration::from_secs(20);
/// A comment, which clients skip.
const COMMENT: &[u8] = b":\n\n";
/// The frames that are taken from channels at a time: what is taken waits here, however slow the
/// client is.
const TAKEN: usize = 16;
/// The largest piece that small frames are put together to.
const PIECE: usize = 64 << 10;

/// The body.
pub struct Stream {
    reader: Reader,
    form: Form,
    origin: Arc<Origin>,
    beat: Pin<Box<Sleep>>,
    /// Frames that were taken and not yet sent.
    rest: std::vec::IntoIter<Arc<Frame>>,
    ended: bool,
    _open: Open,
    _busy: Option<Busy>,
}

impl Stream {
    /// The body of a connection whose frames come from `reader`.
    pub fn new(
        reader: Reader,
        form: Form,
        origin: Arc<Origin>,
        open: Open,
        busy: Option<Busy>,
    ) -> Self {
        let (beat, rest) = (Box::pin(sleep(BEAT)), Vec::new().into_iter());
        Self { reader, form, origin, beat, rest, ended: false, _open: open, _busy: busy }
    }

    /// As much of what was taken as makes one piece.
    fn piece(&mut self) -> Option<Bytes> {
        let first = self.rest.next()?;
        let first = encoded(&first, self.form).clone();
        let Some(second) = self.rest.as_slice().first() else { return Some(first) };
        if first.len() + encoded(second, self.form).len() > PIECE {
            return Some(first);
        }
        let mut piece = BytesMut::from(&first[..]);
        while let Some(next) = self.rest.as_slice().first() {
            let next = encoded(next, self.form);
            if piece.len() + next.len() > PIECE {
                break;
            }
            piece.put_slice(next);
            self.rest.next();
        }
        Some(piece.freeze())
    }

    fn end(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            self.origin.ended(end);
        }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece<Bytes>, Infallible>>> {
        let stream = self.get_mut();
        loop {
            if let Some(piece) = stream.piece() {
                stream.beat.as_mut().reset(Instant::now() + BEAT);
                return Poll::Ready(Some(Ok(Piece::data(piece))));
            }
            match stream.reader.poll_some(TAKEN, cx) {
                Poll::Ready(Ok(frames)) => stream.rest = frames.into_iter(),
                Poll::Ready(Err(end)) => {
                    stream.end(end);
                    return Poll::Ready(None);
                }
                Poll::Pending if stream.form == Form::EventStream => {
                    ready!(stream.beat.as_mut().poll(cx));
                    stream.beat.as_mut().reset(Instant::now() + BEAT);
                    return Poll::Ready(Some(Ok(Piece::data(Bytes::from_static(COMMENT)))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end(End { code: 1006, reason: "the client went away".to_owned() });
    }
}

fn encoded(frame: &Frame, form: Form) -> &Bytes {
    frame.encoded(form, event)
}
