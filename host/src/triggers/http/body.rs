//! Bodies: reading those of requests under their limits, and the two kinds of responses.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::{blob::Pieces, door::Handover, stream::Stream};
use crate::runtime::exports::http::BodyError;

/// The body of a response.
pub enum Body {
    /// All of it; `None` once it was taken.
    Whole(Option<Bytes>),
    /// A guest writes it while the client reads.
    Stream(Box<Stream>),
    /// A connection's frames, until it ends.
    Frames(Frames),
    /// A connection that takes the socket: there is no other request on it.
    Handover(Box<dyn Handover>),
    /// A blob that is read while the client reads.
    Blob(Box<Pieces>),
}

/// The body of a connection that is the answer to a request. It never fails: it ends.
pub type Frames = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Infallible> + Send>>;

impl Body {
    /// A body that is there.
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Whether it is still being written.
    pub fn is_stream(&self) -> bool {
        !matches!(self, Self::Whole(_))
    }

    /// The length of what is there.
    pub fn length(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, Bytes::len),
            _ => 0,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(_) => write!(f, "a body of {} bytes", self.length()),
            _ => f.write_str("a body that is being written"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => stream.poll_frame(cx),
            Self::Blob(pieces) => pieces.poll_frame(cx),
            Self::Frames(frames) => {
                let frame = ready!(frames.as_mut().poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            // Its socket was handed on before hyper saw it.
            Self::Handover(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(_) | Self::Frames(_) | Self::Handover(_) => false,
            Self::Blob(pieces) => pieces.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(_) => SizeHint::with_exact(self.length() as u64),
            Self::Stream(_) | Self::Frames(_) | Self::Handover(_) => SizeHint::default(),
            Self::Blob(pieces) => pieces.size_hint(),
        }
    }
}

/// Why a request's body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is larger than allowed.
    TooLarge,
    /// It did not arrive in time.
    Slow,
    /// Too many others are held.
    Crowded,
    /// The connection broke, or its framing did.
    Broken,
}

/// Whether the length that the client announced is beyond the limit.
pub fn announces_more(body: &Incoming, most: u64) -> bool {
    body.size_hint().lower() > most
}

/// What the bodies that are held for plugins may take together: a client may send one slowly, on
/// each of many connections.
pub struct Room {
    most: u64,
    taken: AtomicU64,
}

impl Room {
    /// Room for so many bytes.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicU64::new(0) })
    }

    fn take(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Result<(), Problem> {
        let bytes = bytes as u64;
        share.0.get_or_insert_with(|| (self.clone(), 0)).1 += bytes;
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.most { Err(Problem::Crowded) } else { Ok(()) }
    }
}

/// What one body takes of the room, until it is dropped: nothing at first.
#[derive(Default)]
pub struct Share(Option<(Arc<Room>, u64)>);

impl Drop for Share {
    fn drop(&mut self) {
        if let Some((room, bytes)) = &self.0 {
            room.taken.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

/// A body that came in one piece no larger than this takes no room: it never waited for the rest.
const SMALL: usize = 16 << 10;
/// The most memory that is set aside for what a client has only announced.
const AHEAD: usize = 1 << 20;

/// Read a whole body within `timeout`. Without a body nothing waits and nothing is allocated; a
/// body that came in one piece is not copied.
pub async fn collect(
    body: &mut Incoming,
    most: u64,
    timeout: Duration,
    room: &Arc<Room>,
    share: &mut Share,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if announces_more(body, most) {
        return Err(Problem::TooLarge);
    }
    // Boxed, so that requests without a body do not carry the room for one.
    let reading = Box::pin(tokio::time::timeout(timeout, read(body, most, room, share)));
    reading.await.map_err(|_| Problem::Slow)?
}

async fn read(
    body: &mut Incoming,
    most: u64,
    room: &Arc<Room>,
    share: &mut Share,
) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are dropped: the contract has no place for them.
        let Ok(data) = frame.map_err(|_| Problem::Broken)?.into_data() else { continue };
        let length = first.len() + more.len() + data.len();
        if length as u64 > most {
            return Err(Problem::TooLarge);
        }
        let only = first.is_empty() && more.is_empty();
        if !only || length > SMALL || !body.is_end_stream() {
            room.take(data.len(), share)?;
        }
        if only {
            first = data;
        } else {
            if more.is_empty() {
                let announced = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                more.reserve(length + announced.min(AHEAD));
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

/// A request's body that a guest reads while it arrives: bounded in size, and in the time
/// between two pieces.
pub struct Limited {
    body: Incoming,
    left: u64,
    pause: Duration,
    /// Runs while nothing arrives.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Limited {
    /// At most `most` bytes, at most `pause` between two pieces.
    pub fn new(body: Incoming, most: u64, pause: Duration) -> Self {
        Self { body, left: most, pause, waiting: None }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let pause = this.pause;
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(waiting.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::ConnectionReadTimeout)));
        };
        this.waiting = None;
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(BodyError::Hyper)?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match this.left.checked_sub(length) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err(BodyError::HttpRequestBodySize(None)))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
