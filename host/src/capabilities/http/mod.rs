//! `http`: calling other hosts, `wasi:http` 0.2 (`outgoing-handler`) and 0.3 (`client`), and
//! `trellis:http/client` for guests without streams.
//!
//! A component may always import these; what it may reach is another matter. A request goes out
//! when its host is on the plugin's allow-list, and when the address that the host turns out to
//! have may be reached. Redirects are the guest's business: each is a request of its own.
//!
//! ```text
//!  request ── allow-list ── slot ── name → addresses → guard ── pooled connection ── answer
//!                └ denied      └ too many             └ prohibited
//! ```

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p3::bindings::http as p3,
};

use super::{Capability, Dialect, Plugin, State};
use crate::{
    backends::Backends,
    observe::traces::Trace,
    quantity::{Bytes, Millis},
    world::World,
};

mod body;
mod client;
mod fields;
mod fixed;
mod framing;
mod guard;
mod host;
mod hosts;
#[cfg(test)]
mod tests;
mod traced;

use client::{Client, Waits};
use framing::Late;
use guard::{Lookup, Reach};
use hosts::Target;
pub use hosts::{Invalid, Pattern};

/// `[outbound]`: bounds on what plugins send to other hosts and get from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The longest wait for a connection: name, TCP and TLS.
    pub connect_timeout: Millis,
    /// The longest wait for the head of the answer.
    pub first_byte_timeout: Millis,
    /// The longest silence in the body of an answer.
    pub between_bytes_timeout: Millis,
    /// The largest body of a request.
    pub max_request_bytes: Bytes,
    /// The largest body of an answer. Bodies are streamed, never held.
    pub max_response_bytes: Bytes,
    /// Requests in flight for each plugin, until the body of the answer is read or dropped.
    pub concurrency: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Millis(10_000),
            first_byte_timeout: Millis(60_000),
            between_bytes_timeout: Millis(60_000),
            max_request_bytes: Bytes(64 << 20),
            max_response_bytes: Bytes(256 << 20),
            concurrency: 128,
        }
    }
}

/// `[needs.http]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The hosts to call, each as a [`Pattern`].
    pub hosts: Vec<Pattern>,
    /// Whether addresses of the own machine and network may be reached.
    pub private: bool,
}

/// The capability: two pools of connections.
pub struct Http {
    settings: Settings,
    public: Arc<Client>,
    private: Arc<Client>,
    world: World,
}

impl Http {
    fn with_lookup(settings: Settings, lookup: Lookup) -> Self {
        Self {
            settings,
            public: Arc::new(Client::new(lookup.clone(), Reach::Public)),
            private: Arc::new(Client::new(lookup, Reach::Private)),
            world: World::default(),
        }
    }
}

/// What a generation may call.
pub struct Prepared {
    plugin: Arc<str>,
    grant: Grant,
    settings: Settings,
    client: Arc<Client>,
    slots: Arc<Semaphore>,
    /// Whether the log has said already that a request was refused.
    told: AtomicBool,
    /// A fixed one has the answers of other hosts.
    world: World,
}

impl Prepared {
    /// Tell the operator once a generation what line is missing: a guest may try in a loop.
    fn tell(&self, target: &Target, what: &'static str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                plugin = %self.plugin,
                "a request to `{target}` was refused: {what}"
            );
        }
    }

    /// Whether a request may go out, and to where.
    fn check(&self, request: &http::Request<WasiBody>) -> Result<(), Error> {
        let target = Target::of(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        if !self.grant.hosts.iter().any(|pattern| pattern.allows(&target)) {
            self.tell(&target, "add the host to `[needs.http] hosts` and to the plugin's grants");
            return Err(Error::HttpRequestDenied);
        }
        // A name is judged when it is resolved.
        match target.literal {
            Some(address) if !self.client.reach().allows(address) => {
                self.tell(
                    &target,
                    "a private address takes `[needs.http] private = true` and its grant",
                );
                Err(Error::DestinationIpProhibited)
            }
            _ => Ok(()),
        }
    }
}

/// After so many calls of a guest it is counted what their fields take.
const COUNT_EVERY: u32 = 64;

/// One store's way out.
pub struct Instance {
    /// `None` refuses everything.
    prepared: Option<Arc<Prepared>>,
    /// Calls since the fields were counted.
    calls: u32,
    /// The end of the call in progress.
    deadline: Instant,
    /// The trace that it belongs to.
    trace: Option<Trace>,
    /// How the interface that is called goes about bodies.
    late: Late,
}

impl Instance {
    fn new(prepared: Option<Arc<Prepared>>, deadline: Instant) -> Self {
        Self { prepared, calls: 0, deadline, trace: None, late: Late::Missing }
    }
}

