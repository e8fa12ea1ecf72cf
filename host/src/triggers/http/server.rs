//! The sockets: accepts connections, watches over them, and lets them end in order.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Settings,
    body::Room,
    client::Peer,
    connection::{Clock, Order, Patience, Pulse, Socket},
    door::{Door, Place},
    meter::Meter,
    rate::Limiter,
    routes::Routes,
    service::{Connection, Edge},
};
use crate::plugins::Watch;

mod inside;

pub use inside::Inside;

/// Requests that may share a connection of HTTP/2.
const MAX_STREAMS: u32 = 256;
/// After this time of silence the system asks whether the peer is still there.
const VANISHED: Duration = Duration::from_secs(60);
/// How long to wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// How long aborted connections may take to be gone.
const ABORT: Duration = Duration::from_secs(1);

/// Why there is no HTTP.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken, or not ours.
    #[error(
        "cannot listen on `{address}`: {source}; choose another address with `--listen` or `[http] listen`"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A part of the server ended on its own.
    #[error("a part of the HTTP server stopped: {0}")]
    Stopped(#[from] JoinError),
}

/// A server that listens.
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    house: Arc<House>,
}

/// What the accepting and the watching side share.
struct House {
    edge: Arc<Edge>,
    protocol: Builder<TokioExecutor>,
    clock: Arc<Clock>,
    patience: Patience,
    tick: Duration,
    slots: Arc<Semaphore>,
    open: Mutex<Open>,
    connections: TaskTracker,
}

/// The open connections.
#[derive(Default)]
struct Open {
    next: u64,
    pulses: HashMap<u64, Arc<Pulse>>,
}

impl Server {
    /// Listen. Requests are answered once [`Self::run`] runs; until then they wait.
    pub async fn open(settings: Settings, live: Watch, door: Arc<dyn Door>) -> Result<Self, Error> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in &settings.listen {
            let failed = |source| Error::Listen { address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push(listener);
        }
        Ok(Self { listeners, addresses, house: Arc::new(House::new(settings, live, door)) })
    }

    /// Where it listens, in the order of the settings, with the ports that were taken for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serve until `shutdown` is cancelled, then end: no new connections, the requests in flight
    /// go on for `drain-timeout`, what is left is cut off.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { listeners, house, .. } = self;
        let mut parts = JoinSet::new();
        for listener in listeners {
            parts.spawn(house.clone().accept(listener));
        }
        parts.spawn(house.clone().follow());
        let sweep = tokio::spawn(house.clone().sweep());
        let stopped = tokio::select! {
            () = shutdown.cancelled() => None,
            Some(Err(error)) = parts.join_next() => Some(error),
        };
        // Drops the listeners: from here on the system refuses connections.
        parts.shutdown().await;
        house.drain().await;
        sweep.abort();
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl House {
    fn new(settings: Settings, live: Watch, door: Arc<dyn Door>) -> Self {
        let [head, idle, stalled] =
            [settings.header_timeout, settings.idle_timeout, settings.body_timeout]
                .map(Duration::from);
        let tick = (head.min(idle).min(stalled) / 8)
            .clamp(Duration::from_millis(5), Duration::from_secs(1));
        let ticks = |time: Duration| (time.as_millis() / tick.as_millis()) as u32;
        let patience = Patience { head: ticks(head), idle: ticks(idle), stalled: ticks(stalled) };
        let protocol = protocol(&settings);
        let slots = Arc::new(Semaphore::new(settings.max_connections.max(1)));
        let edge = Arc::new(Edge {
            routes: Routes::new(live),
            limiter: settings.rate_limit.map(Limiter::new),
            unrouted: Meter::new("-".into()),
            room: Room::new(settings.body_memory.0),
            tasks: TaskTracker::new(),
            door,
            settings,
        });
        Self {
            edge,
            protocol,
            clock: Arc::default(),
            patience,
            tick,
            slots,
            open: Mutex::default(),
            connections: TaskTracker::new(),
        }
    }

    async fn follow(self: Arc<Self>) {
        self.edge.routes.follow().await;
        // The plugins' side has ended; what was live stays until the shutdown.
        std::future::pending::<()>().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok(slot) = self.slots.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive());
                    self.connections.spawn(self.clone().serve(stream, address, slot));
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) {
        let pulse = Pulse::new(self.clock.clone());
        let key = self.enter(pulse.clone());
        let peer = Peer::new(address.ip(), &self.edge.settings.trusted_proxies);
        let edge = self.edge.clone();
        let connection = Arc::new(Connection { edge, peer, pulse: pulse.clone() });
        // Boxed, because hyper moves the future of a request several times before it runs.
        let service = service_fn(move |request| Box::pin(connection.clone().answer(request)));
        let (stream, place): (_, Place) = (Arc::new(stream), Arc::new(slot));
        // Weak, so that whoever upgrades the connection has the socket alone.
        let kept = Arc::downgrade(&stream);
        let socket = TokioIo::new(Socket::new(stream, place.clone(), pulse.clone()));
        let (outcome, handed_on) = {
            let mut hyper = pin!(self.protocol.serve_connection_with_upgrades(socket, service));
            let mut finishing = false;
            let outcome = poll_fn(|cx| {
                match pulse.poll_order(cx) {
                    Order::Serve => {}
                    Order::Finish if finishing => {}
                    Order::Finish => {
                        finishing = true;
                        hyper.as_mut().graceful_shutdown();
                    }
                    Order::Abort => return Poll::Ready(Ok(())),
                }
                let polled = hyper.as_mut().poll(cx);
                if pulse.is_bequeathed() { Poll::Ready(Ok(())) } else { polled }
            })
            .await;
            // Before hyper drops it; and only where it was handed on, because whoever upgrades it
            // has to have it alone.
            (outcome, pulse.heir().and_then(|heir| Some((heir, kept.upgrade()?))))
        };
        self.leave(key);
        if let Some((heir, stream)) = handed_on
            && let Some(stream) = Arc::into_inner(stream)
        {
            heir(stream, place);
        }
        if let Err(error) = outcome {
            tracing::debug!(%address, error, "a connection broke");
        }
    }

