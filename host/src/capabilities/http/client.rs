//! The client: pooled connections through the guard, each wait with its bound.

use std::{
    error::Error as _,
    future::Future,
    io, iter,
    time::{Duration, Instant},
};

use http::{Request, Response, uri::Scheme};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    Settings,
    body::{self, Capped},
    guard::{Guard, Lookup, Reach, Refused},
};
use crate::quantity::Millis;

/// Idle connections to one host, and how long they are kept.
const MAX_IDLE: usize = 32;
const IDLE: Duration = Duration::from_secs(60);
/// The largest head of a response.
const MAX_HEAD: usize = 128 << 10;
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connections that share one guard. A pool is never shared between guards: a connection to a
/// private address must not serve a plugin that may not reach it.
pub struct Client {
    inner: legacy::Client<HttpsConnector<HttpConnector<Guard>>, Capped<WasiBody>>,
    reach: Reach,
}

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
    deadline: Instant,
}

impl Waits {
    /// What the guest asked for, but no longer than the operator allows, nor than its call.
    pub fn new(settings: &Settings, options: Option<RequestOptions>, deadline: Instant) -> Self {
        let asked = options.unwrap_or_default();
        let bound = |asked: Option<Duration>, most: Millis| {
            let most = most.into();
            asked.map_or(most, |asked| asked.min(most))
        };
        Self {
            connect: bound(asked.connect_timeout, settings.connect_timeout),
            first_byte: bound(asked.first_byte_timeout, settings.first_byte_timeout),
            between_bytes: bound(asked.between_bytes_timeout, settings.between_bytes_timeout),
            deadline,
        }
    }

    fn left(&self, wait: Duration) -> Duration {
        wait.min(self.deadline.saturating_duration_since(Instant::now()))
    }
}

impl Client {
    /// A client without connections yet.
    pub fn new(lookup: Lookup, reach: Reach) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Guard::new(lookup, reach));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let tls = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(MAX_HEAD as u32)
            .build(tls);
        Self { inner, reach }
    }

    /// Which addresses it reaches.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Send a request whose target is allowed; the answer's body holds the slot. Dropping the
    /// future gives the request up.
    pub async fn send(
        &self,
        request: Request<Capped<WasiBody>>,
        waits: Waits,
        max_body: u64,
        slot: OwnedSemaphorePermit,
    ) -> Result<Response<Capped<Incoming>>, Error> {
        let response = self.head(request, waits).await?;
        let wrap =
            |inner| body::incoming(inner, max_body, waits.between_bytes, waits.deadline, slot);
        let response = response.map(wrap);
        match response.body().is_too_large() {
            Some(error) => Err(error),
            None => Ok(response),
        }
    }

    async fn head(
        &self,
        mut request: Request<Capped<WasiBody>>,
        waits: Waits,
    ) -> Result<Response<Incoming>, Error> {
        let tls = request.uri().scheme() == Some(&Scheme::HTTPS);
        let mut connection = capture_connection(&mut request);
        let response = self.inner.request(request);
        tokio::pin!(response);
        let connected = async {
            tokio::select! {
                biased;
                answer = &mut response => Some(answer),
                _ = connection.wait_for_connection_metadata() => None,
            }
        };
        let early = bounded(waits.left(waits.connect), connected, Error::ConnectionTimeout).await?;
        let answer = match early {
            Some(answer) => answer,
            None => {
                let late = Error::ConnectionReadTimeout;
                bounded(waits.left(waits.first_byte), response, late).await?
            }
        };
        answer.map_err(|error| classify(&error, tls))
    }
}

async fn bounded<T>(
    wait: Duration,
    future: impl Future<Output = T>,
    late: Error,
) -> Result<T, Error> {
    timeout(wait, future).await.map_err(|_| late)
}

/// What wasi:http calls the failure. Details are for the log alone.
fn classify(error: &legacy::Error, tls: bool) -> Error {
    let causes = || iter::successors(error.source(), |cause| (*cause).source());
    let shown = causes().last().map(tracing::field::display);
    tracing::debug!(%error, cause = shown, "an outbound request failed");
    if let Some(known) = causes().find_map(known) {
        return known;
    }
    // The reason why a connection closed is below the error of the request that it was closed to.
    match causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>()).last() {
        Some(hyper) => body::name(hyper),
        None if error.is_connect() && tls => Error::TlsProtocolError,
        None if error.is_connect() => Error::DestinationUnavailable,
        None => Error::ConnectionTerminated,
    }
}

/// The causes that have a name of their own.
fn known(cause: &(dyn std::error::Error + 'static)) -> Option<Error> {
    if let Some(refused) = cause.downcast_ref::<Refused>() {
        return Some(match refused {
            Refused::Prohibited(_) => Error::DestinationIpProhibited,
            Refused::Unknown { .. } => Error::DnsError { rcode: None, info_code: None },
        });
    }
    if let Some(Error::HttpRequestBodySize(limit)) = cause.downcast_ref() {
        return Some(Error::HttpRequestBodySize(*limit));
    }
    // Errors of the system have a number; those of the TLS library have none.
    let io = cause.downcast_ref::<io::Error>().filter(|io| io.raw_os_error().is_some())?;
    Some(match io.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Error::DestinationUnavailable
        }
        _ => Error::ConnectionTerminated,
    })
}
