//! One request after the other: who asks, which plugin, its limits, its answer.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

use super::{
    Settings,
    answer::{self, Refusal},
    body::{self, Body, Limited, Problem},
    client::{Client, Id, Peer},
    connection::{Busy, Pulse},
    meter::Meter,
    rate::Limiter,
    request::{self, Asked},
    router::Captures,
    routes::{Binding, Routes},
    stream,
};
use crate::{
    plugins::Generation,
    runtime::{
        CallError, Lease,
        exports::http::{BodyError, Form, Running, StreamBody},
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
    /// Counts clients, if their rate is limited.
    pub limiter: Option<Limiter>,
    /// Counts requests that no plugin saw.
    pub unrouted: Meter,
    /// Guests that go on after their answer.
    pub tasks: TaskTracker,
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

/// A request while it is served.
struct Exchange<'a> {
    parts: Parts,
    host: String,
    client: &'a Client<'a>,
    id: &'a Id,
    busy: Busy,
}

/// A request's body.
enum Payload {
    /// Still arriving.
    Arriving(Incoming),
    /// All of it.
    Whole(Bytes),
}

impl Connection {
    /// Answer one request.
    pub async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let began = Instant::now();
        let busy = self.pulse.begin(request.version() == http::Version::HTTP_2);
        let (parts, body) = request.into_parts();
        let id = Id::of(&self.peer, &parts.headers);
        let accept = parts.headers.get(header::ACCEPT).cloned();
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let client = self.peer.client(&parts.headers, &self.edge.settings.trusted_proxies);
        let mut binding = None;
        let outcome = self.edge.serve(parts, body, &client, &id, busy, &mut binding).await;
        let response = outcome.unwrap_or_else(|refusal| refusal.response(accept.as_ref()));
        let response = answer::finish(response, &method, &id);
        let status = response.status();
        let meter = binding.as_ref().map_or(&self.edge.unrouted, |binding| &binding.meter);
        let took = began.elapsed();
        meter.count(status, took);
        let plugin = binding.as_ref().map_or("-", |binding| &binding.generation.plugin);
        tracing::debug!(
            id = id.as_str(), client = %client.text, %method, path = uri.path(), plugin,
            status = status.as_u16(), ?took, "request"
        );
        Ok(response)
    }
}