    fn enter(&self, pulse: Arc<Pulse>) -> u64 {
        let mut open = self.open();
        open.next += 1;
        let key = open.next;
        open.pulses.insert(key, pulse);
        key
    }

    fn leave(&self, key: u64) {
        self.open().pulses.remove(&key);
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look at every connection once a tick.
    async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(self.tick);
        loop {
            ticks.tick().await;
            self.clock.tick();
            for pulse in self.open().pulses.values() {
                match pulse.judge(self.patience) {
                    Order::Serve => {}
                    order => pulse.order(order),
                }
            }
        }
    }

    async fn drain(&self) {
        self.order_all(Order::Finish);
        self.connections.close();
        self.edge.tasks.close();
        let limit = self.edge.settings.drain_timeout.into();
        let ended = async {
            self.connections.wait().await;
            self.edge.tasks.wait().await;
        };
        if tokio::time::timeout(limit, ended).await.is_ok() {
            return;
        }
        let left = self.connections.len();
        tracing::warn!(connections = left, after = ?limit, "connections are cut off: they outlived the drain");
        self.order_all(Order::Abort);
        let _ = tokio::time::timeout(ABORT, self.connections.wait()).await;
    }

    fn order_all(&self, order: Order) {
        self.open().pulses.values().for_each(|pulse| pulse.order(order));
    }
}

/// The system looks after peers that have vanished without a word, which keep their places else.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(VANISHED).with_interval(VANISHED / 4).with_retries(4)
}

/// Errors of one connection that the system reports when it is accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn protocol(settings: &Settings) -> Builder<TokioExecutor> {
    let largest = settings.max_header_bytes.as_usize();
    let mut protocol = Builder::new(TokioExecutor::new());
    // Larger than allowed, so that a head that is a little too large is answered by us, and not
    // by a bare status line. This is also the buffer that bodies go through.
    let buffer = largest.saturating_mul(2).max(64 << 10);
    // The sweep watches over slow heads, at no cost per request.
    protocol.http1().header_read_timeout(None).max_buf_size(buffer);
    let fields = u32::try_from(buffer).unwrap_or(u32::MAX);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(fields);
    protocol
}
