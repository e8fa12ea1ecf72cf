//! What clients send over HTTP, to a host without plugins.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::sync::CancellationToken;
use trellis::{
    backends::channels::{self, Hub},
    plugins::Live,
    quantity::Millis,
    triggers::{
        connection::{self, Connections, Entrance},
        http::{Server, Settings},
    },
};

use super::Door;
use crate::Verdict;

/// How long the server may take to end a connection whose client says no more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that listens.
pub struct Edge {
    address: SocketAddr,
    _runtime: Runtime,
    _live: watch::Sender<Arc<Live>>,
}

impl Edge {
    /// Start the server.
    pub fn open() -> Result<Self> {
        let runtime = Runtime::new()?;
        let settings = Settings {
            listen: vec![([127, 0, 0, 1], 0).into()],
            header_timeout: Millis(1000),
            body_timeout: Millis(1000),
            ..Settings::default()
        };
        let (live, seen) = watch::channel(Arc::new(Live::default()));
        let hub = Arc::new(Hub::new(channels::Settings::default()));
        let connections = Connections::open(&connection::Settings::default(), hub, seen.clone())?;
        let door = Arc::new(Entrance(connections));
        let server = runtime.block_on(Server::open(settings, seen, door))?;
        let address = *server.addresses().first().context("it listens nowhere")?;
        runtime.spawn(server.run(CancellationToken::new()));
        Ok(Self { address, _runtime: runtime, _live: live })
    }

    fn ask(&self, input: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // The server may have seen enough before it has everything.
        let _ = socket.write_all(input).and_then(|()| socket.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        match read.map_err(|error| error.kind()) {
            Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("the connection is still open after {PATIENCE:?}")
            }
            _ => Ok(answer),
        }
    }
}

impl Door for Edge {
    fn feed(&mut self, input: &[u8]) -> Verdict {
        let Ok(answer) = self.ask(input) else { panic!("the server takes no connection") };
        // Nothing is installed, so nothing is found.
        let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        match status {
            Some(b"404") => Verdict::Taken,
            Some(other) if other.starts_with(b"5") => panic!("{}", answer.escape_ascii()),
            _ => Verdict::Refused,
        }
    }
}

/// Requests of both versions.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut second = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // An empty frame of settings, then the headers of `GET /` of the host `a`.
    second.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    second.extend([0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a']);
    let first = [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "POST /t/visit?n=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n{\"a\":1}",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET http://a/b HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1, 10.0.0.2\r\n\
         forwarded: for=10.0.0.1\r\nexpect: 100-continue\r\n\r\n",
    ];
    first.map(|text| text.as_bytes().to_vec()).into_iter().chain([second]).collect()
}
