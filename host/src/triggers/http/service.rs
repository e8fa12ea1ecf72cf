//! One request after the other: who asks, which plugin, its limits, its answer.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;
use tracing::field::display;

use super::{
    Settings, answer, blob,
    body::{self, Body, Limited, Problem, Room, Share},
    channel,
    client::{Client, Id, Peer},
    connection::{Busy, Pulse},
    door::{Door, Handover, Knock},
    meter::Meter,
    rate::Limiter,
    refusal::Refusal,
    request::{self, Asked, Fields},
    router::Captures,
    routes::{Binding, Routes},
    stream::Origin,
    traced,
};
use crate::{
    capabilities::produce::Ahead,
    observe::traces::Trace,
    plugins::Generation,
    runtime::{
        CallError, Lease,
        exports::http::{BodyError, Form, StreamBody, plain},
    },
};

/// How often a request looks for a generation that still takes calls. Each swap in the middle of
/// a request takes one attempt.
const ATTEMPTS: usize = 8;

/// What all connections share.
pub struct Edge {
    /// `[http]`
    pub settings: Settings,
    /// Who serves what.
    pub routes: Routes,
    /// Counts clients over all plugins, if the operator limits their rate.
    pub limiter: Option<Limiter>,
    /// Counts requests that no plugin saw.
    pub unrouted: Meter,
    /// For bodies that are held.
    pub room: Arc<Room>,
    /// Guests that go on after their answer.
    pub tasks: TaskTracker,
    /// Where requests for connections go on.
    pub door: Arc<dyn Door>,
}

/// One connection's requests.
pub struct Connection {
    /// What it shares with the others.
    pub edge: Arc<Edge>,
    /// The other end.
    pub peer: Peer,
    /// Its activity.
    pub pulse: Arc<Pulse>,
}

/// A request while it is served. It stays where it is and is lent: the futures that serve it
/// would be moved about with all that they hold.
struct Exchange<'a> {
    parts: Parts,
    payload: Payload,
    /// The room that it takes.
    share: Share,
    client: Client<'a>,
    id: &'a Id,
    /// The size of its head, in bytes.
    size: usize,
    host: Result<String, Refusal>,
    websocket: bool,
    /// What the client accepts, once the fields were handed on.
    accept: Option<HeaderValue>,
    busy: Option<Busy>,
    /// Who answers, once that is known.
    binding: Option<Arc<Binding>>,
    captures: Captures,
    /// Where its trace goes on, if it is traced.
    trace: Option<Trace>,
}

/// A request's body.
enum Payload {
    /// Still arriving.
    Arriving(Incoming),
    /// All of it.
    Whole(Bytes),
    /// Handed on.
    Gone,
}

impl Connection {
    /// Answer one request.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let began = Instant::now();
        let busy = Some(self.pulse.begin(request.version() == Version::HTTP_2));
        let (mut parts, body) = request.into_parts();
        let fields = Fields::of(&parts);
        let id = Id::of(&self.peer, fields.id);
        let proxies = &self.edge.settings.trusted_proxies;
        let client = self.peer.client(&parts.headers, fields.forwarded, proxies);
        let mut span = traced::begin(&parts.method, fields.trace.filter(|_| self.peer.trusted));
        let (size, host, websocket) = (fields.size, fields.host(&parts), fields.websocket);
        let forwarded = fields.forwarded;
        request::cleanse(&mut parts, forwarded, self.peer.trusted);
        let trace = span.as_ref().map(|span| traced::go_on(span, &mut parts.headers));
        let mut exchange = Exchange {
            parts,
            payload: Payload::Arriving(body),
            share: Share::default(),
            client,
            id: &id,
            size,
            host,
            websocket,
            accept: None,
            busy,
            binding: None,
            captures: Captures::default(),
            trace,
        };
        let outcome = self.edge.serve(&mut exchange).await;
        let Exchange { parts, payload, client, binding, accept, .. } = exchange;
        let response = outcome.inspect(|answer| note_answer(answer, binding.as_deref()));
        let response = response.unwrap_or_else(|refusal| {
            let accept = parts.headers.get(header::ACCEPT).or(accept.as_ref());
            answer::refused(&refusal, accept)
        });
        let (status, took) = (response.status(), began.elapsed());
        if let Some(span) = &mut span {
            let asked = traced::Asked { parts: &parts, client: &client, id: &id };
            traced::describe(span, &asked, binding.as_deref(), status);
        }
        let meter = binding.as_ref().map_or(&self.edge.unrouted, |binding| &binding.kept.meter);
        meter.count(status, took);
        let plugin = binding.as_ref().map_or("-", |binding| &binding.generation.plugin);
        tracing::debug!(
            id = id.as_str(), client = %client.text, method = %parts.method,
            path = parts.uri.path(), plugin, status = status.as_u16(), ?took, "request"
        );
        let mut response = answer::finish(response, &parts.method, id);
        let is_unread = matches!(&payload, Payload::Arriving(body) if !body.is_end_stream());
        // A stream of HTTP/2 ends alone.
        if is_unread && parts.version != Version::HTTP_2 {
            self.pulse.leave_unread();
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match response.into_parts() {
            (head, Body::Handover(connection)) => self.hand_over(&head, connection).await,
            (head, body) => Ok(Response::from_parts(head, body)),
        }
    }

