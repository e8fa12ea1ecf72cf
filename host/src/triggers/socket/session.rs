//! One connection, from the first call of its guest to the last.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    guest::{Failed, Guest},
    is_live,
    meters::Traffic,
    outbox::Outbox,
    serving,
};
use crate::{
    backends::channels::{Reader, Space},
    plugins::Watch,
    quantity::now_ms,
    runtime::exports::socket::{Arrival, Occasion, Reply},
    triggers::connection::meters::Open,
};

/// The most bytes of one call of `data`.
const PIECE: usize = 64 << 10;
/// Frames that are taken from channels at a time.
const FRAMES: usize = 16;
/// The longest time until `woken`, in milliseconds.
const DAY: u32 = 24 * 3600 * 1000;
/// The longest reason of a close, in bytes.
const MAX_REASON: usize = 123;
/// How long a client may go on sending after the last word, so that it gets to read that.
const LINGER: Duration = Duration::from_secs(2);

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Its number.
    pub number: u64,
    /// A client that sends nothing for so long is closed.
    pub idle: Duration,
    /// One that takes nothing for so long, though there is something, is cut.
    pub stalled: Duration,
    /// Beyond so many bytes that wait for it, nothing of it is read.
    pub max_waiting: usize,
}

/// A connection that was accepted.
pub struct Session {
    /// Its limits.
    pub terms: Terms,
    /// As the guest is told of it.
    pub arrival: Arrival,
    /// Where it was admitted.
    pub space: Arc<Space>,
    /// What others send to it, and the channels it hears.
    pub reader: Reader,
    /// Counts its bytes.
    pub traffic: Traffic,
    /// The plugins that are live.
    pub live: Watch,
    /// Everything ends.
    pub shutdown: CancellationToken,
}

/// Who came, as the guest is told.
pub fn arrival(connection: u64, listener: &str, client: SocketAddr) -> Arrival {
    Arrival {
        connection,
        listener: listener.to_owned(),
        client_ip: client.ip().to_canonical().to_string(),
        client_port: client.port(),
        time_ms: now_ms(),
    }
}

/// What goes on in a connection.
struct Course {
    outbox: Outbox,
    /// Whether what was written may still lie in a buffer of TLS.
    unflushed: bool,
    /// When `woken` is due.
    wake: Option<Instant>,
    /// Whether `drained` was asked for.
    tell_drained: bool,
    /// Set once it ends: nothing is read any more.
    closing: Option<String>,
    /// When its client last sent something, or was last not read.
    heard: Instant,
    /// When its client last took something, or there was nothing for it.
    took: Instant,
}

/// What woke a connection.
enum Stir {
    Received(usize),
    Took(usize),
    Flushed,
    Frames,
    Due,
    Swapped,
    /// It ends once all has been sent.
    Ended(String),
    /// It ends now: nothing gets through any longer.
    Lost(String),
}

/// How often a connection looks for a generation that still takes calls.
const ATTEMPTS: usize = 8;
/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(20);

