//! The other side: just enough of a websocket client, which blocks.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use socket2::{Domain, Socket, Type};

use super::DEADLINE;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The client's side and the host's.
pub type Sides = (Client, TcpStream);

/// Where clients come in.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub fn enter(&self) -> Sides {
        self.accept(TcpStream::connect(self.address).unwrap())
    }

    /// A client whose system buffers next to nothing of what it does not read.
    pub fn enter_narrow(&self) -> Sides {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        socket.connect(&self.address.into()).unwrap();
        self.accept(socket.into())
    }

    fn accept(&self, stream: TcpStream) -> Sides {
        let (socket, peer) = self.listener.accept().unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        (Client { stream }, socket)
    }
}

/// A client.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.stream.write_all(&masked(opcode, payload)).unwrap();
    }

    /// The opcode and payload of the next frame.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let [first, second] = self.array();
        assert_eq!(first & 0x80, 0x80, "a frame that is no message");
        let length = match second {
            126 => u64::from(u16::from_be_bytes(self.array())),
            127 => u64::from_be_bytes(self.array()),
            length => u64::from(length),
        };
        assert!(length <= 16 << 20, "a frame of {length} bytes");
        (first & 0x7f, self.bytes(length as usize))
    }

    /// The next frame, which must be a text.
    pub fn text(&mut self) -> String {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, TEXT, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// The next frame, which must be a close frame.
    pub fn close(&mut self) -> (u16, String) {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, CLOSE);
        close_payload(&payload)
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// All there is until the end of file.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = vec![];
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// The code, 1005 for none, and reason of a close frame.
pub fn close_payload(payload: &[u8]) -> (u16, String) {
    match payload.split_first_chunk() {
        Some((code, reason)) => {
            (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
        }
        None => (1005, String::new()),
    }
}

/// A frame as clients send it.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 0, 0x55, 0xff];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
