//! Which plugin serves a request: the routes of all live generations, rebuilt at each swap.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{
    meter::Meter,
    rate::Limiter,
    router::{Captures, MAX_PARAMS, Router},
};
use crate::{
    manifest::{
        Http,
        route::{self, Pattern, Segment},
    },
    plugins::{Check, Generation, Live, Watch},
};

/// A route and the generation behind it.
pub struct Binding {
    /// Who answers.
    pub generation: Arc<Generation>,
    /// The names of the route's parameters, in its order.
    pub names: Vec<String>,
    /// `[http] max-body` of the manifest.
    pub max_body: u64,
    /// `[http] max-response` of the manifest.
    pub max_response: usize,
    /// What the plugin keeps over its swaps.
    pub kept: Kept,
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
    kept: HashMap<Arc<str>, Kept>,
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

    /// Who serves this path of this host.
    pub fn find(&self, host: &str, path: &str) -> Option<(Arc<Binding>, Captures)> {
        let table = self.table.load();
        table.router.find(host, path).map(|(binding, captures)| (binding.clone(), captures))
    }

    /// Take over what is live now. Whoever met a generation that has ended calls this before
    /// looking again: the swap came before the end.
    pub fn refresh(&self) {
        let _building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.borrow().clone();
        let table = self.table.load();
        if !Arc::ptr_eq(&table.live, &live) {
            self.table.store(Arc::new(Table::build(live, &table.kept)));
        }
    }

    /// Follow the swaps until the plugins' side has ended.
    pub async fn follow(&self) {
        let mut live = self.live.clone();
        while live.changed().await.is_ok() {
            self.refresh();
        }
    }
}

impl Table {
    fn build(live: Arc<Live>, known: &HashMap<Arc<str>, Kept>) -> Self {
        let mut router = Router::default();
        let mut all = HashMap::new();
        for generation in live.generations.iter().filter(|one| one.offered().http.is_some()) {
            let kept = Kept::of(generation, known.get(&generation.plugin));
            bind(&mut router, generation, &kept);
            all.insert(generation.plugin.clone(), kept);
        }
        Self { live, router, kept: all }
    }
}

impl Kept {
    /// What a generation takes over from those before it: a limit that stays the same goes on
    /// counting.
    fn of(generation: &Generation, before: Option<&Self>) -> Self {
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

fn bind(router: &mut Router<Arc<Binding>>, generation: &Arc<Generation>, kept: &Kept) {
    let http = generation.manifest().http.clone().unwrap_or_default();
    let plugin = &generation.plugin;
    for route in routes(generation) {
        // Both are refused at load; what gets here all the same must not take the others down.
        let pattern = match read(&route) {
            Ok(pattern) => pattern,
            Err(error) => {
                tracing::error!(%plugin, %error, "a route is left out");
                continue;
            }
        };
        let binding = Binding {
            generation: generation.clone(),
            names: names(&pattern).map(str::to_owned).collect(),
            max_body: http.max_body.0,
            max_response: http.max_response.as_usize(),
            kept: kept.clone(),
        };
        if let Err(holder) = router.insert(&pattern, Arc::new(binding)) {
            let holder = &holder.generation.plugin;
            tracing::error!(%plugin, route, %holder, "a route is left out: another plugin has it");
        }
    }
}

fn read(route: &str) -> Result<Pattern, Conflict> {
    let pattern = Pattern::parse(route)?;
    match names(&pattern).count() {
        count if count > MAX_PARAMS => Err(Conflict::TooMany { route: route.to_owned(), count }),
        _ => Ok(pattern),
    }
}

fn names(pattern: &Pattern) -> impl Iterator<Item = &str> {
    pattern.segments.iter().filter_map(|segment| match segment {
        Segment::Literal(_) => None,
        Segment::Parameter(name) | Segment::Rest(name) => Some(name.as_str()),
    })
}

/// The routes of a plugin: those of its manifest, or `/<name>` and all below it.
fn routes(generation: &Generation) -> Vec<String> {
    if generation.offered().http.is_none() {
        return Vec::new();
    }
    match &generation.manifest().http {
        Some(Http { routes, .. }) if !routes.is_empty() => routes.clone(),
        _ => {
            let name = &generation.plugin;
            vec![format!("/{name}"), format!("/{name}/{{*path}}")]
        }
    }
}

/// Refuses generations whose routes cannot be read or belong to another plugin.
pub struct RouteCheck;

/// Why a generation cannot be bound.
#[derive(Debug, thiserror::Error)]
enum Conflict {
    #[error(transparent)]
    Pattern(#[from] route::Error),
    #[error("route `{route}` has {count} parameters; the most is {MAX_PARAMS}")]
    TooMany { route: String, count: usize },
    #[error("route `{route}` belongs to plugin `{holder}`; change it in `[http] routes` of one")]
    Taken { route: String, holder: String },
}

impl Check for RouteCheck {
    fn check(&self, new: &Generation, others: &[Arc<Generation>]) -> anyhow::Result<()> {
        for route in routes(new) {
            let pattern = read(&route)?;
            let rivals = others.iter().filter(|other| other.plugin != new.plugin);
            if let Some(holder) = rivals.into_iter().find(|other| holds(other, &pattern)) {
                let holder = holder.plugin.to_string();
                return Err(Conflict::Taken { route, holder }.into());
            }
        }
        Ok(())
    }
}

fn holds(generation: &Generation, pattern: &Pattern) -> bool {
    let held = routes(generation);
    held.iter().any(|route| Pattern::parse(route).is_ok_and(|held| held.same_shape(pattern)))
}
