//! Speaking a protocol of your own over TCP: one value, in an instance of its own, a connection.
//!
//! ```no_run
//! use trellis_sdk::socket::{Arrival, Reply, Socket};
//!
//! /// Sends back what it is sent.
//! struct Echo;
//! trellis_sdk::socket!(Echo);
//!
//! impl Socket for Echo {
//!     fn open(arrival: Arrival) -> (Self, Reply) {
//!         (Self, Reply::send(format!("hello {}\n", arrival.client_ip)))
//!     }
//!
//!     fn data(&mut self, bytes: Vec<u8>) -> Reply {
//!         Reply::send(bytes)
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Where it listens is in the manifest, in `[[listen]]`. Other instances reach a connection by its
//! number, through [`channels`](crate::channels).

use crate::bindings::socket::exports::trellis::streaming::socket_handler as wit;

pub use wit::{Arrival, Reply};

/// One connection.
pub trait Socket: Sized + 'static {
    /// A client has come.
    fn open(arrival: Arrival) -> (Self, Reply);

    /// The client sent bytes, at most 64 KiB at a time, cut anywhere.
    fn data(&mut self, bytes: Vec<u8>) -> Reply;

    /// All that was sent has been taken, which [`Reply::tell_drained`] asked to be told.
    fn drained(&mut self) -> Reply {
        Reply::nothing()
    }

    /// The time has come that [`Reply::wake`] asked for.
    fn woken(&mut self) -> Reply {
        Reply::nothing()
    }

    /// The connection has ended, whoever ended it.
    fn closed(&mut self, reason: String) {
        drop(reason);
    }

    /// What the next version of the plugin has to know to go on with the connection. `None`: it
    /// stays with this version.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Go on with what an earlier version saved. The error leaves the connection with that
    /// version.
    fn restore(arrival: Arrival, saved: Vec<u8>) -> Result<(Self, Reply), String> {
        drop((arrival, saved));
        Err("it goes on with nothing that was saved".to_owned())
    }
}

impl Reply {
    /// Nothing is to happen.
    pub fn nothing() -> Self {
        Self { send: Vec::new(), tell_drained: false, wake_ms: None, close: None }
    }

    /// Send these bytes.
    pub fn send(bytes: impl Into<Vec<u8>>) -> Self {
        Self { send: bytes.into(), ..Self::nothing() }
    }

    /// Close the connection once all has been sent.
    pub fn close(mut self, reason: impl Into<String>) -> Self {
        self.close = Some(reason.into());
        self
    }

    /// Call [`Socket::woken`] so many milliseconds from now.
    pub fn wake(mut self, milliseconds: u32) -> Self {
        self.wake_ms = Some(milliseconds);
        self
    }

    /// Call [`Socket::drained`] once the system has taken all.
    pub fn tell_drained(mut self) -> Self {
        self.tell_drained = true;
        self
    }
}

/// Export a type's [`Socket`](crate::socket::Socket) as what this plugin speaks over TCP.
#[macro_export]
macro_rules! socket {
    ($socket:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use ::std::cell::RefCell;
            use $crate::socket::{Arrival, Reply, Socket};

            ::std::thread_local! {
                /// The connection of this instance, from its beginning to its end.
                static SOCKET: RefCell<Option<$socket>> = const { RefCell::new(None) };
            }

            fn with<T>(work: impl FnOnce(&mut $socket) -> T) -> T {
                SOCKET.with_borrow_mut(|socket| {
                    work(socket.as_mut().expect("the host opens a connection before anything else"))
                })
            }

            fn begin((socket, reply): ($socket, Reply)) -> Reply {
                SOCKET.set(Some(socket));
                reply
            }

            struct Handler;
            impl $crate::bindings::socket::exports::trellis::streaming::socket_handler::Guest
                for Handler
            {
                fn open(arrival: Arrival) -> Reply {
                    begin(<$socket as Socket>::open(arrival))
                }
                fn data(bytes: Vec<u8>) -> Reply {
                    with(|socket| socket.data(bytes))
                }
                fn drained() -> Reply {
                    with(|socket| socket.drained())
                }
                fn woken() -> Reply {
                    with(|socket| socket.woken())
                }
                fn closed(reason: String) {
                    with(|socket| socket.closed(reason));
                    SOCKET.set(None);
                }
                fn save() -> Option<Vec<u8>> {
                    with(|socket| socket.save())
                }
                fn restore(
                    arrival: Arrival,
                    saved: Vec<u8>,
                ) -> ::std::result::Result<Reply, String> {
                    <$socket as Socket>::restore(arrival, saved).map(begin)
                }
            }
            $crate::bindings::socket::export_socket!(
                Handler with_types_in $crate::bindings::socket
            );
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = <$socket as $crate::socket::Socket>::data;
        };
    };
}
