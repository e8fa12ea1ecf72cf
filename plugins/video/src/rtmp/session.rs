//! A connection as RTMP sees it: what has been agreed, and what the publisher does.

use serde::{Deserialize, Serialize};

use super::Broken;
use super::amf::Value;
use super::chunk::{self, Message, Reader, kind};
use super::command::{self, Command};
use super::handshake::Handshake;

/// After how many bytes each side tells the other that they came.
const WINDOW: u32 = 2_500_000;
/// The chunk stream of the protocol's own messages.
const CONTROL: u8 = 2;
/// Events of a user control message.
const STREAM_BEGIN: u16 = 0;
const PING: u16 = 6;
const PONG: u16 = 7;

/// What the publisher did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It wants to publish; [`Session::accept`] or [`Session::refuse`] answers.
    Publish {
        /// The application that it connected to.
        app: String,
        /// The name, with a query where there was one.
        name: String,
    },
    /// It sent a piece of video.
    Video(Tag),
    /// It sent a piece of audio.
    Audio(Tag),
    /// It publishes no longer.
    Ended,
}

/// A piece of video or audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Milliseconds, from wherever the publisher counts; goes round.
    pub timestamp: u32,
    /// The body of a tag of FLV.
    pub body: Vec<u8>,
}

/// One connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// `None` once it is done.
    handshake: Option<Handshake>,
    reader: Reader,
    app: Option<String>,
    phase: Phase,
    /// Bytes that came; goes round, as its messages do.
    received: u32,
    /// How many the client has been told of.
    acknowledged: u32,
    /// After how many more it wants to be told again.
    window: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Nothing is published.
    Quiet,
    /// Somebody thinks about whether it may be.
    Asked,
    Publishing,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            handshake: Some(Handshake::default()),
            reader: Reader::default(),
            app: None,
            phase: Phase::Quiet,
            received: 0,
            acknowledged: 0,
            window: WINDOW,
        }
    }
}

impl Session {
    /// The next event in the input; `None` once the input is used up. Answers go to `out`, also
    /// where the connection turns out to be broken: send them before closing it.
    pub fn next(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Broken> {
        let before = input.len();
        let event = self.advance(input, out);
        self.received = self.received.wrapping_add((before - input.len()) as u32);
        if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            control(out, kind::ACKNOWLEDGEMENT, &self.received.to_be_bytes());
        }
        event
    }

    /// Let it publish.
    pub fn accept(&mut self, out: &mut Vec<u8>) {
        self.phase = Phase::Publishing;
        self.reader.expect_video();
        control(out, kind::USER_CONTROL, &user(STREAM_BEGIN, 1));
        command::on_status(out, "status", "NetStream.Publish.Start", "publishing");
    }

    /// Tell it why it may not publish, or no longer. The connection is to be closed then.
    pub fn refuse(&mut self, out: &mut Vec<u8>, code: &str, description: &str) {
        self.phase = Phase::Quiet;
        command::on_status(out, "error", code, description);
    }

    fn advance(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Broken> {
        if let Some(handshake) = &mut self.handshake {
            if !handshake.step(input, out)? {
                return Ok(None);
            }
            self.handshake = None;
        }
        while let Some(message) = self.reader.next(input)? {
            if let Some(event) = self.hear(message, out)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn hear(&mut self, message: Message, out: &mut Vec<u8>) -> Result<Option<Event>, Broken> {
        let Message { kind, timestamp, body } = message;
        let publishes = self.phase == Phase::Publishing;
        match kind {
            kind::COMMAND => return self.obey(&body, out),
            kind::VIDEO if publishes => return Ok(Some(Event::Video(Tag { timestamp, body }))),
            kind::AUDIO if publishes => return Ok(Some(Event::Audio(Tag { timestamp, body }))),
            kind::WINDOW_SIZE => {
                // A window of nothing would have every byte acknowledged.
                let size = body.first_chunk().map_or(WINDOW, |bytes| u32::from_be_bytes(*bytes));
                self.window = size.clamp(4096, i32::MAX as u32);
            }
            kind::USER_CONTROL => {
                if let Some((event, time)) = body.split_first_chunk()
                    && u16::from_be_bytes(*event) == PING
                    && let Some(time) = time.first_chunk()
                {
                    control(out, kind::USER_CONTROL, &user(PONG, u32::from_be_bytes(*time)));
                }
            }
            // What publishers say about their streams is not needed: their frames tell.
            _ => {}
        }
        Ok(None)
    }

    fn obey(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Broken> {
        match Command::read(body)? {
            Some(Command::Connect { number, app }) => {
                control(out, kind::WINDOW_SIZE, &WINDOW.to_be_bytes());
                let [a, b, c, d] = WINDOW.to_be_bytes();
                // 2: the publisher may choose a smaller one itself.
                control(out, kind::PEER_BANDWIDTH, &[a, b, c, d, 2]);
                command::connected(out, number);
                self.app = Some(app);
            }
            Some(Command::CreateStream { number }) => command::created(out, number),
            Some(Command::Publish { name }) => return self.asked(name),
            Some(Command::Play) => {
                let why = "watch over HTTP: nothing is played over RTMP here";
                self.refuse(out, "NetStream.Play.Failed", why);
                return Broken::because(why);
            }
            Some(Command::Unpublish) if self.phase == Phase::Publishing => {
                self.phase = Phase::Quiet;
                command::on_status(out, "status", "NetStream.Unpublish.Success", "published");
                return Ok(Some(Event::Ended));
            }
            Some(Command::Courtesy { number }) => {
                command::result(out, number, [Value::Null, Value::Null]);
            }
            Some(Command::Unpublish) | None => {}
        }
        Ok(None)
    }

    fn asked(&mut self, name: String) -> Result<Option<Event>, Broken> {
        let Some(app) = self.app.clone() else {
            return Broken::because("`publish` came before `connect`");
        };
        if self.phase != Phase::Quiet {
            return Broken::because("a connection publishes one stream: open another one");
        }
        self.phase = Phase::Asked;
        Ok(Some(Event::Publish { app, name }))
    }
}

fn control(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    chunk::write(out, CONTROL, kind, 0, body);
}

fn user(event: u16, value: u32) -> [u8; 6] {
    let ([a, b], [c, d, e, f]) = (event.to_be_bytes(), value.to_be_bytes());
    [a, b, c, d, e, f]
}

#[cfg(test)]
pub mod tests;
