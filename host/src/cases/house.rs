//! A host for one plugin in this process: no ports, a directory in memory, a fixed world.
//!
//! Everything between the request and the plugin is what serves elsewhere: the HTTP edge, the
//! consumer with its deliveries and dead letters, the capabilities, the embedded backends. Each
//! case gets a house of its own; the compiled code is shared.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{sync::OnceCell, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::case::Case;
use crate::{
    backends::{
        Backends,
        log::{self, TopicSettings},
    },
    capabilities::Capabilities,
    manifest::{Manifest, StartAt},
    plugins::{
        Alone, Blueprint,
        folder::Source,
        grants::{DefaultGrant, Grants},
        load::Loader,
    },
    quantity::Millis,
    runtime::{Runtime, cache::Cache},
    secret,
    serve::checks,
    settings::Settings,
    triggers::{
        consumer::{self, replay},
        http,
    },
    world::{Fixed, World},
};

mod door;

/// Where plugins are asked from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long the calls of a case may go on after its end, and `stop`.
const LAST_CALLS: Duration = Duration::from_secs(2);
/// How long consumers may take to join their groups, and to work off what is there.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether they have.
const LOOK: Duration = Duration::from_millis(1);
/// How long compiled code is kept that is not used.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Instances of the one plugin that there is room for.
const INSTANCES: u32 = 256;

/// What all cases of a process share: the engine and the compiled code.
pub struct Stage {
    runtime: Arc<Runtime>,
}

/// A plugin whose cases are tried.
pub struct Plugin {
    wasm: PathBuf,
    loaded: OnceCell<Loaded>,
}

struct Loaded {
    blueprint: Blueprint,
    imports: Vec<String>,
}

impl Stage {
    /// Compiled code is kept in `cache`.
    pub fn open(cache: PathBuf) -> anyhow::Result<Self> {
        let mut settings = Settings::default().runtime;
        settings.instances = INSTANCES;
        let timeout = settings.compile_timeout.into();
        let cache = Cache::open(cache, settings.compile_threads, timeout)?;
        let runtime = Runtime::open(settings, cache)
            .map_err(|error| anyhow::anyhow!("wasmtime cannot be set up: {error:#}"))?;
        Ok(Self { runtime })
    }

    /// Remove compiled code that is older than a week, but for that of these plugins.
    pub fn tidy<'a>(&self, plugins: impl IntoIterator<Item = &'a Plugin>) -> std::io::Result<()> {
        let loaded = plugins.into_iter().filter_map(|plugin| plugin.loaded.get());
        let wanted = loaded.map(|loaded| loaded.blueprint.digest.to_string()).collect();
        self.runtime.cache().sweep(&wanted, KEPT)
    }
}

impl Plugin {
    /// The plugin in this file.
    pub fn new(wasm: PathBuf) -> Self {
        Self { wasm, loaded: OnceCell::new() }
    }

    async fn loaded(&self, loader: &Loader) -> anyhow::Result<&Loaded> {
        let load = || async {
            let source = Source::at(self.wasm.clone())
                .with_context(|| format!("cannot read `{}`", self.wasm.display()))?;
            let component = loader.read(&source).await?;
            let imports = component.surface.imports.clone();
            let blueprint = loader.compile(component, &self.wasm).await?.blueprint;
            anyhow::Ok(Loaded { blueprint, imports })
        };
        self.loaded.get_or_try_init(load).await
    }
}

/// A plugin that serves for one case.
pub struct House {
    /// What it stands on.
    pub backends: Backends,
    /// Its clock, its chance, and the hosts it calls.
    pub world: Arc<Fixed>,
    /// How long it took to load the plugin, if it was not loaded yet: its code may have been
    /// compiled.
    pub loading: Duration,
    alone: Alone,
    edge: http::Inside,
    stop: CancellationToken,
    triggers: Vec<JoinHandle<()>>,
    /// Last, so that it goes when all is closed.
    _scratch: tempfile::TempDir,
}

