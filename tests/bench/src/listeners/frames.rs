//! Takes apart what a server sends on a websocket.

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
#[derive(Debug, Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// Hand over each frame that ends in these bytes.
    pub fn take<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.0.is_empty() && !bytes.is_empty() {
            // Byte by byte until the header tells the length.
            let whole = span(&self.0).map_or(self.0.len() + 1, |(header, size)| header + size);
            let (missing, rest) = bytes.split_at(bytes.len().min(whole - self.0.len()));
            self.0.extend_from_slice(missing);
            bytes = rest;
            if let Some((frame, _)) = first(&self.0) {
                each(frame)?;
                self.0.clear();
            }
        }
        while let Some((frame, rest)) = first(bytes) {
            each(frame)?;
            bytes = rest;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The first frame and what follows it.
fn first(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (header, size) = span(bytes)?;
    let payload = bytes.get(header..header + size)?;
    Some((Frame { opcode: bytes[0] & 0x0f, payload }, &bytes[header + size..]))
}

/// The bytes of the header and of the payload, once they can be told.
fn span(bytes: &[u8]) -> Option<(usize, usize)> {
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

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let sizes = [0, 1, 125, 126, 200, 65_535, 65_536];
        let payloads = sizes.map(|size| vec![size as u8; size]);
        let bytes = payloads.iter().flat_map(|payload| server(BINARY, payload));
        let bytes: Vec<u8> = bytes.collect();
        for piece in [1, 2, 3, 7, 100, 1000, 65_540, bytes.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                let each = |frame: Frame<'_>| {
                    assert_eq!(frame.opcode, BINARY);
                    found.push(frame.payload.to_vec());
                    Ok::<_, ()>(())
                };
                frames.take(piece, each).unwrap();
            }
            assert_eq!(found, payloads, "in pieces of {piece}");
            assert!(frames.0.is_empty());
        }
    }

    #[test]
    fn a_pong_has_the_payload_of_its_ping() {
        assert_eq!(short(PONG, b"ab"), [0x8a, 0x82, 0, 0, 0, 0, b'a', b'b']);
    }
}