    /// Hand the socket on to a connection. The server drops the request with hyper's side of the
    /// socket, so there is nothing to answer.
    async fn hand_over(
        &self,
        head: &http::response::Parts,
        connection: Box<dyn Handover>,
    ) -> Result<Response<Body>, Infallible> {
        let head = answer::head(head);
        let heir = |socket, place| connection.take_over(socket, place, head);
        self.pulse.bequeath(Box::new(heir));
        std::future::pending().await
    }
}

impl Edge {
    /// Find a generation that takes the call, and let it answer.
    async fn serve(&self, exchange: &mut Exchange<'_>) -> Result<Response<Body>, Refusal> {
        self.admit(exchange)?;
        if exchange.parts.method == Method::OPTIONS && exchange.parts.uri.path() == "*" {
            return Ok(options());
        }
        for attempt in 0..ATTEMPTS {
            let binding = self.route(exchange)?;
            if let (Some(limiter), 0) = (&binding.kept.limiter, attempt) {
                limiter.admit(exchange.client.ip).map_err(Refusal::too_many)?;
            }
            if binding.connect.is_some() {
                return Box::pin(self.connect(exchange, &binding)).await;
            }
            self.receive(exchange, &binding).await?;
            match binding.generation.lend().await {
                Ok(mut lease) => {
                    lease.state().call.caused_by(exchange.id.as_str(), exchange.trace.clone());
                    return match binding.generation.offered().http {
                        Some(Form::Packed | Form::Plain) => {
                            let answer = ask(lease, exchange, &binding).await?;
                            match channel::is_named(&answer) {
                                true => Box::pin(self.tune(answer, exchange, &binding)).await,
                                false => Ok(answer),
                            }
                        }
                        _ => Box::pin(self.stream(lease, exchange, &binding)).await,
                    };
                }
                // The swap came before the end, so the routes know better by now.
                Err(CallError::Gone { .. }) => self.routes.refresh(),
                Err(error) => return Err(failed(&binding.generation, exchange, &error)),
            }
        }
        Err(Refusal::unavailable("the plugin is being replaced"))
    }

    /// Let the answer go on with the channel that it names.
    async fn tune(
        &self,
        answer: Response<Body>,
        exchange: &mut Exchange<'_>,
        binding: &Binding,
    ) -> Result<Response<Body>, Refusal> {
        let (generation, parts) = (&binding.generation, &exchange.parts);
        let tuned = channel::tune(answer, &*self.door, generation, parts, &mut exchange.busy);
        tuned.await.map_err(|problem| match problem {
            channel::Problem::Unfit(problem) => unfit(generation, exchange, &problem),
            channel::Problem::Refused(refusal) => refusal,
        })
    }

