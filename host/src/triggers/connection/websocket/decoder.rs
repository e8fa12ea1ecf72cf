//! Makes messages of the bytes that a client sends, in whatever pieces they arrive.
//!
//! Most messages arrive whole, in one frame: those are unmasked where they are and split off the
//! read buffer without a copy. Of others the decoder takes what is there, so the read buffer never
//! has to hold more than a read and the header or control frame that was cut off, 131 bytes. A
//! compressed message is inflated once it is whole, with an inflater that all connections of a
//! thread share.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Incoming, Inflater, Violation,
    header::{Header, Opcode, unmask},
    message::{Kind, Message},
};

#[cfg(test)]
mod tests;

/// Decodes the frames of one client.
///
/// Between messages it holds no heap. Within one it holds what has arrived of it and at most as
/// much again, which is why a message that is never completed is the caller's to end.
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    deflate: bool,
    /// Nothing is read behind a close frame or a violation.
    ended: bool,
    /// The data frame whose payload arrives.
    frame: Option<Frame>,
    /// The message whose frames arrive.
    message: Option<Message>,
}

/// The rest of a data frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Whether it ends the message.
    fin: bool,
    /// The mask for the next byte.
    mask: [u8; 4],
    /// Bytes of payload that have not arrived.
    rest: usize,
}

impl Decoder {
    /// A decoder of a connection's first bytes behind the handshake. Messages of more than
    /// `max_message` bytes, inflated if they are compressed, are refused. `deflate`: whether the
    /// handshake negotiated compressed messages.
    pub fn new(max_message: usize, deflate: bool) -> Self {
        Self { max_message, deflate, ended: false, frame: None, message: None }
    }

    /// The heap that an unfinished message takes, in bytes; 0 between messages.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.message.as_ref().map_or(0, Message::held)
    }

    /// Take the next message or control frame off the front of `input`, to which the caller
    /// appends what it reads; `None` if more has to be read first. What was whole in `input`
    /// shares its memory, so a small message that is kept for long is better copied.
    ///
    /// # Errors
    ///
    /// What the client did is not allowed, and its connection is to be closed: 1002 for frames
    /// against the protocol, 1007 for a payload that is not UTF-8 or cannot be inflated, 1009 for
    /// a message that is too large, as soon as that is known. Then, and behind a close frame, all
    /// further input is dropped and the answer is `None`.
    pub fn next(
        &mut self,
        input: &mut BytesMut,
        inflater: &mut Inflater,
    ) -> Result<Option<Incoming>, Violation> {
        if self.ended {
            input.clear();
            return Ok(None);
        }
        let outcome = self.advance(input, inflater);
        if matches!(outcome, Err(_) | Ok(Some(Incoming::Close { .. }))) {
            self.ended = true;
            self.message = None;
        }
        outcome
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        inflater: &mut Inflater,
    ) -> Result<Option<Incoming>, Violation> {
        loop {
            if self.frame.is_some() {
                if !self.take_payload(input)? {
                    return Ok(None);
                }
                if let Some(message) = self.take_finished() {
                    return self.complete(message, inflater).map(Some);
                }
            }
            let Some(header) = Header::parse(input, self.deflate)? else { return Ok(None) };
            let length = self.admit(&header)?;
            let is_whole = input.len() - header.size >= length;
            if header.opcode.is_control() {
                if !is_whole {
                    return Ok(None);
                }
                return control(header.opcode, take(&header, length, input).freeze()).map(Some);
            }
            if let Some(kind) = kind(header.opcode) {
                if is_whole && header.fin {
                    let payload = take(&header, length, input);
                    return self.whole(kind, header.compressed, payload, inflater).map(Some);
                }
                self.message = Some(Message::new(kind, header.compressed));
            }
            input.advance(header.size);
            self.frame = Some(Frame { fin: header.fin, mask: header.mask, rest: length });
        }
    }

    /// The length of a frame's payload, if the frame may come now and the message stays within
    /// its limit (RFC 6455, section 5.4).
    fn admit(&self, header: &Header) -> Result<usize, Violation> {
        let (so_far, compressed) = match (&self.message, header.opcode) {
            (Some(message), Opcode::Continuation) => (message.len(), message.compressed),
            (None, Opcode::Continuation) => {
                let says = "a continuation has no message; begin one with text or binary";
                return Err(Violation::protocol(says));
            }
            (Some(_), Opcode::Text | Opcode::Binary) => {
                let says = "a message begins within another; continue that until its last fragment";
                return Err(Violation::protocol(says));
            }
            _ => (0, header.compressed),
        };
        let most = if compressed { most_compressed(self.max_message) } else { self.max_message };
        match usize::try_from(header.length) {
            // A control frame has a limit of its own.
            Ok(length) if header.opcode.is_control() || length <= most - so_far => Ok(length),
            _ => Err(Violation::too_big(self.max_message)),
        }
    }

    /// Take what has arrived of the frame's payload; answers whether that was all of it.
    fn take_payload(&mut self, input: &mut BytesMut) -> Result<bool, Violation> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(true);
        };
        let arrived = frame.rest.min(input.len());
        // Only the last frame tells how large the message becomes.
        let most = if frame.fin { message.len() + frame.rest } else { usize::MAX };
        message.reserve(arrived, most);
        let payload = &mut input[..arrived];
        frame.mask = unmask(payload, frame.mask);
        frame.rest -= arrived;
        message.append(payload)?;
        input.advance(arrived);
        Ok(frame.rest == 0)
    }

    /// End the frame; answers the message if that was its last.
    fn take_finished(&mut self) -> Option<Message> {
        match self.frame.take() {
            Some(frame) if frame.fin => self.message.take(),
            _ => None,
        }
    }

    /// A message that arrived in pieces.
    fn complete(&self, message: Message, inflater: &mut Inflater) -> Result<Incoming, Violation> {
        if message.compressed {
            return message.kind.whole(inflater.inflate(message.bytes(), self.max_message)?);
        }
        message.end()
    }

    /// A message that arrived in one.
    fn whole(
        &self,
        kind: Kind,
        compressed: bool,
        payload: BytesMut,
        inflater: &mut Inflater,
    ) -> Result<Incoming, Violation> {
        if compressed {
            return kind.whole(inflater.inflate(&payload, self.max_message)?);
        }
        kind.whole(payload.freeze())
    }
}

