//! Opens the house, runs it and closes it again, in this order:
//!
//! ```text
//! open:  backends ─ capabilities ─ runtime ─ plugins ─ triggers ─ admin ─ ready
//! close: not ready ─ leave-delay ─ triggers end their calls ─ generations drain ─ backends close
//! ```

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, ports::Ports, token::Token},
    backends::{Backends, Unusable},
    capabilities::Capabilities,
    nodes::{Nodes, State, node::Addresses},
    observe::{self, Observe, traces::Export},
    plugins::{Check, Plugins, Versions, Watch, folder::Folder, load::Loader},
    runtime::{Runtime, cache::Cache},
    settings::{Loaded, Settings},
    triggers::{
        connection::{Connections, Entrance},
        consumer::{
            self,
            replay::{self, Replays},
        },
        http, schedule,
        socket::{PortCheck, Sockets},
    },
};

/// How long the calls of the last generations may go on once the triggers have ended.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// Run until `leave` is cancelled, or a trigger ends by itself, then end in order. `ready` is called
/// once every plugin of the first scan has been tried and everything listens, with where that is and
/// what serves.
pub async fn run(
    loaded: Loaded,
    ready: impl FnOnce(&Ports, Watch),
    leave: CancellationToken,
) -> anyhow::Result<()> {
    let Loaded { settings, warnings } = loaded;
    let observe = observe::init(&settings.observe)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let traces = Export::open(&settings.observe.traces, settings.nodes.own_name()).await.map_err(
        |fault| anyhow::anyhow!("`[observe.traces]`: {fault}\nhint: {}", fault.place().1),
    )?;
    // Everything ends with it; a while after the order to leave.
    let stop = CancellationToken::new();
    // A server that the host stands on may be away for long.
    let Some(house) = leave.run_until_cancelled(House::open(&settings, &stop)).await else {
        return Ok(());
    };
    let House { backends, plugins, folder, edge, connections, sockets, admin, token, ports } =
        house?;
    let (state, is_in) = watch::channel(State::Starting);
    let (replays, asked) = replay::channel();

    // The admin API is there before and after everything else: it tells how the rest is.
    let (tasks, closed) = (TaskTracker::new(), CancellationToken::new());
    let nodes = Arc::new(nodes(&settings, &backends, &plugins, &ports, &is_in));
    let sources = sources(&plugins, &backends, &observe, replays, Arc::clone(&nodes), is_in);
    tasks.spawn(admin::run(admin, token, sources, closed.clone()));
    let gone = closed.clone();
    tasks.spawn(async move { nodes.run(gone).await });
    let upkeep = observe.metrics.clone().run();
    tasks.spawn(closed.clone().run_until_cancelled_owned(upkeep));
    let following = tokio::spawn({
        let plugins = plugins.clone();
        async move { plugins.run(folder).await }
    });
    let mut triggers = JoinSet::new();
    let serving = edge.run(stop.clone());
    triggers.spawn(async { serving.await.map_err(anyhow::Error::from) });
    let connected = connections.run(stop.clone());
    triggers.spawn(async {
        connected.await;
        Ok(())
    });
    let listening = sockets.run();
    triggers.spawn(async {
        listening.await;
        Ok(())
    });
    let scheduled = schedule::run(plugins.watch(), stop.clone());
    triggers.spawn(async {
        scheduled.await;
        Ok(())
    });
    let consuming = consumer::run(backends.log.clone(), plugins.watch(), asked, stop.clone());
    triggers.spawn(async {
        consuming.await;
        Ok(())
    });

    let mut all_tried = plugins.ready();
    let all_ready = async {
        // Who could make it so runs until the end.
        let _ = all_tried.wait_for(|tried| *tried).await;
        backends.channels.ready().await;
    };
    tokio::select! {
        () = all_ready => {
            state.send_replace(State::Ready);
            for path in ports_files(&settings) {
                ports.write(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
            }
            ready(&ports, plugins.watch());
        }
        () = leave.cancelled() => {}
    }
    let mut first = tokio::select! {
        () = leave.cancelled() => None,
        first = triggers.join_next() => first,
    };
    let was_ready = state.send_replace(State::Stopping) == State::Ready;
    let delay = settings.host.leave_delay;
    if first.is_none() && was_ready && delay.0 > 0 {
        tracing::info!(%delay, "leaving: requests are still taken until load balancers have noticed");
        first = tokio::time::timeout(delay.into(), triggers.join_next()).await.ok().flatten();
    }
    tracing::info!("stopping: calls in progress end first");
    stop.cancel();
    let mut outcomes = Vec::from_iter(first);
    while let Some(outcome) = triggers.join_next().await {
        outcomes.push(outcome);
    }
    following.await?;
    plugins.drain(LAST_CALLS).await;
    backends.channels.close().await;
    backends.log.close().await;
    closed.cancel();
    tasks.close();
    tasks.wait().await;
    traces.close().await;
    for path in ports_files(&settings) {
        // Whoever looks finds the addresses of a running host, or nothing.
        let _ = fs::remove_file(path);
    }
    tracing::info!("stopped");
    outcomes.into_iter().try_for_each(|outcome| outcome?)
}

/// Everything that is open, before any of it runs.
struct House {
    backends: Backends,
    plugins: Plugins,
    folder: Folder,
    edge: http::Server,
    connections: Arc<Connections>,
    sockets: Sockets,
    /// Where the admin API will answer.
    admin: TcpListener,
    token: Token,
    ports: Ports,
}

impl House {
    async fn open(settings: &Settings, stop: &CancellationToken) -> anyhow::Result<Self> {
        let (data, run_dir) = (&settings.host.data, settings.host.run_dir());
        make_private(data)?;
        make_private(&run_dir)?;
        let backends = Backends::open(&settings.backends, data).await.map_err(|error| {
            let hint = match error.is::<Unusable>() {
                true => "see the table of that name in the settings",
                false => {
                    "each host needs a data directory of its own that it may write: see `--data`"
                }
            };
            anyhow::anyhow!("{error:#}\nhint: {hint}")
        })?;
        let loader = loader(settings, &backends, data).await?;
        let versions = Versions::open(data.join("versions"), settings.versions.clone())
            .context("earlier versions cannot be kept")?;
        let tls = settings.sockets.certificate.is_some();
        let plugins = Plugins::new(loader, versions, checks(tls), stop.clone());
        let folder = Folder::open(settings.host.plugins.clone())?;
        let http = http::Settings {
            max_connections: settings.http.max_connections.min(max_connections()),
            ..settings.http.clone()
        };
        let hub = backends.channels.clone();
        let connections = Connections::open(&settings.connections, hub.clone(), plugins.watch())
            .context("no threads can be started for connections")?;
        let sockets = settings.sockets.clone();
        let sockets = Sockets::open(sockets, hub, plugins.watch(), stop.clone())?;
        let door = Arc::new(Entrance(connections.clone()));
        let edge = http::Server::open(http, plugins.watch(), door).await?;
        let address = settings.admin.listen;
        let admin = TcpListener::bind(address).await.map_err(|error| {
            let remedy = "choose another address with `--admin` or `[admin] listen`";
            anyhow::anyhow!("cannot listen on `{address}`: {error}; {remedy}")
        })?;
        let (http, more) = edge.addresses().split_first().context("`[http] listen` is empty")?;
        let ports = Ports {
            http: *http,
            more_http: more.to_vec(),
            admin: admin.local_addr()?,
            pid: std::process::id(),
        };
        let token = Token::open(settings.admin.token.as_deref(), &run_dir)
            .with_context(|| format!("cannot keep a token in {}", run_dir.display()))?;
        Ok(Self { backends, plugins, folder, edge, connections, sockets, admin, token, ports })
    }
}

/// What the admin API shows.
fn sources(
    plugins: &Plugins,
    backends: &Backends,
    observe: &Observe,
    replays: Replays,
    nodes: Arc<Nodes>,
    state: watch::Receiver<State>,
) -> admin::Sources {
    let (statuses, details, numbers) = (plugins.clone(), plugins.clone(), plugins.clone());
    let metrics = observe.metrics.clone();
    admin::Sources {
        plugins: Arc::new(move || statuses.status()),
        nodes,
        plugin: Arc::new(move |name| details.detail(name)),
        order: orderer(plugins.clone()),
        log: backends.log.clone(),
        replay: replayer(replays),
        logs: observe.logs.clone(),
        metrics: Arc::new(move || metrics.render(|| numbers.write_numbers())),
        state,
    }
}

/// This host among those that share its backends.
fn nodes(
    settings: &Settings,
    backends: &Backends,
    plugins: &Plugins,
    ports: &Ports,
    state: &watch::Receiver<State>,
) -> Nodes {
    let http = std::iter::once(ports.http).chain(ports.more_http.iter().copied()).collect();
    let addresses = Addresses { http, admin: ports.admin };
    let statuses = plugins.clone();
    let statuses = move || statuses.status();
    Nodes::new(&*backends.keyvalue, settings.nodes.clone(), addresses, statuses, state.clone())
}

/// Lets the admin API order what is to be done with plugins.
fn orderer(plugins: Plugins) -> admin::Orderer {
    Arc::new(move |plugin, order| {
        let (plugins, plugin) = (plugins.clone(), plugin.to_owned());
        Box::pin(async move { plugins.order(&plugin, order).await })
    })
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

/// What may refuse a generation before it goes live: the triggers whose bindings would clash.
/// `tls` says whether there is a certificate for ports that want one.
pub fn checks(tls: bool) -> Vec<Box<dyn Check>> {
    vec![Box::new(http::RouteCheck), Box::new(PortCheck { tls }), Box::new(consumer::Tables)]
}

/// What makes generations of components: on these backends, with its cache below `data`.
pub async fn loader(
    settings: &Settings,
    backends: &Backends,
    data: &Path,
) -> anyhow::Result<Loader> {
    let capabilities = Capabilities::open(settings.capabilities.clone(), backends).await?;
    let Settings { runtime, grants, .. } = settings;
    let cache =
        Cache::open(data.join("cache"), runtime.compile_threads, runtime.compile_timeout.into())?
            .with_functions(runtime.function_cache);
    let runtime = Runtime::open(runtime.clone(), cache)
        .map_err(|error| anyhow::anyhow!("wasmtime cannot be set up: {error:#}"))?;
    Ok(Loader {
        runtime,
        capabilities: Arc::new(capabilities),
        log: backends.log.clone(),
        grants: grants.clone(),
    })
}

/// Let the process have as many files open as the system allows, and give connections half of
/// them: whoever connects must not keep the log and the databases from their files.
fn max_connections() -> usize {
    let allowed = getrlimit(Resource::Nofile);
    // Fewer than allowed is where most systems start, for the sake of very old programs.
    let all = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    let files = match setrlimit(Resource::Nofile, all) {
        Ok(()) => all.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            allowed.current
        }
    };
    files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX) / 2).max(1)
}

/// A directory that only the host's user can enter: it holds code, data and a token.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        anyhow::anyhow!(
            "cannot make the directory `{}`: {error}\nhint: name one that the host's user may \
             make with `--data`",
            dir.display()
        )
    })
}

/// Where the addresses are told: to whoever started this host, and to its own tools.
fn ports_files(settings: &Settings) -> Vec<PathBuf> {
    let own = admin::ports::file(&settings.host.run_dir());
    settings.host.ports_file.iter().cloned().chain([own]).collect()
}
