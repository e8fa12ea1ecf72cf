//! Connections whose socket a thread owns: from the answer to their request to that thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode, header, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::{net::TcpStream, time::timeout};

use super::{
    PATIENCE,
    desk::Origin,
    meters::Open,
    shard::{self, Ending, Handle, Inbox, Message, Newcomer, Protocol, Shards},
    websocket::{Decoder, Handshake, Refusal as Unfit, accept},
};
use crate::{
    backends::channels::{Channel, End, Frame, Kind, Listener, Outlet, Start},
    triggers::http::{Body, Handover, Place, Refusal, Socket},
};

/// A websocket that was let in, and whose socket hyper still has.
pub struct Coming {
    /// Gives the socket once the answer is out.
    pub upgrade: OnUpgrade,
    /// Who is told of what it sends.
    pub origin: Told,
    /// What was asked of it meanwhile.
    pub outlet: SocketOutlet,
    /// The largest message of the client, in bytes.
    pub max_message: usize,
    /// What may wait for it, in bytes.
    pub max_waiting: usize,
    /// Whether its client takes compressed messages.
    pub compressed: bool,
    /// Counts it.
    pub open: Open,
}

/// What keeps the connection counted, and its place among those of the server.
struct Guard {
    _place: Place,
    _open: Open,
}

/// Takes what the client sends to the plugin's desk.
struct Post(Arc<Origin>);

/// The other end of a websocket. Until a thread has its socket, what is asked of it waits.
#[derive(Clone, Default)]
pub struct SocketOutlet(Arc<Mutex<State>>);

enum State {
    Coming(Waiting),
    There(Handle),
}

/// What was asked of a connection before it had a socket.
#[derive(Default)]
struct Waiting {
    asked: Vec<Asked>,
    bytes: usize,
}

/// The most that may be asked of one, in bytes; more ends it.
const MOST_ASKED: usize = 1 << 20;

enum Asked {
    Join(Listener),
    Leave(Arc<Channel>),
    Send(Frame),
    Close(u16, String),
}

impl Default for State {
    fn default() -> Self {
        Self::Coming(Waiting::default())
    }
}

/// The handshake of a request, and what gives its socket later.
pub fn knock(parts: &mut Parts) -> Result<(Handshake, OnUpgrade), Unfit> {
    let handshake = accept(&parts.method, parts.version, &parts.headers)?;
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    Ok((handshake, upgrade.ok_or(Unfit::Http)?))
}

/// Why there is no websocket, as an answer.
pub fn unfit(refusal: Unfit) -> Response<Body> {
    let text = format!("{}: {refusal}\n", refusal.status().as_u16());
    let mut response = Response::new(Body::whole(text.into()));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    refusal.put_fields(headers);
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

/// The answer to a handshake, with the fields that a plugin gave.
pub fn switching(
    mut response: Response<Body>,
    handshake: &Handshake,
    protocol: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    for name in [header::CONTENT_LENGTH, header::SEC_WEBSOCKET_EXTENSIONS] {
        headers.remove(name);
    }
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept_key.clone());
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(protocol) = protocol {
        let value = header::HeaderValue::from_str(protocol).map_err(|_| Refusal::broken())?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    if let Some(deflate) = &handshake.deflate {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, deflate.answer.clone());
    }
    Ok(response)
}

impl Coming {
    /// Wait for the socket, and hand it to a thread. A client that goes away before that has been
    /// a connection all the same, and its plugin is told of its end.
    pub async fn arrive(self, shards: Arc<Shards>) {
        let told = self.origin;
        let upgraded = timeout(PATIENCE, self.upgrade).await;
        let taken = upgraded.ok().and_then(Result::ok).and_then(take);
        let Some((socket, place, leftover)) = taken else { return };
        let Some(origin) = told.take() else { return };
        let newcomer = Newcomer {
            socket,
            leftover,
            protocol: Protocol::Websocket {
                decoder: Decoder::new(self.max_message, self.compressed),
                compressed: self.compressed,
            },
            joined: Vec::new(),
            first: Bytes::new(),
            max_waiting: self.max_waiting,
            inbox: Arc::new(Post(origin)),
            guard: Box::new(Guard { _place: place, _open: self.open }),
        };
        self.outlet.arrive(&shards, newcomer);
    }

    /// Let the socket be read again whenever the desk says so.
    pub fn tie(&self, origin: &Origin) {
        let outlet = self.outlet.clone();
        origin.on_resume(move || {
            if let State::There(handle) = &*outlet.lock() {
                handle.resume();
            }
        });
    }
}

/// The bare socket, for a thread that polls it: nothing of tokio's may be left on it.
fn take(upgraded: Upgraded) -> Option<(std::net::TcpStream, Place, BytesMut)> {
    let parts = downcast::<TokioIo<Socket>>(upgraded).ok()?;
    let (stream, place) = parts.io.into_inner().into_parts()?;
    let socket = stream.into_std().ok()?;
    Some((socket, place, BytesMut::from(parts.read_buf)))
}