impl Edge {
    async fn serve(
        &self,
        parts: Parts,
        body: Incoming,
        client: &Client<'_>,
        id: &Id,
        busy: Busy,
        bound: &mut Option<Arc<Binding>>,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(limiter) = &self.limiter {
            limiter.admit(client.ip).map_err(Refusal::too_many)?;
        }
        if request::head_size(&parts) > self.settings.max_header_bytes.as_usize() {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Refusal::new(status, "the head of the request is too large"));
        }
        let host = request::host(&parts)?.into_owned();
        if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
            return Ok(options());
        }
        let path = request::target(&parts)?;
        let found = self.routes.find(&host, path).ok_or(Refusal::not_found())?;
        let exchange = Exchange { parts, host, client, id, busy };
        self.call(exchange, body, found, bound).await
    }

    /// Find a generation that takes the call, and let it answer.
    async fn call(
        &self,
        exchange: Exchange<'_>,
        body: Incoming,
        mut found: (Arc<Binding>, Captures),
        bound: &mut Option<Arc<Binding>>,
    ) -> Result<Response<Body>, Refusal> {
        let mut payload = Payload::Arriving(body);
        for _ in 0..ATTEMPTS {
            let binding = &*bound.insert(found.0.clone());
            payload = self.receive(payload, binding, &exchange).await?;
            match binding.generation.lend().await {
                Ok(lease) => return self.ask(lease, exchange, payload, found.1, binding).await,
                Err(CallError::Gone { .. }) => {
                    self.routes.refresh();
                    let path = exchange.parts.uri.path();
                    found = self.routes.find(&exchange.host, path).ok_or(Refusal::not_found())?;
                }
                Err(error) => return Err(failed(&binding.generation, &exchange, &error)),
            }
        }
        Err(Refusal::unavailable("the plugin is being replaced"))
    }

    /// Check the announced length, and read the body where the plugin gets it whole. No instance
    /// is taken while a body arrives.
    async fn receive(
        &self,
        payload: Payload,
        binding: &Binding,
        exchange: &Exchange<'_>,
    ) -> Result<Payload, Refusal> {
        let Payload::Arriving(body) = payload else { return Ok(payload) };
        let most = self.most(binding);
        if body::announces_more(&body, most) {
            return Err(Refusal::too_large());
        }
        if matches!(binding.generation.offered().http, Some(Form::Wasi02 | Form::Wasi03)) {
            return Ok(Payload::Arriving(body));
        }
        let body = body::collect(body, most, self.settings.body_timeout()).await;
        body.map(Payload::Whole).map_err(|problem| {
            tracing::debug!(id = exchange.id.as_str(), ?problem, "a body did not arrive");
            match problem {
                Problem::TooLarge => Refusal::too_large(),
                Problem::Slow => {
                    Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
                }
                Problem::Broken => Refusal::bad_request("the body is broken"),
            }
        })
    }

    fn most(&self, binding: &Binding) -> u64 {
        binding.max_body.min(self.settings.max_body.0)
    }

    /// Ask an instance in the form that it speaks.
    async fn ask(
        &self,
        mut lease: Lease,
        exchange: Exchange<'_>,
        payload: Payload,
        captures: Captures,
        binding: &Binding,
    ) -> Result<Response<Body>, Refusal> {
        lease.state().call.cause = exchange.id.as_str().into();
        let body = match payload {
            Payload::Whole(body) => body,
            Payload::Arriving(_) => return self.stream(lease, exchange, payload, binding).await,
        };
        let asked = Asked {
            parts: &exchange.parts,
            host: &exchange.host,
            client: exchange.client,
            id: exchange.id,
            names: &binding.names,
            captures,
        };
        let outcome = match binding.generation.offered().http {
            Some(Form::Packed) => packed(&mut lease, &asked, body).await,
            Some(Form::Plain) => plain(&mut lease, &asked, body).await,
            _ => return self.stream(lease, exchange, Payload::Whole(body), binding).await,
        };
        let outcome = outcome.map_err(|error| failed(&binding.generation, &exchange, &error))?;
        let outcome = outcome.and_then(|response| within(response, binding.max_response));
        outcome.map_err(|problem| unfit(&binding.generation, &exchange, &problem))
    }

    /// Ask a wasi:http guest, and pass its body on while it writes.
    async fn stream(
        &self,
        lease: Lease,
        mut exchange: Exchange<'_>,
        payload: Payload,
        binding: &Binding,
    ) -> Result<Response<Body>, Refusal> {
        let generation = &binding.generation;
        let pause = self.settings.body_timeout();
        let body: StreamBody = match payload {
            Payload::Whole(body) => Full::new(body).map_err(BodyError::from).boxed_unsync(),
            Payload::Arriving(body) => Limited::new(body, self.most(binding), pause).boxed_unsync(),
        };
        let https = exchange.client.https;
        let uri = request::absolute(&exchange.parts, https)?;
        let mut request = Request::new(body);
        *request.method_mut() = exchange.parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = std::mem::take(&mut exchange.parts.headers);
        let running = match generation.offered().http {
            Some(Form::Wasi03) => lease.handle_wasi03(request),
            _ => lease.handle_wasi02(https, request),
        };
        let answered = async {
            let mut running = running?;
            let head = running.head().await?;
            Ok::<(Response<StreamBody>, Running), CallError>((head, running))
        };
        let answered = answered.await;
        let (head, running) = answered.map_err(|error| failed(generation, &exchange, &error))?;
        let Exchange { parts, id, busy, .. } = exchange;
        let (generation, id, tasks) = (generation.clone(), id.clone(), self.tasks.clone());
        let origin = stream::Origin { generation, id, pause, tasks, _busy: busy };
        stream::response(head, running, &parts.method, origin).await
    }
}

/// What a plugin answered, if HTTP allows it.
type Answered = Result<Response<Body>, String>;

async fn packed(lease: &mut Lease, asked: &Asked<'_>, body: Bytes) -> Result<Answered, CallError> {
    let (head, body) = lease.handle_packed(asked.pack(), body).await?;
    Ok(answer::response(head.status, head.headers(), head.count(), body))
}

async fn plain(lease: &mut Lease, asked: &Asked<'_>, body: Bytes) -> Result<Answered, CallError> {
    let answer = lease.handle_plain(asked.plain(body)).await?;
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
    let Exchange { parts, id, .. } = exchange;
    let (id, method, path) = (id.as_str(), &parts.method, parts.uri.path());
    let (plugin, kind) = (&generation.plugin, error.kind());
    if error.is_fault() {
        tracing::error!(id, %plugin, kind, %method, path, %error, "a request failed");
    } else {
        tracing::warn!(id, %plugin, kind, %method, path, %error, "a request was turned away");
    }
    error.into()
}

/// A plugin answered something that cannot be sent.
fn unfit(generation: &Generation, exchange: &Exchange<'_>, problem: &str) -> Refusal {
    let Exchange { parts, id, .. } = exchange;
    let (id, method, path) = (id.as_str(), &parts.method, parts.uri.path());
    let plugin = &generation.plugin;
    tracing::error!(id, %plugin, %method, path, problem, "an answer cannot be sent");
    Refusal::broken()
}