impl Session {
    /// Serve it until it ends.
    pub async fn run<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let _open = Open::new(self.space.plugin(), "socket");
        let (mut input, mut output) = split(stream);
        let mut course = Course::new();
        if let Some(mut guest) = self.guest().await {
            let served = self.serve(&mut guest, &mut course, &mut input, &mut output).await;
            self.space.remove(self.terms.number);
            // The last word is out before the guest has done what it does at the end.
            let reason = course.closing.take().unwrap_or_default();
            let (farewell, told) = (farewell(&mut input, &mut output), served.is_ok());
            tokio::join!(farewell, async move {
                if told {
                    guest.close(reason).await;
                }
            });
        }
        self.space.remove(self.terms.number);
    }

    /// An instance of the live version; a swap in the middle takes another attempt.
    async fn guest(&self) -> Option<Guest> {
        for _ in 0..ATTEMPTS {
            let generation = serving(&self.live, self.space.plugin())?;
            match Guest::new(generation, self.terms.number).await {
                Ok(Some(guest)) => return Some(guest),
                Ok(None) => sleep(SWAP).await,
                Err(Failed) => return None,
            }
        }
        None
    }

    /// It never began.
    pub fn fail(self, why: &'static str) {
        super::meters::refused(self.space.plugin(), &self.arrival.listener, why);
        self.space.remove(self.terms.number);
    }

    async fn serve<S>(
        &mut self,
        guest: &mut Guest,
        course: &mut Course,
        input: &mut ReadHalf<S>,
        output: &mut WriteHalf<S>,
    ) -> Result<(), Failed>
    where
        S: AsyncRead + AsyncWrite,
    {
        let mut buffer = BytesMut::new();
        course.take(guest.tell(Occasion::Open(self.arrival.clone())).await?, &self.terms);
        // What was swapped while it was let in is looked at, too.
        self.live.mark_changed();
        while !course.is_over() {
            if course.tell_drained && course.is_sent() {
                course.tell_drained = false;
                course.take(guest.tell(Occasion::Drained).await?, &self.terms);
                continue;
            }
            match self.stir(course, &mut buffer, input, output).await {
                Stir::Received(count) => {
                    self.traffic.received.increment(count as u64);
                    course.heard = Instant::now();
                    let data = Occasion::Data(buffer.split().freeze());
                    course.take(guest.tell(data).await?, &self.terms);
                    // A client that never pauses would keep them from being looked at.
                    let now = Instant::now();
                    if course.wake.is_some_and(|due| due <= now) {
                        course.wake = None;
                        course.take(guest.tell(Occasion::Woken).await?, &self.terms);
                    }
                    let limit = course.limit(&self.terms);
                    if limit.at <= now {
                        course.lose(limit.reason);
                    }
                }
                Stir::Took(count) => {
                    self.traffic.sent.increment(count as u64);
                    course.took(count);
                }
                Stir::Flushed => course.flushed(),
                Stir::Frames => {}
                Stir::Due => {
                    course.wake = None;
                    course.take(guest.tell(Occasion::Woken).await?, &self.terms);
                }
                Stir::Swapped => self.follow(guest, course).await?,
                Stir::Ended(reason) => course.close(&reason),
                Stir::Lost(reason) => course.lose(&reason),
            }
        }
        Ok(())
    }

    /// Wait for something to happen.
    async fn stir<S>(
        &mut self,
        course: &mut Course,
        buffer: &mut BytesMut,
        input: &mut ReadHalf<S>,
        output: &mut WriteHalf<S>,
    ) -> Stir
    where
        S: AsyncRead + AsyncWrite,
    {
        let goes_on = course.closing.is_none();
        let has_room = goes_on && course.outbox.bytes() < self.terms.max_waiting;
        if !has_room {
            // It is not its fault that nothing is heard of it.
            course.heard = Instant::now();
        }
        // Only an order to end gets past a client that takes nothing.
        let frames = if has_room { FRAMES } else { 0 };
        let limit = course.limit(&self.terms);
        let sends = !course.is_sent();
        let due = course.wake;
        let outbox = &course.outbox;
        if has_room {
            buffer.reserve(PIECE);
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if goes_on => Stir::Ended("the host stops".to_owned()),
            sent = poll_fn(|cx| self.reader.poll_some(frames, cx)), if goes_on => match sent {
                Ok(frames) => {
                    course.queue(frames.iter().map(|frame| frame.payload().clone()));
                    Stir::Frames
                }
                Err(end) => {
                    // What was sent before the end goes out before it.
                    let rest = self.reader.take(usize::MAX).unwrap_or_default();
                    course.queue(rest.iter().map(|frame| frame.payload().clone()));
                    Stir::Ended(end.reason)
                }
            },
            _ = self.live.changed(), if goes_on => Stir::Swapped,
            sent = send(output, outbox), if sends => {
                sent.unwrap_or_else(|error| Stir::Lost(error.to_string()))
            }
            received = async { input.read_buf(&mut buffer.limit(PIECE)).await }, if has_room => match received {
                // It may still read what was sent to it.
                Ok(0) => Stir::Ended(GONE.to_owned()),
                Ok(count) => Stir::Received(count),
                Err(error) => Stir::Lost(error.to_string()),
            },
            () = until(due), if goes_on => Stir::Due,
            () = sleep_until(limit.at) => Stir::Lost(limit.reason.to_owned()),
        }
    }

    /// Another version of some plugin is live.
    async fn follow(&mut self, guest: &mut Guest, course: &mut Course) -> Result<(), Failed> {
        if !is_live(&self.live, self.space.plugin()) {
            course.close("the plugin was removed");
        } else if let Some(next) = serving(&self.live, self.space.plugin())
            && let Some(reply) = guest.hand_over(next, &self.arrival).await?
        {
            course.take(reply, &self.terms);
        }
        Ok(())
    }
}

/// The client has closed its side.
const GONE: &str = "the client went away";

/// When a connection ends if nothing else happens, and why.
struct Limit {
    at: Instant,
    reason: &'static str,
}