/// A stream that was let in, and takes its socket with the answer.
pub struct Streaming {
    /// An event stream, or frames as they are.
    pub protocol: Protocol,
    /// Who is told of its end.
    pub origin: Told,
    /// What was asked of it meanwhile.
    pub outlet: SocketOutlet,
    /// What may wait for it, in bytes.
    pub max_waiting: usize,
    /// Counts it.
    pub open: Open,
    /// The threads.
    pub shards: Arc<Shards>,
}

/// Tells of the end of a connection whose socket never comes.
pub struct Told(Option<Arc<Origin>>);

impl Told {
    /// Of this connection.
    pub fn new(origin: Arc<Origin>) -> Self {
        Self(Some(origin))
    }

    /// The connection has begun, and its end is told elsewhere.
    pub fn take(mut self) -> Option<Arc<Origin>> {
        self.0.take()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(origin) = self.0.take() {
            let reason = "the client went away before the connection was open".to_owned();
            origin.ended(End { code: 1006, reason });
        }
    }
}

impl Handover for Streaming {
    fn take_over(self: Box<Self>, socket: TcpStream, place: Place, head: Bytes) {
        let Self { protocol, origin, outlet, max_waiting, open, shards } = *self;
        // Where the system cannot let go of the socket, the connection ends.
        let Ok(socket) = socket.into_std() else { return };
        let Some(origin) = origin.take() else { return };
        let newcomer = Newcomer {
            socket,
            leftover: BytesMut::new(),
            protocol,
            joined: Vec::new(),
            first: head,
            max_waiting,
            inbox: Arc::new(Post(origin)),
            guard: Box::new(Guard { _place: place, _open: open }),
        };
        outlet.arrive(&shards, newcomer);
    }
}

impl SocketOutlet {
    /// A thread gets the socket, and all that was asked of it until now.
    fn arrive(&self, shards: &Shards, newcomer: Newcomer) {
        let mut state = self.lock();
        let handle = shards.add(newcomer);
        if let State::Coming(waiting) = std::mem::replace(&mut *state, State::There(handle.clone()))
        {
            waiting.asked.into_iter().for_each(|asked| asked.of(&handle));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, asked: Asked) {
        match &mut *self.lock() {
            State::Coming(waiting) => waiting.add(asked),
            State::There(handle) => asked.of(handle),
        }
    }
}

impl Waiting {
    /// One thing more, or the end where that is too much; nothing comes behind that.
    fn add(&mut self, asked: Asked) {
        if self.bytes > MOST_ASKED {
            return;
        }
        self.bytes += asked.length();
        self.asked.push(asked);
        if self.bytes > MOST_ASKED {
            let reason = "more was sent than the client reads".to_owned();
            self.asked = vec![Asked::Close(1013, reason)];
        }
    }
}

impl Asked {
    /// What it takes, in bytes.
    fn length(&self) -> usize {
        let inside = match self {
            Self::Send(frame) => size_of::<Frame>() + frame.payload().len(),
            Self::Close(_, reason) => reason.len(),
            Self::Join(_) | Self::Leave(_) => 0,
        };
        size_of::<Self>() + inside
    }

    fn of(self, handle: &Handle) {
        match self {
            Self::Join(listener) => handle.join(listener),
            Self::Leave(channel) => handle.leave(&channel),
            Self::Send(frame) => handle.send(frame),
            Self::Close(code, reason) => handle.close(code, &reason),
        }
    }
}

impl Outlet for SocketOutlet {
    fn join(&self, channel: Arc<Channel>, start: Start) {
        let (listener, _) = channel.listen(start);
        self.ask(Asked::Join(listener));
    }

    fn leave(&self, channel: &Arc<Channel>) {
        self.ask(Asked::Leave(channel.clone()));
    }

    fn send(&self, frame: Frame) {
        self.ask(Asked::Send(frame));
    }

    fn close(&self, code: u16, reason: &str) {
        self.ask(Asked::Close(code, reason.to_owned()));
    }

    fn waiting(&self) -> usize {
        match &*self.lock() {
            State::Coming(_) => 0,
            State::There(handle) => handle.waiting(),
        }
    }
}

impl Inbox for Post {
    fn message(&self, message: Message) -> bool {
        match message {
            Message::Text(payload) => self.0.message(Kind::Text, payload),
            Message::Binary(payload) => self.0.message(Kind::Binary, payload),
        }
    }

    fn ended(&self, ending: Ending) {
        // Plugins know one code for an end without one.
        let code = if ending.code == 1005 { 1006 } else { ending.code };
        self.0.ended(End { code, reason: ending.reason.into_owned() });
    }
}

/// How the threads treat connections.
pub fn shard_settings(settings: &super::Settings) -> shard::Settings {
    shard::Settings {
        stalled: settings.stalled.into(),
        ping: settings.ping.into(),
        ..shard::Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_a_socket_that_has_not_come_is_bounded_and_too_much_ends_it() {
        let outlet = SocketOutlet::default();
        for _ in 0..100 {
            outlet.send(Frame::binary(vec![0; 64 << 10]));
        }
        let State::Coming(waiting) = &*outlet.lock() else { panic!("it came") };
        assert!(matches!(&waiting.asked[..], [Asked::Close(1013, _)]));
    }
}
