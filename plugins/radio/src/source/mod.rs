//! Sources: DJs that send what is live, over the protocol of Icecast.
//!
//! ```text
//! bytes ─ head ─ ask ─┬─ door (who is it, is the mount free) ─ session: feed ─ channel, recording
//!                     └─ answer
//! ```
//!
//! A connection takes 8 KiB for its head, then the largest page of Ogg (64 KiB) and one piece of
//! what came (64 KiB), 256 KiB for headers of Ogg, and 64 KiB of recording that waits for the disk.

mod answer;
mod ask;
mod body;
mod door;
mod feed;
mod head;
mod session;

use serde::{Deserialize, Serialize};
use trellis_sdk::channels::Connection;
use trellis_sdk::socket::{Arrival, Reply, Socket};

use crate::clock::now_ms;
use answer::Answer;
use head::{Head, Wrong};
use session::{Next, Session};

/// A head that is not there after so long is not waited for.
const HEAD_MS: u64 = 10_000;

/// One connection to the sources' port.
#[derive(Serialize, Deserialize)]
pub struct Source {
    connection: Connection,
    client_ip: String,
    state: State,
}

/// What it is waiting for.
#[derive(Serialize, Deserialize)]
enum State {
    /// The rest of a head, until then.
    Head { bytes: Vec<u8>, until_ms: u64 },
    /// Sound.
    Live(Box<Session>),
    /// Its end.
    Over,
}

impl Socket for Source {
    fn open(arrival: Arrival) -> (Self, Reply) {
        let until_ms = now_ms() + HEAD_MS;
        let state = State::Head { bytes: Vec::new(), until_ms };
        let source = Self { connection: arrival.connection, client_ip: arrival.client_ip, state };
        (source, Reply::nothing().wake(HEAD_MS as u32))
    }

    fn data(&mut self, bytes: Vec<u8>) -> Reply {
        match &mut self.state {
            State::Head { bytes: head, .. } => {
                head.extend_from_slice(&bytes);
                match Head::read(head) {
                    Ok(None) => Reply::nothing(),
                    Ok(Some((read, length))) => {
                        let body = head.split_off(length);
                        self.begin(&read, body)
                    }
                    Err(wrong) => self.refuse(&garbage(wrong)),
                }
            }
            State::Live(session) => {
                let next = session.hear(&bytes, now_ms());
                self.go_on(next, Reply::nothing())
            }
            State::Over => Reply::nothing(),
        }
    }

    fn woken(&mut self) -> Reply {
        match &mut self.state {
            State::Head { until_ms, .. } if now_ms() >= *until_ms => {
                self.refuse(&Answer::new(408, "the head of the request did not come within 10 s"))
            }
            State::Head { until_ms, .. } => Reply::nothing()
                .wake(u32::try_from(*until_ms - now_ms().min(*until_ms)).unwrap_or(1).max(1)),
            State::Live(session) => {
                let next = session.wake(now_ms());
                self.go_on(next, Reply::nothing())
            }
            State::Over => Reply::nothing(),
        }
    }

    fn closed(&mut self, reason: String) {
        if let State::Live(session) = std::mem::replace(&mut self.state, State::Over) {
            session.end(&reason, now_ms());
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        rmp_serde::to_vec_named(self).ok()
    }

    fn restore(_: Arrival, saved: Vec<u8>) -> Result<(Self, Reply), String> {
        let source: Self = rmp_serde::from_slice(&saved).map_err(|error| error.to_string())?;
        // Whatever it waited for is looked at again.
        Ok((source, Reply::nothing().wake(1)))
    }
}

impl Source {
    /// A request has come.
    fn begin(&mut self, head: &Head, body: Vec<u8>) -> Reply {
        match door::knock(head, self.connection, &self.client_ip, now_ms()) {
            Ok((mut session, welcome)) => {
                let next = session.hear(&body, now_ms());
                self.state = State::Live(session);
                self.go_on(next, Reply::send(welcome))
            }
            Err(answer) => self.refuse(&answer),
        }
    }

    /// What a session wants next.
    fn go_on(&mut self, next: Next, mut reply: Reply) -> Reply {
        match next {
            Next::More => reply,
            Next::Wake(ms) => reply.wake(ms),
            Next::End(answer) => {
                let State::Live(session) = std::mem::replace(&mut self.state, State::Over) else {
                    return reply;
                };
                session.end(answer.text(), now_ms());
                let last = answer.reply();
                reply.send.extend(last.send);
                reply.close = last.close;
                reply
            }
        }
    }

    fn refuse(&mut self, answer: &Answer) -> Reply {
        self.state = State::Over;
        answer.reply()
    }
}

fn garbage(wrong: Wrong) -> Answer {
    match wrong {
        Wrong::TooLong => Answer::new(431, "the head of a request has 8 KiB and 64 fields at most"),
        Wrong::Garbage => Answer::new(400, "this is not HTTP: sources send PUT or SOURCE"),
    }
}
