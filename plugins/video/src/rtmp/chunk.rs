//! Chunks: messages are cut into them, and those of several may be mixed.
//!
//! What a client declares costs nothing here: memory is taken as bytes come, and only as much as
//! the limits of its kind of message allow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Broken;

/// The kinds of messages that this server reads or writes.
pub mod kind {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_SIZE: u8 = 5;
    pub const PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const COMMAND: u8 = 20;
}

/// The most bytes of a chunk before somebody says otherwise; what this server writes stays there.
const CHUNK: usize = 128;
/// A timestamp that stands for one of 32 bits behind the header.
const EXTENDED: u32 = 0x00ff_ffff;
/// The longest header: a basic one of 3 bytes, a message's of 11 and a timestamp of 4.
const LONGEST: usize = 18;
/// Chunk streams that one connection may use. Encoders use five.
const MOST_STREAMS: usize = 32;
/// The longest message that is not video.
pub const MOST: usize = 64 << 10;
/// The longest picture: a key frame at 50 Mbit/s has about a quarter of this.
pub const MOST_VIDEO: usize = 4 << 20;
/// All messages of a connection that have begun and not ended.
const MOST_BEGUN: usize = MOST_VIDEO + (1 << 20);

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`], or one that nobody reads.
    pub kind: u8,
    /// Milliseconds, from wherever the publisher counts; goes round.
    pub timestamp: u32,
    /// What it says.
    pub body: Vec<u8>,
}

/// Puts messages together.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reader {
    /// The bytes of a header that is not yet whole.
    head: Vec<u8>,
    /// The chunk that is being read: its stream, and how much of it has yet to come.
    chunk: Option<(u32, usize)>,
    chunk_size: usize,
    streams: BTreeMap<u32, Stream>,
    /// Whether pictures may come. Until then every message is short.
    video: bool,
}

/// What is known of a chunk stream: the last message's header, and what came of its body.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Stream {
    timestamp: u32,
    delta: u32,
    length: usize,
    kind: u8,
    extended: bool,
    begun: bool,
    body: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        let streams = BTreeMap::new();
        Self { head: Vec::new(), chunk: None, chunk_size: CHUNK, streams, video: false }
    }
}

impl Reader {
    /// Let pictures come, which are long.
    pub fn expect_video(&mut self) {
        self.video = true;
    }

    /// The next message that the input completes; `None` once the input is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Broken> {
        loop {
            let (id, left) = match self.chunk {
                Some(chunk) => chunk,
                None => match self.header(input)? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            let left = self.fill(id, left, input);
            self.chunk = (left > 0).then_some((id, left));
            if left > 0 {
                return Ok(None);
            }
            if let Some(message) = self.whole(id)
                && !self.mine(&message)?
            {
                return Ok(Some(message));
            }
        }
    }

    /// Read a header and begin its chunk; `None` where bytes are missing.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<(u32, usize)>, Broken> {
        let before = self.head.len();
        let (more, _) = input.split_at(input.len().min(LONGEST - before));
        self.head.extend_from_slice(more);
        let Some((header, used)) = Header::read(&self.head, &self.streams) else {
            // One of the longest would be whole, so all of the input is in here.
            *input = &[];
            return Ok(None);
        };
        *input = input.get(used - before..).unwrap_or_default();
        self.head.clear();
        self.begin(&header).map(|left| Some((header.stream, left)))
    }

    /// Note what a header says; how many bytes its chunk has.
    fn begin(&mut self, header: &Header) -> Result<usize, Broken> {
        if !self.streams.contains_key(&header.stream) && self.streams.len() >= MOST_STREAMS {
            return Broken::because(format!("there are more than {MOST_STREAMS} chunk streams"));
        }
        let begun: usize =
            self.streams.values().filter(|other| other.begun).map(|other| other.length).sum();
        let stream = self.streams.entry(header.stream).or_default();
        if stream.begun {
            if header.form != Form::Nothing {
                return Broken::because("a message began before the last one had ended");
            }
            return Ok((stream.length - stream.body.len()).min(self.chunk_size));
        }
        stream.apply(header)?;
        let most = if self.video && stream.kind == kind::VIDEO { MOST_VIDEO } else { MOST };
        if stream.length > most || begun + stream.length > MOST_BEGUN {
            let length = stream.length;
            return Broken::because(format!(
                "a message of type {} has {length} bytes: at most {most} may come",
                stream.kind
            ));
        }
        stream.begun = true;
        Ok(stream.length.min(self.chunk_size))
    }

    /// Take what there is of a chunk; how much of it has yet to come.
    fn fill(&mut self, id: u32, left: usize, input: &mut &[u8]) -> usize {
        let (taken, rest) = input.split_at(left.min(input.len()));
        if let Some(stream) = self.streams.get_mut(&id) {
            if stream.body.capacity() - stream.body.len() < taken.len() {
                // Doubling, but never beyond what was declared.
                let room = (2 * stream.body.len()).max(MOST).min(stream.length);
                stream.body.reserve_exact(room.saturating_sub(stream.body.len()));
            }
            stream.body.extend_from_slice(taken);
        }
        *input = rest;
        left - taken.len()
    }

    /// The message of a stream, if its last byte has come.
    fn whole(&mut self, id: u32) -> Option<Message> {
        let stream = self.streams.get_mut(&id)?;
        if stream.body.len() < stream.length {
            return None;
        }
        stream.begun = false;
        let body = std::mem::take(&mut stream.body);
        Some(Message { kind: stream.kind, timestamp: stream.timestamp, body })
    }

    /// Do what a message says about chunks; whether it did.
    fn mine(&mut self, message: &Message) -> Result<bool, Broken> {
        let number = message.body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match (message.kind, number) {
            (kind::SET_CHUNK_SIZE, Some(size @ 128..=0x7fff_ffff)) => {
                self.chunk_size = size as usize;
            }
            (kind::SET_CHUNK_SIZE, size) => {
                let size = size.unwrap_or_default();
                return Broken::because(format!("a chunk size of {size}: send at least 128"));
            }
            (kind::ABORT, Some(id)) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.begun = false;
                    stream.body = Vec::new();
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// How much of a message's header a chunk repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All of it, with a timestamp: nothing is taken from before.
    Whole { timestamp: u32, length: usize, kind: u8 },
    /// Without the number of the message's stream; the time is that since the last one.
    Short { delta: u32, length: usize, kind: u8 },
    /// The time since the last message alone.
    Delta { delta: u32 },
    /// Nothing: the next chunk of a message, or a message like the last one.
    Nothing,
}

/// The header of a chunk.
#[derive(Debug)]
struct Header {
    stream: u32,
    form: Form,
    extended: bool,
}

impl Header {
    /// Read one, and how many bytes it has; `None` where some are missing.
    fn read(bytes: &[u8], streams: &BTreeMap<u32, Stream>) -> Option<(Self, usize)> {
        let first = *bytes.first()?;
        let (stream, at) = match first & 63 {
            0 => (64 + u32::from(*bytes.get(1)?), 2),
            1 => (64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3),
            id => (u32::from(id), 1),
        };
        let size = [11, 7, 3, 0][usize::from(first >> 6)];
        let fields = bytes.get(at..at + size)?;
        let time = number(fields);
        let extended = match size {
            0 => streams.get(&stream).is_some_and(|stream| stream.extended),
            _ => time == EXTENDED,
        };
        let used = at + size;
        let (time, used) = match extended {
            true => (u32::from_be_bytes(*bytes.get(used..)?.first_chunk()?), used + 4),
            false => (time, used),
        };
        let length = number(fields.get(3..).unwrap_or_default()) as usize;
        let kind = fields.get(6).copied().unwrap_or_default();
        let form = match size {
            11 => Form::Whole { timestamp: time, length, kind },
            7 => Form::Short { delta: time, length, kind },
            3 => Form::Delta { delta: time },
            _ => Form::Nothing,
        };
        Some((Self { stream, form, extended }, used))
    }
}

impl Stream {
    /// Begin a message: what its header says, and the rest as in the last one.
    fn apply(&mut self, header: &Header) -> Result<(), Broken> {
        match header.form {
            // A message with nothing but the last one's header comes at the same time behind this
            // one: so OBS means it, although the specification adds the timestamp again.
            Form::Whole { timestamp, length, kind } => {
                (self.timestamp, self.delta, self.length, self.kind) = (timestamp, 0, length, kind);
            }
            Form::Short { delta, length, kind } => {
                self.timestamp = self.timestamp.wrapping_add(delta);
                (self.delta, self.length, self.kind) = (delta, length, kind);
            }
            Form::Delta { delta } if self.kind != 0 => {
                self.timestamp = self.timestamp.wrapping_add(delta);
                self.delta = delta;
            }
            Form::Nothing if self.kind != 0 => {
                self.timestamp = self.timestamp.wrapping_add(self.delta);
            }
            Form::Delta { .. } | Form::Nothing => {
                let stream = header.stream;
                return Broken::because(format!(
                    "chunk stream {stream} does not begin with a whole header"
                ));
            }
        }
        if header.form != Form::Nothing {
            self.extended = header.extended;
        }
        Ok(())
    }
}

/// A number of 24 bits; 0 where there is none.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]))
}

/// Write a message in chunks, with the timestamp 0.
pub fn write(out: &mut Vec<u8>, chunk_stream: u8, kind: u8, message_stream: u32, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&[chunk_stream & 63, 0, 0, 0, length[1], length[2], length[3], kind]);
    out.extend_from_slice(&message_stream.to_le_bytes());
    for (at, piece) in body.chunks(CHUNK).enumerate() {
        if at > 0 {
            out.push(0xc0 | chunk_stream & 63);
        }
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests;
