//! Who comes in: asks the plugin, and answers as it decides.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, Version, header, request::Parts};

use super::{
    Connections,
    desk::Origin,
    lane,
    meters::Open,
    shard::Protocol,
    socket::{self, Coming, SocketOutlet, Streaming, Told},
    stream::Stream,
    websocket::{Handshake, wanted},
};
use crate::{
    backends::channels::{Effect, Form, Outlet, Reader, Rules, Space},
    capabilities::channels,
    manifest::Connect,
    plugins::Generation,
    runtime::{
        CallError,
        exports::connection::{self, Accepted, INTERVALS, Opened, Refused, Request, Transport},
    },
    triggers::http::{Body, Busy, Knock, Refusal, Tune, response},
};

/// How often a request looks for a generation that still takes calls.
const ATTEMPTS: usize = 8;
/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(20);

/// What is needed to open a websocket, beside what every connection needs.
struct Upgrade {
    handshake: Handshake,
    upgrade: hyper::upgrade::OnUpgrade,
}

impl Connections {
    /// Ask the plugin about a request, and open the connection if it lets it in.
    pub(super) async fn decide(
        self: Arc<Self>,
        knock: Knock<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let only_head = knock.parts.method == Method::HEAD;
        if knock.parts.method != Method::GET && !only_head {
            return Ok(not_a_get());
        }
        let upgrade = if wanted(&knock.parts.headers) && !only_head {
            match socket::knock(knock.parts) {
                Ok((handshake, upgrade)) => Some(Upgrade { handshake, upgrade }),
                Err(refusal) => return Ok(socket::unfit(refusal)),
            }
        } else {
            None
        };
        self.check_open()?;
        if self.desk(knock.generation).is_crowded() {
            return Err(Refusal::unavailable("too much that was said waits for the plugin"));
        }
        let space = self.space(&knock.generation.plugin);
        let Knock { generation, connect, mut request, parts, trace, busy } = knock;
        request.connection = space.number();
        match &upgrade {
            Some(upgrade) => {
                request.transport = Transport::Websocket;
                request.protocols.clone_from(&upgrade.handshake.protocols);
            }
            None if wants_events(&parts.headers) => {
                request.transport = Transport::EventStream;
                request.last_event = last_event(&parts.headers);
            }
            None => request.transport = Transport::Stream,
        }
        let (number, transport) = (request.connection, request.transport);
        let (generation, opened) = self.ask(generation.clone(), request, trace).await?;
        let accepted = match opened {
            Ok(accepted) => accepted,
            Err(refused) => return answer_refused(&generation, refused),
        };
        let (mut head, accepted) = accept(&generation, accepted, upgrade.as_ref())?;
        if only_head {
            dress(head.headers_mut(), transport);
            return Ok(head);
        }
        let origin = Origin::new(number, self.desk(&generation), space.clone());
        let handled = true;
        let party = Party { space: space.clone(), origin, generation, accepted, handled };
        let answer = match upgrade {
            Some(upgrade) => self.open_socket(head, party, upgrade, connect).await,
            None => {
                let kind = Kind::new(transport, parts, party.accepted.icy);
                Ok(self.open_stream(head, party, kind, connect, busy).await)
            }
        };
        // Whoever ended all of them may have done so before this one was there.
        if self.stopping.load(Ordering::SeqCst) || !lane::is_live(&self.live, space.plugin()) {
            super::end(&space, "nobody is there any longer", |id| id == number);
        }
        answer
    }

    /// Let the answer to a plain request go on with a channel.
    pub(super) async fn stream(
        &self,
        tune: Tune<'_>,
        head: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let Tune { generation, parts, channel, start, icy, busy } = tune;
        self.check_open()?;
        let (space, plugin) = (self.space(&generation.plugin), generation.plugin.clone());
        let number = space.number();
        let transport = match is_event_stream(head.headers()) {
            true => Transport::EventStream,
            false => Transport::Stream,
        };
        let again = last_event(&parts.headers).filter(|_| transport == Transport::EventStream);
        let join = vec![(channel, again.map_or(start, connection::Start::After))];
        let (headers, protocol, first) = (Vec::new(), None, Vec::new());
        let accepted = Accepted { headers, protocol, tag: String::new(), join, first, icy };
        let kind = Kind::new(transport, parts, accepted.icy);
        let origin = Origin::new(number, self.desk(generation), space.clone());
        let (handled, generation) = (false, generation.clone());
        let party = Party { space: space.clone(), origin, generation, accepted, handled };
        let connect = party.generation.manifest().connect.clone().unwrap_or_default();
        let answer = self.open_stream(head, party, kind, &connect, busy).await;
        if self.stopping.load(Ordering::SeqCst) || !lane::is_live(&self.live, &plugin) {
            super::end(&space, "nobody is there any longer", |id| id == number);
        }
        Ok(answer)
    }