impl Capability for Http {
    const NAME: &'static str = "http";
    const TABLE: &'static str = "outbound";
    const INTERFACES: &'static [&'static str] = &[
        "wasi:http/types@0.2.12",
        "wasi:http/outgoing-handler@0.2.12",
        "wasi:http/types@0.3.0",
        "wasi:http/client@0.3.0",
        host::INTERFACE,
    ];
    const NEEDS_GRANT: bool = false;
    type Settings = Settings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(settings: Settings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { world: backends.world.clone(), ..Self::with_lookup(settings, guard::system()) })
    }

    fn link(linker: &mut Linker<State>, engine: Dialect) -> wasmtime::Result<()> {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
        host::link(linker)?;
        match engine {
            Dialect::Plain => Ok(()),
            Dialect::Concurrent => {
                p3::types::add_to_linker::<_, WasiHttp>(linker, State::http)?;
                p3::client::add_to_linker::<_, WasiHttp>(linker, view_of_client)
            }
        }
    }

    fn beyond(need: &Grant, allowed: &Grant) -> Vec<String> {
        let covered = |host: &&Pattern| allowed.hosts.iter().any(|allowed| allowed.covers(host));
        let missing = need.hosts.iter().filter(|host| !covered(host));
        let mut beyond: Vec<_> = missing.map(|host| format!("hosts = [\"{host}\"]")).collect();
        if need.private && !allowed.private {
            beyond.push("private = true".into());
        }
        beyond
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        let client = if grant.private { &self.private } else { &self.public };
        Ok(Prepared {
            plugin: plugin.name.clone(),
            grant: grant.clone(),
            settings: self.settings.clone(),
            client: client.clone(),
            slots: Arc::new(Semaphore::new(self.settings.concurrency)),
            told: AtomicBool::new(false),
            world: self.world.clone(),
        })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance::new(Some(prepared.clone()), Instant::now())
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        view(self, Late::Missing)
    }
}

/// What the client of 0.3 is linked with.
fn view_of_client(state: &mut State) -> WasiHttpCtxView<'_> {
    view(state, Late::Follows)
}

fn view(state: &mut State, late: Late) -> WasiHttpCtxView<'_> {
    let deadline = state.call.deadline;
    let hooks = state.own.http.get_or_insert_with(|| Instance::new(None, deadline));
    hooks.deadline = deadline;
    hooks.trace.clone_from(&state.call.trace);
    hooks.late = late;
    hooks.calls += 1;
    if hooks.calls == COUNT_EVERY {
        hooks.calls = 0;
        state.memory.hold(state.table.iter_mut().map(|resource| fields::size(resource)).sum());
    }
    WasiHttpCtxView { hooks, table: &mut state.table, ctx: &mut state.http }
}

/// What becomes of the connection after the answer; here the pool looks after it.
type Afterwards = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Afterwards), Error>;

impl WasiHttpHooks for Instance {
    // The client adds the header where the protocol has one.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let prepared = self.prepared.clone();
        let terms =
            Terms { options, deadline: self.deadline, trace: self.trace.clone(), late: self.late };
        Box::new(async move {
            let prepared = prepared.ok_or(Error::HttpRequestDenied)?;
            exchange(prepared, request, terms).await
        })
    }
}

/// What holds for a request beside itself.
struct Terms {
    options: Option<RequestOptions>,
    /// The end of the call that sends it.
    deadline: Instant,
    trace: Option<Trace>,
    late: Late,
}

/// Send a request if it may go out, in a span of its own where the call is traced.
async fn exchange(
    prepared: Arc<Prepared>,
    mut request: http::Request<WasiBody>,
    terms: Terms,
) -> Answer {
    prepared.check(&request)?;
    let trace = terms.trace.as_ref();
    let mut span = trace.and_then(|of| traced::begin(of, &prepared.plugin, &mut request));
    let answer = prepared.send(request, terms).await;
    if let Some(span) = &mut span {
        traced::describe(span, &answer);
    }
    answer
}

impl Prepared {
    async fn send(&self, request: http::Request<WasiBody>, terms: Terms) -> Answer {
        let slots = self.slots.clone();
        let slot = slots.try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let waits = Waits::new(&self.settings, terms.options, terms.deadline);
        let mut request =
            request.map(|body| body::outgoing(body, self.settings.max_request_bytes.0));
        if let Some(error) = request.body().is_too_large() {
            return Err(error);
        }
        if let Some(world) = self.world.as_fixed() {
            return fixed::answer(world, request, slot).await;
        }
        framing::announce(&mut request, terms.late).await?;
        let most = self.settings.max_response_bytes.0;
        let response = self.client.send(request, waits, most, slot).await?;
        let nothing_left: Afterwards = Box::new(async { Ok(()) });
        Ok((response.map(BodyExt::boxed_unsync), nothing_left))
    }
}