impl Course {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            outbox: Outbox::default(),
            unflushed: false,
            wake: None,
            tell_drained: false,
            closing: None,
            heard: now,
            took: now,
        }
    }

    /// Do what a reply says.
    fn take(&mut self, reply: Reply, terms: &Terms) {
        let Reply { send, tell_drained, wake_ms, close } = reply;
        if !send.is_empty() && self.outbox.bytes() > terms.max_waiting {
            return self.close("more waits for the client than it may");
        }
        self.queue([send]);
        self.tell_drained |= tell_drained;
        if let Some(wait) = wake_ms {
            self.wake = Some(Instant::now() + Duration::from_millis(wait.min(DAY).into()));
        }
        if let Some(reason) = close {
            self.close(&reason);
        }
    }

    /// More for the client.
    fn queue(&mut self, pieces: impl IntoIterator<Item = Bytes>) {
        if self.is_sent() {
            self.took = Instant::now();
        }
        pieces.into_iter().for_each(|piece| self.outbox.push(piece));
    }

    fn took(&mut self, count: usize) {
        self.outbox.took(count);
        (self.unflushed, self.took) = (true, Instant::now());
    }

    fn flushed(&mut self) {
        (self.unflushed, self.took) = (false, Instant::now());
    }

    /// Whether the system has all that there was for the client.
    fn is_sent(&self) -> bool {
        self.outbox.is_empty() && !self.unflushed
    }

    /// End it now.
    fn lose(&mut self, reason: &str) {
        (self.outbox, self.unflushed) = (Outbox::default(), false);
        self.close(reason);
    }

    /// End it once all has been sent.
    fn close(&mut self, reason: &str) {
        let end = reason.floor_char_boundary(MAX_REASON);
        self.closing.get_or_insert_with(|| reason[..end].to_owned());
    }

    fn is_over(&self) -> bool {
        self.closing.is_some() && self.is_sent()
    }

    fn limit(&self, terms: &Terms) -> Limit {
        let silent =
            Limit { at: self.heard + terms.idle, reason: "the client was silent for too long" };
        let slow =
            Limit { at: self.took + terms.stalled, reason: "the client took nothing for too long" };
        match () {
            // It is not read, and can say nothing.
            () if self.closing.is_some() || self.outbox.bytes() >= terms.max_waiting => slow,
            () if !self.is_sent() && slow.at < silent.at => slow,
            () => silent,
        }
    }
}

/// Write of what there is, or see to it that what was written is on its way.
async fn send<S>(output: &mut WriteHalf<S>, outbox: &Outbox) -> std::io::Result<Stir>
where
    S: AsyncRead + AsyncWrite,
{
    if outbox.is_empty() {
        output.flush().await?;
        return Ok(Stir::Flushed);
    }
    Ok(match output.write_vectored(&outbox.slices()).await? {
        0 => Stir::Lost(GONE.to_owned()),
        count => Stir::Took(count),
    })
}

/// Wait until then; for ever without a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Say that nothing more comes, and let the client say what it was about to: a socket that is closed
/// with bytes unread takes back what its peer has not read.
async fn farewell<S>(input: &mut ReadHalf<S>, output: &mut WriteHalf<S>)
where
    S: AsyncRead + AsyncWrite,
{
    let lingering = async {
        output.shutdown().await?;
        let mut rest = vec![0; 8 << 10];
        while input.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    // Whatever goes wrong, it ends here.
    let _ = timeout(LINGER, lingering).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        number: 1,
        idle: Duration::from_secs(60),
        stalled: Duration::from_secs(30),
        max_waiting: 4,
    };

    fn send(text: &'static str) -> Reply {
        Reply { send: text.into(), ..Reply::default() }
    }

    #[tokio::test]
    async fn what_was_sent_before_a_close_goes_out_first_unless_the_client_is_gone() {
        let mut course = Course::new();
        course.take(Reply { close: Some("done".to_owned()), ..send("bye") }, &TERMS);
        assert!(!course.is_over());
        course.took(3);
        assert!(!course.is_over(), "it may lie in a buffer of TLS");
        course.flushed();
        assert!(course.is_over());
        let mut course = Course::new();
        course.take(send("hello"), &TERMS);
        course.close(GONE);
        assert!(!course.is_over(), "it may still read");
        course.lose("no more");
        assert!(course.is_over());
        assert_eq!(course.closing.as_deref(), Some(GONE));
    }

    #[tokio::test]
    async fn one_reply_may_be_large_and_the_next_one_must_wait() {
        let mut course = Course::new();
        course.take(send("a long one"), &TERMS);
        course.take(Reply::default(), &TERMS);
        assert_eq!(course.closing, None);
        course.take(send("x"), &TERMS);
        assert_eq!(course.closing.as_deref(), Some("more waits for the client than it may"));
    }

    #[tokio::test]
    async fn the_first_reason_counts_and_is_not_long() {
        let mut course = Course::new();
        course.close(&"ä".repeat(100));
        course.close("later");
        assert_eq!(course.closing.map(|reason| reason.len()), Some(122));
    }

    #[tokio::test]
    async fn a_client_is_stalled_only_while_there_is_something_for_it() {
        let mut course = Course::new();
        course.took -= Duration::from_secs(20);
        assert!(course.limit(&TERMS).reason.contains("silent"));
        course.take(send("x"), &TERMS);
        let limit = course.limit(&TERMS);
        assert!(limit.reason.contains("took nothing"), "{}", limit.reason);
        assert!(limit.at > Instant::now() + TERMS.stalled / 2, "it counts from the send on");
    }
}