/// How large a message of `max` bytes may be while it is compressed. The worst that an honest
/// compressor does is to write each byte in nine bits.
fn most_compressed(max: usize) -> usize {
    max.saturating_add(max / 8).saturating_add(64)
}

/// The kind of the message that a frame begins.
fn kind(opcode: Opcode) -> Option<Kind> {
    match opcode {
        Opcode::Text => Some(Kind::Text),
        Opcode::Binary => Some(Kind::Binary),
        _ => None,
    }
}

/// Split a whole frame off; answers its payload.
fn take(header: &Header, length: usize, input: &mut BytesMut) -> BytesMut {
    input.advance(header.size);
    let mut payload = input.split_to(length);
    unmask(&mut payload, header.mask);
    payload
}

/// What a whole control frame says (RFC 6455, section 5.5).
fn control(opcode: Opcode, payload: Bytes) -> Result<Incoming, Violation> {
    match opcode {
        Opcode::Ping => Ok(Incoming::Ping(payload)),
        Opcode::Pong => Ok(Incoming::Pong(payload)),
        _ => close(&payload),
    }
}

fn close(payload: &[u8]) -> Result<Incoming, Violation> {
    if payload.is_empty() {
        return Ok(Incoming::Close { code: None, reason: String::new() });
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(Violation::protocol("a close frame has half a code; send two bytes or none"));
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(Violation::protocol(
            "this close code may not be sent; choose a registered one",
        ));
    }
    let reason = String::from_utf8(reason.to_vec());
    let reason = reason.map_err(|_| Violation::data("the reason of a close frame is not utf-8"))?;
    Ok(Incoming::Close { code: Some(code), reason })
}

/// Whether a close code is registered, and not only for what never goes over the wire, or free to
/// use (RFC 6455, section 7.4, and its registry).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
