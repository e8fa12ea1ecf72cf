//! A guest's standard output and error, as lines of the log.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{Level, MAX_LINE, Prepared};

/// One of a store's standard streams. All that the guest opens share the line that has begun.
#[derive(Clone)]
pub struct Stream(Arc<Shared>);

struct Shared {
    log: Arc<Prepared>,
    level: Level,
    name: &'static str,
    line: Mutex<Vec<u8>>,
}

impl Stream {
    /// `stdout`: lines of level info.
    pub fn stdout(log: &Arc<Prepared>) -> Self {
        Self::new(log, Level::Info, "stdout")
    }

    /// `stderr`: lines of level warn, where panics are.
    pub fn stderr(log: &Arc<Prepared>) -> Self {
        Self::new(log, Level::Warn, "stderr")
    }

    fn new(log: &Arc<Prepared>, level: Level, name: &'static str) -> Self {
        Self(Arc::new(Shared { log: log.clone(), level, name, line: Mutex::default() }))
    }
}

impl Shared {
    /// Write what is whole; keep the rest, which never grows beyond a line's cap.
    fn write(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in part.chunks(MAX_LINE) {
                if line.len() + piece.len() > MAX_LINE {
                    self.end(&mut line);
                }
                line.extend_from_slice(piece);
            }
            if part.ends_with(b"\n") {
                self.end(&mut line);
            }
        }
    }

    fn end(&self, line: &mut Vec<u8>) {
        let whole = line.strip_suffix(b"\n").unwrap_or(line);
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        if !whole.is_empty() {
            self.log.write(self.level, None, self.name, &String::from_utf8_lossy(whole));
        }
        line.clear();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut line = std::mem::take(self.line.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.end(&mut line);
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a guest may write at a time.
const PERMIT: usize = 64 << 10;

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}
