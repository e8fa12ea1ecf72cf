//! One connection, from the first call of its guest to the last.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::{Instant, sleep_until, timeout},
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
    plugins::{Generation, Watch},
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
    Frames,
    Due,
    Swapped,
    Ended(String),
}

impl Session {
    /// Serve it until it ends.
    pub async fn run<S>(mut self, generation: Arc<Generation>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let _open = Open::new(self.space.plugin(), "socket");
        let (mut input, mut output) = split(stream);
        let mut course = Course::new();
        if let Ok(mut guest) = Guest::new(generation, self.terms.number).await {
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
            if course.tell_drained && course.outbox.is_empty() {
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
                }
                Stir::Took(count) => {
                    self.traffic.sent.increment(count as u64);
                    course.took(count);
                }
                Stir::Frames => {}
                Stir::Due => {
                    course.wake = None;
                    course.take(guest.tell(Occasion::Woken).await?, &self.terms);
                }
                Stir::Swapped => self.follow(guest, course).await?,
                Stir::Ended(reason) => course.close(&reason),
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
            course.heard = Instant::now();
        }
        // Only an order to end gets past a client that takes nothing.
        let frames = if has_room { FRAMES } else { 0 };
        let limit = course.limit(&self.terms);
        let (due, outbox) = (course.wake, &mut course.outbox);
        if has_room {
            buffer.reserve(PIECE);
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled(), if goes_on => Stir::Ended("the host stops".to_owned()),
            sent = poll_fn(|cx| self.reader.poll_some(frames, cx)), if goes_on => match sent {
                Ok(frames) => {
                    frames.iter().for_each(|frame| outbox.push(frame.payload().clone()));
                    Stir::Frames
                }
                Err(end) => Stir::Ended(end.reason),
            },
            _ = self.live.changed(), if goes_on => Stir::Swapped,
            taken = async { output.write_vectored(&outbox.slices()).await }, if !outbox.is_empty() => {
                match taken {
                    Ok(0) => Stir::Ended(GONE.to_owned()),
                    Ok(count) => Stir::Took(count),
                    Err(error) => Stir::Ended(error.to_string()),
                }
            }
            received = async { input.read_buf(&mut buffer.limit(PIECE)).await }, if has_room => match received {
                Ok(0) => Stir::Ended(GONE.to_owned()),
                Ok(count) => Stir::Received(count),
                Err(error) => Stir::Ended(error.to_string()),
            },
            () = until(due), if goes_on => Stir::Due,
            () = sleep_until(limit.at) => Stir::Ended(limit.reason.to_owned()),
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
        if self.outbox.is_empty() {
            self.took = Instant::now();
        }
        self.outbox.push(send);
        self.tell_drained |= tell_drained;
        if let Some(wait) = wake_ms {
            self.wake = Some(Instant::now() + Duration::from_millis(wait.min(DAY).into()));
        }
        if let Some(reason) = close {
            self.close(&reason);
        }
    }

    fn took(&mut self, count: usize) {
        self.outbox.took(count);
        self.took = Instant::now();
    }

    /// End it. What ends it twice, such as a client that is gone before it has all, ends it now.
    fn close(&mut self, reason: &str) {
        if self.closing.is_some() || reason == GONE {
            self.outbox = Outbox::default();
        }
        let end = reason.floor_char_boundary(MAX_REASON);
        self.closing.get_or_insert_with(|| reason[..end].to_owned());
    }

    fn is_over(&self) -> bool {
        self.closing.is_some() && self.outbox.is_empty()
    }

    fn limit(&self, terms: &Terms) -> Limit {
        let idle =
            Limit { at: self.heard + terms.idle, reason: "the client was silent for too long" };
        let reason = "the client took nothing for too long";
        let stalled = Limit { at: self.took + terms.stalled, reason };
        if !self.outbox.is_empty() && stalled.at < idle.at { stalled } else { idle }
    }
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
        assert!(course.is_over());
        let mut course = Course::new();
        course.take(send("hello"), &TERMS);
        course.close(GONE);
        assert!(course.is_over());
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
