//! Which plugin serves a request: the routes of all live generations, rebuilt at each swap.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{
    meter::Meter,
    rate::Limiter,
    router::{Captures, MAX_PARAMS, Router},
    split::Split,
};
use crate::{
    manifest::{
        Connect, Http,
        route::{self, Pattern, Segment},
    },
    plugins::{Blueprint, Canary, Check, Claim, Generation, Live, Watch},
    runtime::exports::Offered,
};

/// For each so many plugins, nothing is followed for a millisecond after a swap was followed. To
/// follow it takes about a tenth of that.
const REST: usize = 200;

/// A route and the generation behind it.
pub struct Binding {
    /// Who answers.
    pub generation: Arc<Generation>,
    /// The route, as its plugin wrote it.
    pub route: String,
    /// The names of the route's parameters, in its order.
    pub names: Vec<String>,
    /// `[http] max-body` of the manifest.
    pub max_body: u64,
    /// `[http] max-response` of the manifest.
    pub max_response: usize,
    /// Set where requests are for connections.
    pub connect: Option<Connect>,
    /// What the plugin keeps over its swaps.
    pub kept: Kept,
    /// Who else gets requests of this route, where they are split.
    split: Option<Arc<Split>>,
}

/// What belongs to a plugin and not to one of its generations.
#[derive(Clone)]
pub struct Kept {
    /// Counts its requests.
    pub meter: Arc<Meter>,
    /// Counts its clients, if the manifest limits them.
    pub limiter: Option<Arc<Limiter>>,
}

/// The routes as they were at one swap.
struct Table {
    live: Arc<Live>,
    router: Router<Arc<Binding>>,
    /// By plugin.
    bound: HashMap<Arc<str>, Arc<Bound>>,
}

/// What has been worked out for a generation, which every table with it shares.
struct Bound {
    generation: Arc<Generation>,
    canary: Option<Arc<Canary>>,
    kept: Kept,
    routes: Vec<(Pattern, Arc<Binding>)>,
}

/// The routes as they are.
pub struct Routes {
    live: Watch,
    table: ArcSwap<Table>,
    building: Mutex<()>,
}

impl Routes {
    /// The routes of what `live` shows.
    pub fn new(live: Watch) -> Self {
        let now = live.borrow().clone();
        let table = ArcSwap::from_pointee(Table::build(now, &HashMap::new()));
        Self { live, table, building: Mutex::new(()) }
    }

    /// Who serves this path of this host. Where the plugin's requests are split, the weights
    /// decide anew each time.
    pub fn find(&self, host: &str, path: &str) -> Option<(Arc<Binding>, Captures)> {
        let table = self.table.load();
        let (binding, captures) = table.router.find(host, path)?;
        if let Some(split) = &binding.split
            && let Some((binding, captures)) = split.draw(host, path)
        {
            return Some((binding.clone(), captures));
        }
        Some((binding.clone(), captures))
    }

    /// Take over what is live now. Whoever met a generation that has ended calls this before
    /// looking again: the swap came before the end.
    pub fn refresh(&self) {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.borrow().clone();
        let table = self.table.load();
        if !Arc::ptr_eq(&table.live, &live) {
            self.table.store(Arc::new(Table::build(live, &table.bound)));
        }
    }

    /// Follow the swaps until the plugins' side has ended. One is followed at once; thousands in
    /// a row, at the start of a large host, take no more than a small part of a thread.
    pub async fn follow(&self) {
        let mut live = self.live.clone();
        while live.changed().await.is_ok() {
            self.refresh();
            let rest = (self.table.load().bound.len() / REST) as u64;
            if rest > 0 {
                tokio::time::sleep(Duration::from_millis(rest)).await;
            }
        }
    }
}

impl Table {
    fn build(live: Arc<Live>, known: &HashMap<Arc<str>, Arc<Bound>>) -> Self {
        let mut router = Router::default();
        let mut bound = HashMap::with_capacity(known.len());
        for generation in live.generations.iter().filter(|one| is_asked(one.offered())) {
            let (before, canary) = (known.get(&generation.plugin), live.canary(&generation.plugin));
            let same = before.filter(|before| before.is_of(generation, canary));
            let bind = || Arc::new(Bound::new(generation, canary, before));
            let now = same.cloned().unwrap_or_else(bind);
            now.enter(&mut router);
            bound.insert(generation.plugin.clone(), now);
        }
        Self { live, router, bound }
    }
}

impl Bound {
    fn new(
        generation: &Arc<Generation>,
        canary: Option<&Arc<Canary>>,
        before: Option<&Arc<Self>>,
    ) -> Self {
        let kept = Kept::of(generation, before.map(|before| &before.kept));
        let split = canary.map(|canary| Arc::new(Split::of(canary, &kept)));
        let routes = bindings(generation, &kept, split.as_ref());
        Self { generation: generation.clone(), canary: canary.cloned(), kept, routes }
    }

