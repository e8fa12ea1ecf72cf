//! Asks the server to publish, without waiting for the answer.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;

/// The end of an answer's head; these answers have no body.
const END: &[u8] = b"\r\n\r\n";

/// A connection that asks for frames.
pub struct Publisher {
    stream: TcpStream,
    path: String,
    /// What has come of an answer.
    head: Vec<u8>,
    /// Answers that have not come.
    unanswered: u64,
}

impl Publisher {
    /// Connect.
    pub fn connect(to: SocketAddr, path: &str) -> Result<Self> {
        let stream = std::net::TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        Ok(Self { stream, path: path.to_owned(), head: Vec::new(), unanswered: 0 })
    }

    /// To be polled for answers.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Answers that have not come.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// Ask for `count` frames of `size` bytes, numbered from `first`, that bear this stamp.
    pub fn ask(&mut self, first: u64, count: u64, size: u64, stamp: u64) -> Result<()> {
        let request = format!(
            "POST {}?first={first}&count={count}&size={size}&stamp={stamp} HTTP/1.1\r\n\
             host: bench\r\ncontent-length: 0\r\n\r\n",
            self.path
        );
        // It fits into the buffer of any server that reads what it is asked.
        let written = self.stream.write(request.as_bytes()).context("nothing reads requests")?;
        ensure!(written == request.len(), "nothing reads requests");
        self.unanswered += 1;
        Ok(())
    }

    /// Read what there is of answers.
    pub fn read(&mut self) -> Result<()> {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => bail!("the server closed the connection of the publisher"),
                Ok(length) => self.head.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(end) = self.head.windows(END.len()).position(|window| window == END) {
            let answer = String::from_utf8_lossy(&self.head[..end]);
            ensure!(answer.starts_with("HTTP/1.1 204"), "the server answers: {answer}");
            ensure!(self.unanswered > 0, "an answer that nobody asked for");
            self.unanswered -= 1;
            self.head.drain(..end + END.len());
        }
        Ok(())
    }
}