    /// Whether anybody is let in.
    fn check_open(&self) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Refusal::unavailable("the host stops"));
        }
        match self.hub.is_ready() {
            true => Ok(()),
            false => Err(Refusal::unavailable("what other hosts have said is not known yet")),
        }
    }

    /// The live generation's word. A swap in the middle takes another attempt.
    async fn ask(
        &self,
        mut generation: Arc<Generation>,
        request: Request,
        trace: Option<crate::observe::traces::Trace>,
    ) -> Result<(Arc<Generation>, Opened), Refusal> {
        for _ in 0..ATTEMPTS {
            let called = match generation.lend().await {
                Ok(mut lease) => {
                    lease.state().call.caused_by(&request.id, trace.clone());
                    lease.open_connection(request.clone()).await
                }
                Err(error) => Err(error),
            };
            match called {
                Ok(opened) => return Ok((generation, opened)),
                Err(CallError::Gone { .. }) => tokio::time::sleep(SWAP).await,
                Err(error) => return Err(failed(&generation, &request, &error)),
            }
            let serving = lane::serving(&self.live, &generation.plugin);
            generation = serving.ok_or(Refusal::not_found())?;
        }
        Err(Refusal::unavailable("the plugin is being replaced"))
    }

    async fn open_socket(
        &self,
        head: Response<Body>,
        party: Party,
        upgrade: Upgrade,
        connect: &Connect,
    ) -> Result<Response<Body>, Refusal> {
        let Upgrade { handshake, upgrade } = upgrade;
        let answer = socket::switching(head, &handshake, party.accepted.protocol.as_deref())?;
        let outlet = SocketOutlet::default();
        let coming = Coming {
            upgrade,
            // From here on a client that goes away is noticed, while it is let in as well.
            origin: Told::new(party.origin.clone()),
            outlet: outlet.clone(),
            max_message: connect.max_message.as_usize(),
            max_waiting: connect.max_waiting.as_usize(),
            compressed: handshake.deflate.is_some(),
            open: Open::new(party.space.plugin(), "websocket"),
        };
        coming.tie(&party.origin);
        party.settle(Box::new(outlet)).await;
        self.tasks.spawn(coming.arrive(self.shards.clone()));
        Ok(answer)
    }

    /// A connection that is the body of its answer.
    async fn open_stream(
        &self,
        mut head: Response<Body>,
        party: Party,
        kind: Kind,
        connect: &Connect,
        busy: Option<Busy>,
    ) -> Response<Body> {
        dress(head.headers_mut(), kind.transport);
        let (form, protocol, name) = match kind.transport {
            Transport::EventStream => (Form::EventStream, Protocol::EventStream, "event-stream"),
            _ => (Form::Raw, Protocol::Raw { titles: kind.titles }, "stream"),
        };
        if let Some(interval) = kind.titles {
            head.headers_mut().insert("icy-metaint", HeaderValue::from(interval));
        }
        let max_waiting = connect.max_waiting.as_usize();
        // From here on a client that goes away is noticed, while it is let in as well.
        let (origin, told) = (party.origin.clone(), Told::new(party.origin.clone()));
        let open = Open::new(party.space.plugin(), name);
        *head.body_mut() = if kind.alone {
            let (outlet, shards) = (SocketOutlet::default(), self.shards.clone());
            party.settle(Box::new(outlet.clone())).await;
            let streaming = Streaming { protocol, origin: told, outlet, max_waiting, open, shards };
            Body::Handover(Box::new(streaming))
        } else {
            let reader = Reader::new(max_waiting);
            party.settle(reader.outlet()).await;
            told.take();
            Body::Frames(Box::pin(Stream::new(reader, form, origin, open, busy)))
        };
        head
    }
}

/// What a stream is.
#[derive(Clone, Copy)]
struct Kind {
    transport: Transport,
    /// Whether it has its socket alone: other requests of HTTP/2 share theirs.
    alone: bool,
    /// After how many bytes each its titles come, where its client wants them.
    titles: Option<u32>,
}

impl Kind {
    /// That of the answer to a request, with titles if both sides want them.
    fn new(transport: Transport, parts: &Parts, icy: Option<u32>) -> Self {
        let alone = parts.version < Version::HTTP_2;
        let wants = alone && transport == Transport::Stream && wants_titles(&parts.headers);
        Self { transport, alone, titles: icy.filter(|_| wants) }
    }
}

/// A connection that was let in, before it has an outlet.
struct Party {
    space: Arc<Space>,
    origin: Arc<Origin>,
    generation: Arc<Generation>,
    accepted: Accepted,
    /// Whether the plugin's connection handler is told of it.
    handled: bool,
}

impl Party {
    /// Admit it: what it gets first, then what it hears.
    async fn settle(self, outlet: Box<dyn Outlet>) {
        let Self { space, origin, generation, accepted, handled } = self;
        // Before anybody else can send to it.
        accepted.first.into_iter().for_each(|frame| outlet.send(frame.into()));
        match handled {
            true => space.admit(origin.id, &accepted.tag, outlet),
            false => space.admit_unhandled(origin.id, outlet),
        }
        let channels = generation.manifest().needs.channels.as_ref();
        let rules = channels.map_or_else(Rules::default, |channels| Rules::new(&channels.0));
        for (channel, start) in accepted.join {
            let join = Effect::Join(origin.id, channel, start.into());
            space.settled(&join, &rules).await;
            if let Err(error) = space.apply(join, &rules) {
                tracing::warn!(plugin = %generation.plugin, %error, "a connection does not hear all it should");
            }
        }
    }
}