impl House {
    /// Open a house for a case. Its plugin has started and its consumers wait for messages.
    ///
    /// # Errors
    /// Whatever would keep the plugin from serving anywhere.
    pub async fn open(
        stage: &Stage,
        plugin: &Plugin,
        case: &Case,
        world: Arc<Fixed>,
    ) -> anyhow::Result<Self> {
        let scratch = scratch().context("cannot make a directory to try in")?;
        let settings = Settings::default();
        let backends = &settings.backends;
        let world_of_all = World::fixed(world.clone());
        let backends = Backends::open_in(world_of_all, backends, scratch.path()).await?;
        let loader = loader(stage, plugin, case, &backends, scratch.path()).await?;
        let began = Instant::now();
        let Loaded { blueprint, imports } = plugin.loaded(&loader).await?;
        let loading = began.elapsed();
        let manifest = &blueprint.manifest;
        loader.grants.check(manifest, imports)?;
        topics(manifest, &*backends.log).await?;
        let alone = Alone::start(&loader, hasty(blueprint), &checks(true)).await?;
        let stop = CancellationToken::new();
        let settings = http::Settings { listen: Vec::new(), ..settings.http };
        let edge = http::Server::open(settings, alone.watch(), Arc::new(door::Shut)).await?;
        let inside = edge.inside();
        let (_replays, asked) = replay::channel();
        let consuming = consumer::run(backends.log.clone(), alone.watch(), asked, stop.clone());
        let serving = edge.run(stop.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the edge ended");
            }
        });
        let triggers = vec![tokio::spawn(consuming), serving];
        let house = Self {
            backends,
            world,
            loading,
            alone,
            edge: inside,
            stop,
            triggers,
            _scratch: scratch,
        };
        house.joined().await?;
        Ok(house)
    }

    /// What the plugin asks for.
    pub fn manifest(&self) -> &Manifest {
        self.alone.generation().manifest()
    }

    /// Ask the plugin.
    pub fn connect(&self) -> tokio::io::DuplexStream {
        self.edge.connect(CLIENT)
    }

    /// Wait until consumers have all they ask for, each at its place.
    async fn joined(&self) -> anyhow::Result<()> {
        let late = || anyhow::anyhow!("the consumers have not joined their groups");
        self.until(late, |places| {
            let tables = self.manifest().consume.iter();
            tables.into_iter().all(|table| {
                let group = table.group.as_deref().unwrap_or(&self.manifest().name);
                let has = |topic: &String| {
                    let mut own = places
                        .iter()
                        .filter(|place| *place.group == *group && *place.topic == **topic);
                    let placed = |place: &log::Lag| {
                        table.start != StartAt::Latest || place.committed.is_some()
                    };
                    own.next().is_some_and(placed) && own.all(placed)
                };
                table.topics.iter().all(has)
            })
        })
        .await
    }

    /// Wait until every message that came is done: handled and committed, or a dead letter.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let late = || anyhow::anyhow!("messages are not worked off after {PATIENCE:?}");
        self.until(late, |places| places.iter().all(|place| place.lag == 0)).await
    }

    async fn until(
        &self,
        late: impl Fn() -> anyhow::Error,
        done: impl Fn(&[log::Lag]) -> bool,
    ) -> anyhow::Result<()> {
        if self.manifest().consume.is_empty() {
            return Ok(());
        }
        let look = async {
            while !done(&self.backends.log.lag().await?) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, look).await.map_err(|_| late())?
    }

    /// End it. What it wrote is gone then.
    pub async fn close(self) {
        self.stop.cancel();
        for trigger in self.triggers {
            if let Err(error) = trigger.await {
                tracing::error!(%error, "a trigger ended");
            }
        }
        self.alone.end(LAST_CALLS).await;
        self.backends.log.close().await;
    }
}

/// The same with consumers that wait for nobody: all that comes in a step comes at once.
fn hasty(blueprint: &Blueprint) -> Blueprint {
    let mut blueprint = blueprint.clone();
    for table in &mut blueprint.manifest.consume {
        table.batch.max_wait = Millis(0);
    }
    blueprint
}

/// What makes the generation of a case.
async fn loader(
    stage: &Stage,
    plugin: &Plugin,
    case: &Case,
    backends: &Backends,
    scratch: &Path,
) -> anyhow::Result<Loader> {
    let mut settings = Settings::default().capabilities;
    let stem = plugin.wasm.file_stem().unwrap_or_default().to_string_lossy();
    settings.config.values.insert(stem.to_string(), case.config.clone());
    for (number, (name, value)) in case.secrets.iter().enumerate() {
        let file = scratch.join(format!("secret-{number}"));
        tokio::fs::write(&file, value).await?;
        settings.config.secrets.insert(name.clone(), secret::Source::File(file));
    }
    let mut grants = Grants { default: DefaultGrant::Needs, ..Grants::default() };
    if let Some(needs) = &case.grants {
        grants.plugins.insert(stem.into_owned(), needs.clone());
    }
    Ok(Loader {
        runtime: stage.runtime.clone(),
        capabilities: Arc::new(Capabilities::open(settings, backends).await?),
        log: backends.log.clone(),
        grants,
    })
}

/// Create the topics that others bring along elsewhere, with one partition, so that their records
/// have one order.
async fn topics(manifest: &Manifest, log: &dyn log::Log) -> anyhow::Result<()> {
    let read = manifest.consume.iter().flat_map(|table| &table.topics);
    let written = manifest.needs.produce.iter().flat_map(|produce| &produce.topics);
    for topic in read.chain(written).filter(|topic| !manifest.topics.contains_key(*topic)) {
        if !topic.ends_with('*') {
            create(log, topic).await?;
        }
    }
    Ok(())
}

/// Create a topic, unless it is there.
pub async fn create(log: &dyn log::Log, topic: &str) -> log::Result<()> {
    let settings = TopicSettings { partitions: 1, ..TopicSettings::default() };
    match log.create(topic, settings).await {
        Err(log::Error::TopicExists(_)) => Ok(()),
        outcome => outcome,
    }
}

/// A directory in memory, where there is one: what syncs costs nothing there.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let in_memory = tempfile::Builder::new().prefix("trellis-").tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir())
}
