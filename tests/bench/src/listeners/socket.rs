//! One connection that listens.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
};

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;

use super::frames::{BINARY, CLOSE, Form, Frame, Frames, PING, PONG, short};

/// A websocket or a stream that listens.
pub struct Socket {
    stream: TcpStream,
    frames: Frames,
    /// The number of the frame that comes next.
    next: u64,
}

/// What a frame of the server begins with.
pub struct Heard {
    /// Its number.
    pub number: u64,
    /// What the publisher gave it.
    pub stamp: u64,
}

impl Socket {
    /// Connect, and wait until it is let in.
    pub fn connect(to: SocketAddr, path: &str, form: Form) -> Result<Self> {
        let stream = let_in(to, path, form)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), frames: Frames::new(form), next: 0 })
    }

    /// To be polled for frames.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Read all there is. Frames that are missing, come twice or in another order are errors, and
    /// so is the end.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(Heard) -> Result<()>,
    ) -> Result<()> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection of a listener"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let (stream, next) = (&mut self.stream, &mut self.next);
            self.frames.take(&buffer[..length], |frame| match frame.opcode {
                BINARY => {
                    let heard = heard(frame)?;
                    ensure!(heard.number == *next, "frame {} in place of {next}", heard.number);
                    *next += 1;
                    each(heard)
                }
                // A listener says nothing else, so there is room for it.
                PING => Ok(stream.write_all(&short(PONG, frame.payload))?),
                CLOSE => bail!("the server ends it: {}", farewell(frame.payload)),
                _ => Ok(()),
            })?;
            // As much as there was: the next bytes come with an event of their own.
            if length < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Connect, and wait until the server lets in who asks. Nothing is published meanwhile.
pub fn let_in(to: SocketAddr, path: &str, form: Form) -> Result<std::net::TcpStream> {
    let (fields, status) = match form {
        Form::Websocket => (
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "HTTP/1.1 101",
        ),
        Form::Stream => ("", "HTTP/1.1 200"),
    };
    let mut stream = std::net::TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{fields}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut bytes)?;
        ensure!(length > 0, "not let in: {}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&bytes[..length]);
    }
    let answer = String::from_utf8_lossy(&head);
    ensure!(answer.starts_with(status), "not let in: {answer}");
    Ok(stream)
}

fn heard(frame: Frame<'_>) -> Result<Heard> {
    let numbers = frame.payload.as_chunks::<8>().0;
    let [number, stamp, ..] = numbers else { bail!("a frame without number and stamp") };
    Ok(Heard { number: u64::from_le_bytes(*number), stamp: u64::from_le_bytes(*stamp) })
}

/// The code and the reason of the last frame.
fn farewell(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason))
        }
        None => "without a code".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Frame<'_> {
        Frame { opcode: BINARY, payload }
    }

    #[test]
    fn a_frame_begins_with_its_number_and_stamp() {
        let mut payload = [7_u64.to_le_bytes(), 9_u64.to_le_bytes()].concat();
        payload.push(b'.');
        let Heard { number, stamp } = heard(frame(&payload)).unwrap();
        assert_eq!((number, stamp), (7, 9));
        assert!(heard(frame(&payload[..15])).is_err());
    }

    #[test]
    fn the_reason_of_an_end_is_told() {
        assert_eq!(farewell(b"\x03\xf5too slow"), "1013 too slow");
        assert_eq!(farewell(b""), "without a code");
    }
}