    fn admit(&self, exchange: &Exchange<'_>) -> Result<(), Refusal> {
        if let Some(limiter) = &self.limiter {
            limiter.admit(exchange.client.ip).map_err(Refusal::too_many)?;
        }
        if exchange.size > self.settings.max_header_bytes.as_usize() {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Refusal::new(status, "the head of the request is too large"));
        }
        Ok(())
    }

    fn route(&self, exchange: &mut Exchange<'_>) -> Result<Arc<Binding>, Refusal> {
        let host = exchange.host.as_ref().map_err(|refusal| *refusal)?;
        let path = request::target(&exchange.parts)?;
        let (binding, captures) = self.routes.find(host, path).ok_or(Refusal::not_found())?;
        if exchange.websocket && binding.connect.is_none() {
            return Err(Refusal::no_websocket());
        }
        exchange.captures = captures;
        exchange.binding = Some(binding.clone());
        Ok(binding)
    }

    /// Hand a request on that is one for a connection.
    async fn connect(
        &self,
        exchange: &mut Exchange<'_>,
        binding: &Binding,
    ) -> Result<Response<Body>, Refusal> {
        let Some(connect) = &binding.connect else { return Err(Refusal::not_found()) };
        let asked = Asked {
            parts: &exchange.parts,
            host: exchange.host.as_deref().map_err(|refusal| *refusal)?,
            client: &exchange.client,
            id: exchange.id,
            world: binding.generation.world(),
            names: &binding.names,
            captures: &exchange.captures,
        };
        let request = asked.connection();
        let knock = Knock {
            generation: &binding.generation,
            connect,
            request,
            parts: &mut exchange.parts,
            trace: exchange.trace.clone(),
            busy: exchange.busy.take(),
        };
        self.door.open(knock).await
    }

    /// Check the announced length, and read the body where the plugin gets it whole. No instance
    /// is taken while a body arrives.
    async fn receive(&self, exchange: &mut Exchange<'_>, binding: &Binding) -> Result<(), Refusal> {
        let Payload::Arriving(body) = &mut exchange.payload else { return Ok(()) };
        let most = self.most(binding);
        if body::announces_more(body, most) {
            return Err(Refusal::too_large());
        }
        if matches!(binding.generation.offered().http, Some(Form::Wasi02 | Form::Wasi03)) {
            return Ok(());
        }
        let timeout = self.settings.body_timeout();
        let share = &mut exchange.share;
        let body = body::collect(body, most, timeout, &self.room, share).await;
        let body = body.map_err(|problem| {
            tracing::debug!(id = exchange.id.as_str(), ?problem, "a body did not arrive");
            match problem {
                Problem::TooLarge => Refusal::too_large(),
                Problem::Slow => {
                    Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
                }
                Problem::Crowded => Refusal::unavailable("too many bodies arrive at once"),
                Problem::Broken => Refusal::bad_request("the body is broken"),
            }
        })?;
        exchange.payload = Payload::Whole(body);
        Ok(())
    }

    fn most(&self, binding: &Binding) -> u64 {
        binding.max_body.min(self.settings.max_body.0)
    }

    /// Ask a wasi:http guest, and pass its body on while it writes.
    async fn stream(
        &self,
        lease: Lease,
        exchange: &mut Exchange<'_>,
        binding: &Binding,
    ) -> Result<Response<Body>, Refusal> {
        let generation = &binding.generation;
        let pause = self.settings.body_timeout();
        let body: StreamBody = match std::mem::replace(&mut exchange.payload, Payload::Gone) {
            Payload::Arriving(body) => Limited::new(body, self.most(binding), pause).boxed_unsync(),
            Payload::Whole(body) => Full::new(body).map_err(BodyError::from).boxed_unsync(),
            Payload::Gone => Empty::new().map_err(BodyError::from).boxed_unsync(),
        };
        let https = exchange.client.https;
        let mut request = Request::new(body);
        *request.uri_mut() = request::absolute(&exchange.parts, https)?;
        *request.method_mut() = exchange.parts.method.clone();
        *request.headers_mut() = std::mem::take(&mut exchange.parts.headers);
        exchange.accept = request.headers().get(header::ACCEPT).cloned();
        let running = match generation.offered().http {
            Some(Form::Wasi03) => lease.handle_wasi03(request),
            _ => lease.handle_wasi02(https, request),
        };
        let mut running = running.map_err(|error| failed(generation, exchange, &error))?;
        let head = running.head().await;
        let head = head.map_err(|error| failed(generation, exchange, &error))?;
        let origin = Origin {
            generation: generation.clone(),
            id: exchange.id.clone(),
            pause,
            tasks: self.tasks.clone(),
            _busy: exchange.busy.take(),
        };
        answer::streamed(head, running, &exchange.parts.method, origin).await
    }
}

/// Ask a handler that gets the request whole and gives its answer whole.
async fn ask(
    mut lease: Lease,
    exchange: &mut Exchange<'_>,
    binding: &Binding,
) -> Result<Response<Body>, Refusal> {
    let body = match std::mem::replace(&mut exchange.payload, Payload::Gone) {
        Payload::Whole(body) => body,
        Payload::Arriving(_) | Payload::Gone => Bytes::new(),
    };
    let asked = Asked {
        parts: &exchange.parts,
        host: exchange.host.as_deref().map_err(|refusal| *refusal)?,
        client: &exchange.client,
        id: exchange.id,
        world: binding.generation.world(),
        names: &binding.names,
        captures: &exchange.captures,
    };
    if let Some(producer) = &mut lease.state().own.produce {
        producer.begin_ahead();
    }
    let outcome = match binding.generation.offered().http {
        Some(Form::Packed) => packed(&mut lease, asked.pack(), body).await,
        _ => plain(&mut lease, asked.plain(body)).await,
    };
    let outcome = outcome.map_err(|error| failed(&binding.generation, exchange, &error))?;
    let ahead = lease.state().own.produce.as_mut().map(|producer| producer.take_ahead());
    let deadline = lease.deadline();
    let blobs = lease.state().own.blobs.clone();
    drop(lease);
    let outcome = outcome.and_then(|response| within(response, binding.max_response));
    let answer = outcome.map_err(|problem| unfit(&binding.generation, exchange, &problem))?;
    if let Some(ahead) = ahead.filter(|ahead| !ahead.is_durable()) {
        settle(ahead, deadline, exchange, binding).await?;
    }
    if !blob::is_named(&answer) {
        return Ok(answer);
    }
    let origin = blob::Origin {
        parts: &exchange.parts,
        id: exchange.id,
        generation: &binding.generation,
        patience: deadline.saturating_duration_since(Instant::now()),
        busy: &mut exchange.busy,
    };
    // Boxed: most answers have none.
    let filled = Box::pin(blob::fill(answer, blobs, origin)).await;
    filled.map_err(|problem| match problem {
        blob::Problem::Unfit(problem) => unfit(&binding.generation, exchange, &problem),
        blob::Problem::Refused(refusal) => refusal,
    })
}

