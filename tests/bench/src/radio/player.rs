//! One listener of a station.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;

use super::icy::Icy;

/// The longest head of an answer.
const HEAD: usize = 8 << 10;
/// The end of it.
const END: &[u8] = b"\r\n\r\n";

/// A listener, and what it heard since it was last reset.
pub struct Player {
    stream: TcpStream,
    place: Place,
    /// Bytes of audio.
    pub audio: u64,
    /// Whether it was told the title that it waits for.
    pub is_told: bool,
}

/// What is read next.
enum Place {
    /// The head of the answer; what came of it.
    Head(Vec<u8>),
    /// Audio and titles.
    Body(Icy),
}

impl Player {
    /// Connect, and ask to be let in.
    pub fn connect(to: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = std::net::TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nicy-metadata: 1\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        let (stream, place) = (TcpStream::from_std(stream), Place::Head(Vec::new()));
        Ok(Self { stream, place, audio: 0, is_told: false })
    }

    /// Whether it was let in.
    pub fn is_in(&self) -> bool {
        matches!(self.place, Place::Body(_))
    }

    /// To be polled for audio.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Read all there is, and wait for this title. The end is an error.
    pub fn read(&mut self, buffer: &mut [u8], title: &[u8]) -> Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection of a listener"),
                Ok(length) => {
                    self.hear(&buffer[..length], title)?;
                    // As much as there was: the next bytes come with an event of their own.
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hear(&mut self, mut bytes: &[u8], wanted: &[u8]) -> Result<()> {
        if let Place::Head(head) = &mut self.place {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(END.len()).position(|window| window == END) else {
                ensure!(head.len() < HEAD, "not let in: {}", String::from_utf8_lossy(head));
                return Ok(());
            };
            let icy = let_in(&String::from_utf8_lossy(&head[..end]))?;
            // The end was not there before, so it lies in these bytes.
            bytes = &bytes[end + END.len() - before..];
            self.place = Place::Body(icy);
        }
        let Place::Body(icy) = &mut self.place else { return Ok(()) };
        let is_told = &mut self.is_told;
        self.audio += icy.take(bytes, |title| {
            *is_told |= !wanted.is_empty() && title.windows(wanted.len()).any(|w| w == wanted);
        })?;
        Ok(())
    }
}

/// The beginning of the stream behind this head.
fn let_in(head: &str) -> Result<Icy> {
    ensure!(head.split(' ').nth(1) == Some("200"), "not let in: {head}");
    Ok(Icy::every(interval(head).with_context(|| format!("no titles: {head}"))?))
}

/// The `icy-metaint` field.
fn interval(head: &str) -> Option<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = fields.filter(|(name, _)| name.eq_ignore_ascii_case("icy-metaint"));
    found.next()?.1.trim().parse().ok().filter(|interval| *interval > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_found_however_it_is_written() {
        assert_eq!(interval("HTTP/1.0 200 OK\r\nIcy-MetaInt:16000\r\na: b"), Some(16_000));
        assert_eq!(interval("HTTP/1.1 200 OK\r\nicy-metaint: 8192"), Some(8192));
        assert_eq!(interval("HTTP/1.1 200 OK\r\nicy-metaint: 0"), None);
    }
}
