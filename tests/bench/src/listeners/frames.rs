//! Takes apart what a server sends to a listener.

/// What frames look like on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Websocket messages.
    #[default]
    Websocket,
    /// Payloads as they are, in the body of an answer. Their third number is their length.
    Stream,
}

/// A frame of a server, which masks nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// What kind of frame it is.
    pub opcode: u8,
    /// Without the header.
    pub payload: &'a [u8],
}

/// Messages that are bytes.
pub const BINARY: u8 = 2;
/// The last frame.
pub const CLOSE: u8 = 8;
/// Wants a [`PONG`] with the same payload.
pub const PING: u8 = 9;
/// Answers a [`PING`].
pub const PONG: u8 = 10;

/// The beginning of a frame whose end has not come.
#[derive(Debug)]
pub struct Frames {
    form: Form,
    begun: Vec<u8>,
}

impl Frames {
    /// Nothing has come.
    pub fn new(form: Form) -> Self {
        Self { form, begun: Vec::new() }
    }

    /// Hand over each frame that ends in these bytes.
    pub fn take<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { form, begun } = self;
        while !begun.is_empty() && !bytes.is_empty() {
            // Byte by byte until the header tells the length.
            let whole = form.span(begun).map_or(begun.len() + 1, |(header, size)| header + size);
            let (missing, rest) = bytes.split_at(bytes.len().min(whole - begun.len()));
            begun.extend_from_slice(missing);
            bytes = rest;
            if let Some((frame, _)) = form.first(begun) {
                each(frame)?;
                begun.clear();
            }
        }
        while let Some((frame, rest)) = form.first(bytes) {
            each(frame)?;
            bytes = rest;
        }
        begun.extend_from_slice(bytes);
        Ok(())
    }
}

impl Form {
    /// The first frame and what follows it.
    fn first(self, bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
        let (header, size) = self.span(bytes)?;
        let payload = bytes.get(header..header + size)?;
        let opcode = if self == Self::Stream { BINARY } else { bytes[0] & 0x0f };
        Some((Frame { opcode, payload }, &bytes[header + size..]))
    }

    /// The bytes of the header and of the payload, once they can be told.
    fn span(self, bytes: &[u8]) -> Option<(usize, usize)> {
        match self {
            Self::Websocket => websocket(bytes),
            Self::Stream => {
                let size = u64::from_le_bytes(*bytes.get(16..)?.first_chunk()?);
                // One without its numbers would never be over.
                Some((0, (size as usize).max(24)))
            }
        }
    }
}

fn websocket(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => Some((4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into())),
        127 => Some((10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize)),
        size => Some((2, size.into())),
    }
}

/// A short frame of a client. The mask is zero, which leaves the payload as it is.
pub fn short(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            size @ ..126 => frame.push(size as u8),
            size @ 126..65536 => {
                frame.push(126);
                frame.extend((size as u16).to_be_bytes());
            }
            size => {
                frame.push(127);
                frame.extend((size as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        frame
    }

    fn cut(form: Form, bytes: &[u8], payloads: &[Vec<u8>]) {
        for piece in [1, 2, 3, 7, 100, 1000, 65_540, bytes.len()] {
            let (mut frames, mut found) = (Frames::new(form), Vec::new());
            for piece in bytes.chunks(piece) {
                let each = |frame: Frame<'_>| {
                    assert_eq!(frame.opcode, BINARY);
                    found.push(frame.payload.to_vec());
                    Ok::<_, ()>(())
                };
                frames.take(piece, each).unwrap();
            }
            assert_eq!(found, payloads, "in pieces of {piece}");
            assert!(frames.begun.is_empty());
        }
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let sizes = [0, 1, 125, 126, 200, 65_535, 65_536];
        let payloads = sizes.map(|size| vec![size as u8; size]);
        let bytes = payloads.iter().flat_map(|payload| server(BINARY, payload));
        let bytes: Vec<u8> = bytes.collect();
        cut(Form::Websocket, &bytes, &payloads);
    }

    #[test]
    fn frames_of_a_stream_tell_their_length() {
        let payloads = [24_u64, 25, 200, 65_536].map(|size| {
            let mut payload = [7, 9, size].map(u64::to_le_bytes).concat();
            payload.resize(size as usize, b'.');
            payload
        });
        cut(Form::Stream, &payloads.concat(), &payloads);
    }

    #[test]
    fn a_pong_has_the_payload_of_its_ping() {
        assert_eq!(short(PONG, b"ab"), [0x8a, 0x82, 0, 0, 0, 0, b'a', b'b']);
    }
}