    /// Whether it was worked out for these.
    fn is_of(&self, generation: &Arc<Generation>, canary: Option<&Arc<Canary>>) -> bool {
        let same_canary = match (&self.canary, canary) {
            (Some(ours), Some(other)) => Arc::ptr_eq(ours, other),
            (ours, other) => ours.is_none() && other.is_none(),
        };
        Arc::ptr_eq(&self.generation, generation) && same_canary
    }

    fn enter(&self, router: &mut Router<Arc<Binding>>) {
        for (pattern, binding) in &self.routes {
            if let Err(holder) = router.insert(pattern, binding.clone()) {
                let (plugin, holder) = (&self.generation.plugin, &holder.generation.plugin);
                tracing::error!(%plugin, %pattern, %holder, "a route is left out: another plugin has it");
            }
        }
    }
}

/// The routes of a generation with what they lead to.
pub(super) fn bindings(
    generation: &Arc<Generation>,
    kept: &Kept,
    split: Option<&Arc<Split>>,
) -> Vec<(Pattern, Arc<Binding>)> {
    let http = generation.manifest().http.clone().unwrap_or_default();
    let bind = |(route, connect): (String, Option<Connect>)| {
        // It was refused at load; what gets here all the same must not take others down.
        let refused = |error: &Unbound| {
            tracing::error!(plugin = %generation.plugin, %error, "a route is left out");
        };
        let pattern = read(&route).inspect_err(refused).ok()?;
        let binding = Binding {
            generation: generation.clone(),
            route,
            names: names(&pattern).map(str::to_owned).collect(),
            max_body: http.max_body.0,
            max_response: http.max_response.as_usize(),
            connect,
            kept: kept.clone(),
            split: split.cloned(),
        };
        Some((pattern, Arc::new(binding)))
    };
    let blueprint = generation.blueprint();
    let answered = routes(blueprint).into_iter().map(|route| (route, None));
    let connected = connections(blueprint).map(|(route, connect)| (route, Some(connect.clone())));
    answered.chain(connected).filter_map(bind).collect()
}

impl Kept {
    /// What a generation takes over from those before it: a limit that stays the same goes on
    /// counting.
    pub(super) fn of(generation: &Generation, before: Option<&Self>) -> Self {
        let meter = before.map(|before| before.meter.clone());
        let meter = meter.unwrap_or_else(|| Arc::new(Meter::new(generation.plugin.clone())));
        let limit = generation.manifest().http.as_ref().and_then(|http| http.rate_limit);
        let limiter = limit.map(|limit| {
            let counting = before.and_then(|before| before.limiter.clone());
            let counting = counting.filter(|limiter| limiter.limit() == limit);
            counting.unwrap_or_else(|| Arc::new(Limiter::new(limit)))
        });
        Self { meter, limiter }
    }
}

fn read(route: &str) -> Result<Pattern, Unbound> {
    let pattern = Pattern::parse(route)?;
    match names(&pattern).count() {
        count if count > MAX_PARAMS => Err(Unbound::TooMany { route: route.to_owned(), count }),
        _ => Ok(pattern),
    }
}

fn names(pattern: &Pattern) -> impl Iterator<Item = &str> {
    pattern.segments.iter().filter_map(Segment::name)
}

/// The routes of a plugin: those of its manifest, or `/<name>` and all below it.
fn routes(blueprint: &Blueprint) -> Vec<String> {
    if blueprint.offered.http.is_none() {
        return Vec::new();
    }
    match &blueprint.manifest.http {
        Some(Http { routes, .. }) if !routes.is_empty() => routes.clone(),
        _ => {
            let name = &blueprint.manifest.name;
            vec![format!("/{name}"), format!("/{name}/{{*path}}")]
        }
    }
}

/// Whether requests go to it at all.
fn is_asked(offered: Offered) -> bool {
    offered.http.is_some() || offered.connection
}

/// The routes of a plugin's connections.
fn connections(blueprint: &Blueprint) -> impl Iterator<Item = (String, &Connect)> {
    let connect = blueprint.manifest.connect.iter().filter(|_| blueprint.offered.connection);
    connect.flat_map(|connect| connect.routes.iter().map(move |route| (route.clone(), connect)))
}

/// Refuses components whose routes cannot be read, and claims the routes of the others.
pub struct RouteCheck;

/// Why a route cannot be bound.
#[derive(Debug, thiserror::Error)]
enum Unbound {
    #[error(transparent)]
    Pattern(#[from] route::Error),
    #[error("route `{route}` has {count} parameters; the most is {MAX_PARAMS}")]
    TooMany { route: String, count: usize },
}

impl Check for RouteCheck {
    fn claims(&self, blueprint: &Blueprint) -> anyhow::Result<Vec<Claim>> {
        let claim = |route: String| {
            Ok(Claim {
                thing: format!("route {}", read(&route)?.shape()),
                said: format!("route `{route}`"),
                remedy: "change it in the `routes` of one",
            })
        };
        let connected = connections(blueprint).map(|(route, _)| route);
        routes(blueprint).into_iter().chain(connected).map(claim).collect()
    }
}