/// Hold an answer back until what was sent ahead of it is durable.
async fn settle(
    ahead: Ahead,
    deadline: Instant,
    exchange: &Exchange<'_>,
    binding: &Binding,
) -> Result<(), Refusal> {
    let problem = match timeout_at(deadline.into(), ahead.durable()).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it was not durable within the deadline of the call".to_owned(),
    };
    let generation = &binding.generation;
    if generation.tells() {
        let (id, plugin) = (exchange.id.as_str(), &generation.plugin);
        let trace = exchange.trace.as_ref().map(|trace| display(trace.id()));
        tracing::warn!(id, trace, %plugin, problem, "what a request brought was not written");
    }
    Err(Refusal::unavailable("what was sent cannot be stored now"))
}

/// What a plugin answered, if HTTP allows it.
type Answered = Result<Response<Body>, String>;

async fn packed(lease: &mut Lease, head: Vec<u8>, body: Bytes) -> Result<Answered, CallError> {
    let (head, body) = lease.handle_packed(head, body).await?;
    let (status, count) = (head.status, head.count());
    Ok(answer::response(status, head.into_headers(), count, body))
}

async fn plain(lease: &mut Lease, request: plain::Request) -> Result<Answered, CallError> {
    // Boxed: the record is large, and this form is not the fast one.
    let answer = Box::pin(lease.handle_plain(request)).await?;
    let count = answer.headers.len();
    let fields = answer.headers.into_iter().map(|(name, value)| (name.into(), value.into()));
    Ok(answer::response(answer.status, fields, count, answer.body.into()))
}

fn within(response: Response<Body>, most: usize) -> Answered {
    match response.body().length() {
        length if length > most => {
            Err(format!("a body of {length} bytes; `[http] max-response` allows {most}"))
        }
        _ => Ok(response),
    }
}

fn options() -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

/// A call gave no answer: note it, log it once, tell the client no more than it needs.
fn failed(generation: &Generation, exchange: &Exchange<'_>, error: &CallError) -> Refusal {
    generation.note(error);
    if !generation.tells() {
        return error.into();
    }
    let Exchange { parts, id, trace, .. } = exchange;
    let (id, method, path) = (id.as_str(), &parts.method, parts.uri.path());
    let trace = trace.as_ref().map(|trace| display(trace.id()));
    let (plugin, kind) = (&generation.plugin, error.kind());
    if error.is_fault() {
        tracing::error!(id, trace, %plugin, kind, %method, path, %error, "a request failed");
    } else {
        tracing::warn!(id, trace, %plugin, kind, %method, path, %error, "a request was turned away");
    }
    error.into()
}

/// A plugin's own word that it failed counts like a failure.
fn note_answer(answer: &Response<Body>, binding: Option<&Binding>) {
    if let Some(binding) = binding.filter(|_| answer.status().is_server_error()) {
        binding.generation.note_bad_answer();
    }
}

/// A plugin answered something that cannot be sent.
fn unfit(generation: &Generation, exchange: &Exchange<'_>, problem: &str) -> Refusal {
    let Exchange { parts, id, trace, .. } = exchange;
    let (id, method, path) = (id.as_str(), &parts.method, parts.uri.path());
    let trace = trace.as_ref().map(|trace| display(trace.id()));
    let plugin = &generation.plugin;
    generation.note_bad_answer();
    if generation.tells() {
        tracing::error!(id, trace, %plugin, %method, path, problem, "an answer cannot be sent");
    }
    Refusal::broken()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<C, R, F: Future>(_: impl FnOnce(C, R) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_request_stays_small() {
        let size = size(Connection::answer);
        assert!(size <= 4500, "{size} bytes");
    }
}
