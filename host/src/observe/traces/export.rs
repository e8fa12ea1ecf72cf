//! Sends spans to the collector, beside everything else: who makes a span never waits for it, and
//! where the collector is away or slow, spans are lost and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanProcessor},
};
use tokio::runtime::Handle;

use super::{Fault, Settings, TRACER, Tracer};

/// How often spans are sent.
const EVERY: Duration = Duration::from_secs(1);
/// The most spans that wait, about 1 KiB each, and the most that are sent at once.
const WAITING: usize = 16_384;
const AT_ONCE: usize = 2048;
/// The most spans of plugins that wait, up to 16 KiB each.
const WAITING_TOLD: usize = 2048;
/// The longest that the collector may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The most of its answer that is read.
const MAX_ANSWER: usize = 64 << 10;
/// The longest that the last spans may take.
const LAST: Duration = Duration::from_secs(5);

/// What sends spans, once a process.
#[derive(Clone)]
pub struct Export(Option<SdkTracerProvider>);

impl Export {
    /// Begin to trace, if the settings name a collector. `node` tells this host from the others.
    ///
    /// # Errors
    /// A [`Fault`] of the settings.
    pub async fn open(settings: &Settings, node: String) -> Result<Self, Fault> {
        settings.check()?;
        let Some(target) = settings.target()? else { return Ok(Self(None)) };
        let sender = Arc::new(Sender {
            client: client(),
            fields: settings.fields().await?,
            runtime: Handle::current(),
            away: AtomicBool::new(false),
        });
        let resource = resource(settings.service.clone(), node);
        let mut told = processor(sender.clone(), &target, WAITING_TOLD)?;
        told.set_resource(&resource);
        let own = processor(sender, &target, WAITING)?;
        let provider = provider(resource).with_span_processor(own).build();
        let tracer = Tracer { sdk: provider.tracer("trellis"), told, sample: settings.sample };
        match TRACER.set(tracer) {
            Ok(()) => Ok(Self(Some(provider))),
            Err(_) => Err(Fault::Export("this process has traces already".into())),
        }
    }

    /// Send what is left, within some seconds. Spans that end later are lost.
    pub async fn close(&self) {
        let Some(provider) = self.0.clone() else { return };
        let closing = tokio::task::spawn_blocking(move || {
            let told = TRACER.get().map_or(Ok(()), |tracer| tracer.told.force_flush());
            provider.shutdown_with_timeout(LAST).and(told)
        });
        if let Ok(Err(error)) = closing.await {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// A queue of spans and the thread that sends them.
fn processor(
    sender: Arc<Sender>,
    target: &str,
    waiting: usize,
) -> Result<BatchSpanProcessor, Fault> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Shared(sender))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(target)
        .with_timeout(ANSWER)
        .build()
        .map_err(|error| Fault::Export(error.to_string()))?;
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(EVERY)
        .with_max_queue_size(waiting)
        .with_max_export_batch_size(waiting.min(AT_ONCE))
        .build();
    Ok(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
}

/// What every span is of: this host.
pub(super) fn resource(service: String, node: String) -> Resource {
    Resource::builder_empty()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node),
        ])
        .build()
}

/// Spans that are begun are wanted: whether there is one has been decided before.
pub(super) fn provider(resource: Resource) -> opentelemetry_sdk::trace::TracerProviderBuilder {
    SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_resource(resource)
}

fn client() -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_all_versions()
        .build();
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(tls)
}

/// Posts encoded spans.
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Spans are sent from a thread of their own, connections live in the runtime.
    runtime: Handle,
    /// The last export failed, which the log knows.
    away: AtomicBool,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

/// The sender of all queues.
#[derive(Clone, Debug)]
struct Shared(Arc<Sender>);

impl HttpClient for Shared {
    fn send_bytes<'own, 'sending>(
        &'own self,
        request: Request<Bytes>,
    ) -> BoxFuture<'sending, Result<Response<Bytes>, HttpError>>
    where
        'own: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            let Self(sender) = self;
            let sent = sender.send(request).await;
            match &sent {
                Ok(answer) if answer.status().is_success() => sender.arrived(),
                Ok(answer) => sender.lost(&answer.status()),
                Err(error) => sender.lost(&deepest(&**error)),
            }
            sent
        })
    }
}

impl Sender {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut request = request.map(Full::new);
        for (name, value) in &self.fields {
            request.headers_mut().insert(name, value.clone());
        }
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let answer = tokio::time::timeout(ANSWER, async {
                let (head, body) = client.request(request).await?.into_parts();
                let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            });
            answer.await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}").into()))
        });
        sending.await?
    }

    fn arrived(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("traces arrive at the collector again");
        }
    }

    /// Told once, however long it lasts.
    fn lost(&self, reason: &dyn std::fmt::Display) {
        metrics::counter!("trellis_trace_exports_failed_total").increment(1);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(%reason, "traces do not arrive at the collector of `[observe.traces]`; they are lost until they do");
        }
    }
}

/// What is behind an error: "connection refused" rather than "client error".
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}