/// The fields of a stream's answer that are the host's.
fn dress(headers: &mut HeaderMap, transport: Transport) {
    headers.remove(header::CONTENT_LENGTH);
    if transport == Transport::EventStream {
        let kind = HeaderValue::from_static("text/event-stream");
        headers.insert(header::CONTENT_TYPE, kind);
        // Proxies that gather an answer before they pass it on would hold it for ever.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
}

/// The head of the answer to a connection that is let in; the error is that of a plugin whose
/// answer cannot be sent.
fn accept(
    generation: &Generation,
    mut accepted: Accepted,
    upgrade: Option<&Upgrade>,
) -> Result<(Response<Body>, Accepted), Refusal> {
    let offered = upgrade.map_or(&[][..], |upgrade| &upgrade.handshake.protocols);
    let problem = match &accepted.protocol {
        Some(protocol) if !offered.contains(protocol) => {
            Some(format!("the subprotocol `{protocol}`, which the client does not offer"))
        }
        _ => beyond(&accepted).or_else(|| interval_beyond(accepted.icy?)),
    };
    let headers = std::mem::take(&mut accepted.headers);
    let head = problem.map_or_else(|| answer(200, headers, Bytes::new()), Err);
    Ok((head.map_err(|problem| unfit(generation, &problem))?, accepted))
}

/// What of it is beyond the limits of `trellis:streaming`.
fn beyond(accepted: &Accepted) -> Option<String> {
    let tag = Effect::Retag(0, accepted.tag.clone());
    let join = |(channel, start): &(String, connection::Start)| {
        Effect::Join(0, channel.clone(), (*start).into())
    };
    let send = |frame: &connection::Frame| Effect::Send(0, frame.clone().into());
    let mut effects = std::iter::once(tag)
        .chain(accepted.join.iter().map(join))
        .chain(accepted.first.iter().map(send));
    effects.find_map(|effect| channels::check(&effect).err()).map(|error| error.to_string())
}

fn interval_beyond(interval: u32) -> Option<String> {
    let (least, most) = (INTERVALS.start(), INTERVALS.end());
    let told = || format!("titles after each {interval} bytes; {least} to {most} are taken");
    (!INTERVALS.contains(&interval)).then(told)
}

fn answer_refused(generation: &Generation, refused: Refused) -> Result<Response<Body>, Refusal> {
    let Refused { status, headers, body } = refused;
    let response = answer(status, headers, body.into());
    let response = response.map_err(|problem| unfit(generation, &problem))?;
    if response.status().is_server_error() {
        generation.note_bad_answer();
    }
    Ok(response)
}

fn answer(
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> Result<Response<Body>, String> {
    let count = headers.len();
    response(status, headers.into_iter().map(|(n, v)| (n.into(), v.into())), count, body)
}

/// A plugin answered something that cannot be sent.
fn unfit(generation: &Generation, problem: &str) -> Refusal {
    generation.note_bad_answer();
    if generation.tells() {
        let plugin = &generation.plugin;
        tracing::error!(%plugin, problem, "the answer to a connection cannot be sent");
    }
    Refusal::broken()
}

fn failed(generation: &Generation, request: &Request, error: &CallError) -> Refusal {
    generation.note(error);
    if generation.tells() {
        let (id, path, plugin) = (&request.id, &request.path, &generation.plugin);
        tracing::error!(id, %plugin, kind = error.kind(), path, %error, "a connection was not decided about");
    }
    error.into()
}

fn not_a_get() -> Response<Body> {
    let text = "405: a connection is opened with GET; send that method\n";
    let mut response = Response::new(Body::whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = http::StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Whether the client takes an event stream, as browsers' `EventSource` says.
fn wants_events(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut kinds = kinds.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// Whether an answer says that it is an event stream.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("text/event-stream")
}

/// Whether the client is a player that looks for titles among the bytes.
fn wants_titles(headers: &HeaderMap) -> bool {
    headers.get("icy-metadata").is_some_and(|value| value.as_bytes().trim_ascii() == b"1")
}

/// Where an event stream that comes back has been.
fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_is_what_the_client_accepts_as_one() {
        let wants = |accept: &'static str| {
            let accept = HeaderValue::from_static(accept);
            wants_events(&HeaderMap::from_iter([(header::ACCEPT, accept)]))
        };
        assert!(wants("text/event-stream") && wants("text/html, Text/Event-Stream;q=0.5"));
        assert!(!wants("*/*") && !wants("text/event-streams") && !wants_events(&HeaderMap::new()));
    }

    #[test]
    fn a_place_in_a_stream_is_a_number_or_nothing() {
        let last = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            last_event(&HeaderMap::from_iter([("last-event-id".parse().ok()?, value)]))
        };
        assert_eq!(
            (last("17"), last(" 17 "), last("x"), last("-1")),
            (Some(17), Some(17), None, None)
        );
    }
}
