//! Being asked about connections: websockets, event streams, and answers that go on.
//!
//! ```no_run
//! use trellis_sdk::{channels::{self, Start}, connection::{Accepted, Connections, Event, Refused, Request, What}};
//!
//! struct Room;
//! trellis_sdk::connection!(Room);
//!
//! impl Connections for Room {
//!     fn open(request: Request) -> Result<Accepted, Refused> {
//!         let name = request.param("name").unwrap_or("nobody").to_owned();
//!         Ok(Accepted::new().tag(name).join("room", Start::Recent(10)))
//!     }
//!
//!     fn events(batch: Vec<Event>) {
//!         for event in batch {
//!             if let What::Message(channels::Frame::Text(text)) = event.what {
//!                 let _ = channels::publish("room", format!("{}: {text}", event.tag));
//!             }
//!         }
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! No connection belongs to an instance: the next event may come to another one, or to the next
//! version of the plugin. What has to be known of a connection goes into its tag.

use crate::bindings::streaming::exports::trellis::streaming::connection_handler as wit;
use crate::channels::{Frame, Start};

pub use wit::{Accepted, Closing, Event, Refused, Request, Transport, What};

/// What a plugin with connections decides.
pub trait Connections {
    /// Whether a connection is let in, and how. Until this returns nothing can be sent to it.
    fn open(request: Request) -> Result<Accepted, Refused>;

    /// What happened on connections. What this asks of channels is done when it returns; after a
    /// trap nothing is, and the events come again one by one.
    fn events(batch: Vec<Event>);
}

impl Request {
    /// A parameter of the route.
    pub fn param(&self, name: &str) -> Option<&str> {
        find(&self.params, name)
    }

    /// A header field, by its name in lower case; the first of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// A parameter of the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Default for Accepted {
    fn default() -> Self {
        Self::new()
    }
}

impl Accepted {
    /// Let it in, with an empty tag and no channel.
    pub fn new() -> Self {
        let (headers, join, first) = (Vec::new(), Vec::new(), Vec::new());
        Self { headers, protocol: None, tag: String::new(), join, first, icy: None }
    }

    /// What comes with each event of the connection; at most 4,096 bytes.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// A channel that it hears from the beginning.
    pub fn join(mut self, channel: impl Into<String>, start: Start) -> Self {
        self.join.push((channel.into(), start));
        self
    }

    /// A frame that it gets before anything else; behind those added before.
    pub fn first(mut self, frame: impl Into<Frame>) -> Self {
        self.first.push(frame.into());
        self
    }

    /// A further header field of the answer.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Put the title of its channel among the bytes of a stream, after each so many.
    pub fn icy(mut self, interval: u32) -> Self {
        self.icy = Some(interval);
        self
    }

    /// The subprotocol of a websocket: one of those it offers.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }
}

impl Refused {
    /// An answer with this status and a sentence.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.into().into_bytes() }
    }

    /// A further header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Export a type's [`Connections`](crate::connection::Connections) as those of this plugin.
#[macro_export]
macro_rules! connection {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::connection::{Accepted, Connections, Event, Refused, Request};
            struct Handler;
            impl $crate::bindings::streaming::exports::trellis::streaming::connection_handler::Guest
                for Handler
            {
                fn open(request: Request) -> ::std::result::Result<Accepted, Refused> {
                    <$plugin as Connections>::open(request)
                }
                fn events(batch: Vec<Event>) {
                    <$plugin as Connections>::events(batch)
                }
            }
            $crate::bindings::streaming::export_connection!(
                Handler with_types_in $crate::bindings::streaming
            );
        };
        // A native build tests it without exporting it.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            let _ = <$plugin as $crate::connection::Connections>::events;
        };
    };
}
