//! Opens the house, runs it and closes it again, in this order:
//!
//! ```text
//! open:  backends ─ capabilities ─ runtime ─ plugins ─ triggers ─ admin ─ ready
//! close: not ready ─ triggers end their calls ─ generations drain ─ backends close
//! ```

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, ports::Ports},
    backends::Backends,
    capabilities::Capabilities,
    observe,
    plugins::{Check, Plugins, folder::Folder, load::Loader},
    runtime::{Runtime, cache::Cache},
    settings::{Loaded, Settings},
    triggers::{
        consumer::{
            self,
            replay::{self, Replays},
        },
        http,
    },
};

/// How long the calls of the last generations may go on once the triggers have ended.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// Run until `stop` is cancelled, then end in order. `ready` is called once every plugin of the
/// first scan has been tried and everything listens.
pub async fn run(
    loaded: Loaded,
    ready: impl FnOnce(&Ports),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Loaded { settings, warnings } = loaded;
    let observe = observe::init(&settings.observe)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let data = &settings.host.data;
    make_private(data)?;
    let backends = Backends::open(&settings.backends, data).await?;
    let capabilities = Capabilities::open(settings.capabilities.clone(), &backends).await?;
    let cache = Cache::open(
        data.join("cache"),
        settings.runtime.compile_threads,
        settings.runtime.compile_timeout.into(),
    )?;
    let runtime = Runtime::open(settings.runtime.clone(), cache)
        .map_err(|error| anyhow::anyhow!("wasmtime cannot be set up: {error:#}"))?;
    let loader = Loader {
        runtime,
        capabilities: Arc::new(capabilities),
        log: backends.log.clone(),
        grants: settings.grants.clone(),
    };
    let checks: Vec<Box<dyn Check>> = vec![Box::new(http::RouteCheck), Box::new(consumer::Tables)];
    let plugins = Plugins::new(loader, checks, stop.clone());
    let folder = Folder::open(settings.host.plugins.clone())
        .with_context(|| format!("cannot watch {}", settings.host.plugins.display()))?;

    let edge = http::Server::open(settings.http.clone(), plugins.watch()).await?;
    let listener = TcpListener::bind(settings.admin.listen).await.with_context(|| {
        format!("cannot listen on `{}`; change `[admin] listen`", settings.admin.listen)
    })?;
    let (http, more_http) = edge.addresses().split_first().context("`[http] listen` is empty")?;
    let ports = Ports {
        http: *http,
        more_http: more_http.to_vec(),
        admin: listener.local_addr()?,
        pid: std::process::id(),
    };
    let run_dir = settings.host.run_dir();
    make_private(&run_dir)?;
    let token = admin::token::Token::open(settings.admin.token.as_deref(), &run_dir)
        .with_context(|| format!("cannot keep a token in {}", run_dir.display()))?;

    let tasks = TaskTracker::new();
    let (is_ready, readiness) = watch::channel(false);
    let (replays, asked) = replay::channel();
    let sources = admin::Sources {
        plugins: {
            let plugins = plugins.clone();
            Arc::new(move || plugins.status())
        },
        log: backends.log.clone(),
        replay: replayer(replays),
        logs: observe.logs.clone(),
        metrics: {
            let metrics = observe.metrics.clone();
            Arc::new(move || metrics.render())
        },
        ready: readiness,
    };
    // The admin API is there before and after everything else: it tells how the rest is.
    let closed = CancellationToken::new();
    tasks.spawn(admin::run(listener, token, sources, closed.clone()));
    tasks.spawn({
        let (metrics, closed) = (observe.metrics.clone(), closed.clone());
        async move {
            closed.run_until_cancelled(metrics.run()).await;
        }
    });
    let following = tokio::spawn({
        let plugins = plugins.clone();
        async move { plugins.run(folder).await }
    });
    let mut serving = tokio::spawn(edge.run(stop.clone()));
    let consuming = consumer::run(backends.log.clone(), plugins.watch(), asked, stop.clone());
    let consuming = tokio::spawn(consuming);

    let mut all_tried = plugins.ready();
    tokio::select! {
        tried = all_tried.wait_for(|tried| *tried) => {
            drop(tried);
            is_ready.send_replace(true);
            for path in ports_files(&settings) {
                ports.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
            }
            ready(&ports);
        }
        () = stop.cancelled() => {}
    }
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = &mut serving => Some(ended),
    };
    is_ready.send_replace(false);
    tracing::info!("stopping: calls in progress end first");
    stop.cancel();
    let served = match ended {
        Some(ended) => ended,
        None => serving.await,
    };
    consuming.await?;
    following.await?;
    plugins.drain(LAST_CALLS).await;
    closed.cancel();
    tasks.close();
    tasks.wait().await;
    for path in ports_files(&settings) {
        // Whoever looks finds the addresses of a running host, or nothing.
        let _ = fs::remove_file(path);
    }
    tracing::info!("stopped");
    Ok(served??)
}

/// Lets the admin API move groups, which takes the consumers that read for them.
fn replayer(replays: Replays) -> admin::Replayer {
    Arc::new(move |group, topic, to| {
        let (replays, group, topic) = (replays.clone(), group.to_owned(), topic.to_owned());
        Box::pin(async move {
            replays.replay(&group, &topic, to).await.map_err(|error| match error {
                replay::Error::Log(error) => error.into(),
                other => admin::Unmoved::Reader(other.to_string()),
            })
        })
    })
}

/// A directory that only the host's user can enter: it holds code, data and a token.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))
}

/// Where the addresses are told: to whoever started this host, and to its own tools.
fn ports_files(settings: &Settings) -> Vec<PathBuf> {
    let own = admin::ports::file(&settings.host.run_dir());
    settings.host.ports_file.iter().cloned().chain([own]).collect()
}
