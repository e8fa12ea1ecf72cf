//! Where requests for connections go on: the edge finds whose they are, and hands them over.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::net::TcpStream;

use super::{body::Body, connection::Busy, refusal::Refusal};
use crate::{
    manifest::Connect,
    observe::traces::Trace,
    plugins::Generation,
    runtime::exports::connection::{Request, Start},
};

/// A request for a connection.
pub struct Knock<'a> {
    /// Whose route it came to.
    pub generation: &'a Arc<Generation>,
    /// `[connect]` of that.
    pub connect: &'a Connect,
    /// As the plugin is told of it, but for what its transport adds.
    pub request: Request,
    /// Its head; what upgrades it is among the extensions.
    pub parts: &'a mut Parts,
    /// Where its trace goes on, if it is traced.
    pub trace: Option<Trace>,
    /// Keeps the connection from looking idle.
    pub busy: Option<Busy>,
}

/// A connection that begins with its answer, and then has the socket for itself.
pub trait Handover: Send + Sync {
    /// Go on with the socket; `head` is the answer's, ready to be written.
    fn take_over(self: Box<Self>, socket: TcpStream, place: Place, head: Bytes);
}

/// Takes requests for connections.
pub trait Door: Send + Sync {
    /// Decide about one: the answer opens the connection, or says why not.
    fn open<'a>(&'a self, knock: Knock<'a>) -> Opening<'a>;

    /// Let the frames of a channel be the body of an answer.
    fn stream<'a>(&'a self, tune: Tune<'a>, head: Response<Body>) -> Opening<'a>;
}

/// An answer whose body is a channel.
pub struct Tune<'a> {
    /// Whose channel it is.
    pub generation: &'a Arc<Generation>,
    /// The head of the request.
    pub parts: &'a Parts,
    /// The channel.
    pub channel: String,
    /// Where in it the body begins.
    pub start: Start,
    /// After how many bytes each the channel's title comes, for those who want it.
    pub icy: Option<u32>,
    /// Keeps the connection from looking idle.
    pub busy: Option<Busy>,
}

/// What [`Door::open`] comes to.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, Refusal>> + Send + 'a>>;

/// What keeps a place among the connections of the server for as long as it lives.
pub type Place = Arc<dyn Any + Send + Sync>;
