//! `metrics`: a plugin's own numbers on the host's `/metrics`, `trellis:plugin/metrics`.
//!
//! Names get the prefix `plugin_` and series the label `plugin`. A plugin has a share of series;
//! values for further ones, and those under names that are not allowed, are dropped and counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use wasmtime::{
    StoreContextMut,
    component::{Linker, WasmList, WasmStr},
};

use super::{Capability, Dialect, Plugin, State};
use crate::backends::Backends;

mod series;
#[cfg(test)]
mod tests;

pub use series::{Handle, Kind, Series};
use series::{Kinds, MAX_LABELS};

const INTERFACE: &str = "trellis:plugin/metrics@0.1.0";

/// `[metrics]`: how much each plugin may expose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Series of each plugin: names times combinations of labels.
    pub series: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { series: 1000 }
    }
}

/// `[needs.metrics]`: nothing to ask for, a plugin's own numbers are free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {}

/// The capability: the series of every plugin since the start.
pub struct Metrics {
    settings: Settings,
    kinds: Arc<Kinds>,
    plugins: Mutex<HashMap<Arc<str>, Arc<Series>>>,
}

/// One store's way to its plugin's series.
pub struct Instance {
    series: Arc<Series>,
}

impl Instance {
    /// The plugin's series, for other interfaces that have numbers for them.
    pub fn series(&self) -> &Arc<Series> {
        &self.series
    }
}

impl Capability for Metrics {
    const NAME: &'static str = "metrics";
    const INTERFACES: &'static [&'static str] = &[INTERFACE];
    const NEEDS_GRANT: bool = false;
    type Settings = Settings;
    type Grant = Grant;
    type Prepared = Arc<Series>;
    type Instance = Instance;

    async fn open(settings: Settings, _backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { settings, kinds: Arc::default(), plugins: Mutex::default() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        interface.func_wrap("count", |store, (name, labels, by): (WasmStr, Labels, u64)| {
            record(store, Kind::Counter, &name, &labels, |handle| {
                if let Handle::Counter(counter) = handle {
                    counter.increment(by);
                }
            })
        })?;
        interface.func_wrap("gauge", |store, (name, labels, value): (WasmStr, Labels, f64)| {
            record(store, Kind::Gauge, &name, &labels, |handle| {
                if let Handle::Gauge(gauge) = handle {
                    gauge.set(value);
                }
            })
        })?;
        interface.func_wrap("observe", |store, (name, labels, value): (WasmStr, Labels, f64)| {
            record(store, Kind::Histogram, &name, &labels, |handle| {
                if let Handle::Histogram(histogram) = handle {
                    histogram.record(value);
                }
            })
        })
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, _grant: &Grant) -> anyhow::Result<Arc<Series>> {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let series = plugins.entry(plugin.name.clone()).or_insert_with(|| {
            let (name, kinds) = (plugin.name.clone(), self.kinds.clone());
            Arc::new(Series::new(name, kinds, self.settings.series))
        });
        Ok(series.clone())
    }

    fn instance(prepared: &Arc<Arc<Series>>) -> Instance {
        Instance { series: (**prepared).clone() }
    }
}

type Labels = WasmList<(String, String)>;

/// Hand a value to its series. The labels stay in the guest's memory until they are counted.
fn record(
    mut store: StoreContextMut<'_, State>,
    kind: Kind,
    name: &WasmStr,
    labels: &Labels,
    write: impl FnOnce(Handle),
) -> wasmtime::Result<()> {
    let Some(series) = store.data().own.metrics.as_ref().map(|own| own.series.clone()) else {
        return Ok(());
    };
    if labels.len() > MAX_LABELS {
        series.drop_one();
        return Ok(());
    }
    let labels = labels.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    match series.handle(kind, &name.to_str(&store)?, &labels) {
        Some(handle) => write(handle),
        None => series.drop_one(),
    }
    Ok(())
}
