//! Bodies on their way in and out: capped in size, and those from outside in silence.

use std::{
    error::Error as _,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

/// How a body fails.
struct Faults<E> {
    too_large: fn(Option<u64>) -> Error,
    broken: fn(E) -> Error,
}

/// What was taken from a body ahead of whoever reads it.
enum Begun {
    /// Nothing, or it was handed on.
    No,
    Frame(Frame<Bytes>),
    /// Its end.
    End,
}

/// A body that ends in an error once it has more than its bytes or pauses for too long.
pub struct Capped<B: Body> {
    inner: B,
    begun: Begun,
    left: u64,
    limit: u64,
    faults: Faults<B::Error>,
    patience: Option<Patience>,
    /// The place among the plugin's requests, held until the body is gone.
    _slot: Option<OwnedSemaphorePermit>,
}

/// What a guest sends.
pub fn outgoing(inner: WasiBody, limit: u64) -> Capped<WasiBody> {
    let faults = Faults { too_large: Error::HttpRequestBodySize, broken: |error| error };
    Capped { inner, begun: Begun::No, left: limit, limit, faults, patience: None, _slot: None }
}

/// What it gets back; at most `pause` passes between two parts, and nothing comes after
/// `deadline`.
pub fn incoming(
    inner: Incoming,
    limit: u64,
    pause: Duration,
    deadline: Instant,
    slot: OwnedSemaphorePermit,
) -> Capped<Incoming> {
    let faults = Faults { too_large: Error::HttpResponseBodySize, broken };
    let patience = Some(Patience::new(pause, deadline));
    Capped { inner, begun: Begun::No, left: limit, limit, faults, patience, _slot: Some(slot) }
}

impl<B: Body> Capped<B> {
    /// Whether the body has announced more than it may have.
    pub fn is_too_large(&self) -> Option<Error> {
        let too_large = self.inner.size_hint().lower() > self.limit;
        too_large.then(|| (self.faults.too_large)(Some(self.limit)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Capped<B> {
    /// Wait for the first part, and tell whether there is one. It is kept for whoever reads the
    /// body. Nothing is lost when the future is dropped.
    pub async fn begin(&mut self) -> Result<bool, Error> {
        let first = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await.transpose()?;
        self.begun = first.map_or(Begun::End, Begun::Frame);
        Ok(matches!(self.begun, Begun::Frame(_)))
    }

    /// Take it for ended, whatever may come.
    pub fn end(&mut self) {
        self.begun = Begun::End;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Capped<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        match mem::replace(&mut this.begun, Begun::No) {
            Begun::No => {}
            Begun::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
            Begun::End => {
                this.begun = Begun::End;
                return Poll::Ready(None);
            }
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err((this.faults.broken)(error))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let over = this.patience.as_mut().map(|p| p.sleep.as_mut().poll(cx));
                return match over {
                    Some(Poll::Ready(())) => Poll::Ready(Some(Err(Error::ConnectionReadTimeout))),
                    Some(Poll::Pending) | None => Poll::Pending,
                };
            }
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = this.left.checked_sub(length) else {
            return Poll::Ready(Some(Err((this.faults.too_large)(Some(this.limit)))));
        };
        this.left = left;
        if let Some(patience) = &mut this.patience {
            patience.renew();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self.begun {
            Begun::No => self.inner.is_end_stream(),
            Begun::Frame(_) => false,
            Begun::End => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.begun {
            Begun::No => self.inner.size_hint(),
            // The length was not known before either.
            Begun::Frame(_) => SizeHint::default(),
            Begun::End => SizeHint::with_exact(0),
        }
    }
}

/// The clock that runs while nothing comes.
struct Patience {
    pause: Duration,
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(pause: Duration, deadline: Instant) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(until(pause, deadline)));
        Self { pause, deadline, sleep }
    }

    fn renew(&mut self) {
        self.sleep.as_mut().reset(until(self.pause, self.deadline));
    }
}

fn until(pause: Duration, deadline: Instant) -> tokio::time::Instant {
    let pause = tokio::time::Instant::now() + pause;
    pause.min(deadline.into())
}

fn broken(error: hyper::Error) -> Error {
    tracing::debug!(%error, "an outbound connection failed");
    name(&error)
}

/// What wasi:http calls a connection's failure.
pub fn name(error: &hyper::Error) -> Error {
    if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() || is_out_of_turn(error) {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    }
}

/// Whether something came before anything was asked. The library has no question for this: it is
/// what remains of the failures without a cause.
fn is_out_of_turn(error: &hyper::Error) -> bool {
    let ours = error.is_user() || error.is_closed() || error.is_canceled();
    error.source().is_none() && !ours
}
