//! `otel`: what a component tells of itself in the words of OpenTelemetry, `wasi:otel`.
//!
//! Nothing here is a way out of its own: spans join the host's traces, numbers the plugin's series
//! on `/metrics`, lines the log, each within the bounds that are there for it. Whether a call is
//! traced is the host's decision; spans of a call that is not are let go.

use std::{sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::{Capability, Dialect, Plugin, State, logging::Meter};
use crate::{backends::Backends, observe::traces::Trace};

mod logs;
mod metrics;
#[cfg(test)]
mod tests;
mod tracing;
mod types;

use metrics::Totals;

/// `[otel]`: how much each plugin may tell. Lines and series have their bounds in `[logging]` and
/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Spans a second, over time.
    pub spans_per_second: u32,
    /// Spans at once after a quiet time.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { spans_per_second: 1000, burst: 5000 }
    }
}

/// `[needs.otel]`: nothing to ask for, telling of oneself is free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {}

/// The capability.
pub struct Otel {
    settings: Settings,
}

/// What a generation has: its rate of spans.
pub struct Prepared {
    plugin: Arc<str>,
    spans: Meter,
    dropped: ::metrics::Counter,
}

/// What one store has.
pub struct Instance {
    prepared: Arc<Prepared>,
    /// The places of the call in progress above the one it has now: a guest's spans lie in one
    /// another, and what the host does for the guest belongs to the innermost.
    above: Vec<Trace>,
    /// How far the sums are that its SDK keeps.
    totals: Totals,
}

impl Prepared {
    /// Whether one more span may go out.
    fn admit(&self) -> bool {
        let verdict = self.spans.admit(Instant::now());
        if let Some(dropped) = verdict.report {
            ::tracing::warn!(
                plugin = &*self.plugin,
                dropped,
                "spans were dropped: the plugin ends more than `[otel] spans-per-second`"
            );
        }
        if !verdict.admitted {
            self.dropped.increment(1);
        }
        verdict.admitted
    }
}

impl Capability for Otel {
    const NAME: &'static str = "otel";
    const INTERFACES: &'static [&'static str] = &[
        "wasi:otel/types@0.2.0-rc.1",
        "wasi:otel/tracing@0.2.0-rc.1",
        "wasi:otel/metrics@0.2.0-rc.1",
        "wasi:otel/logs@0.2.0-rc.1",
        "wasi:otel/types@0.2.0-rc.2",
        "wasi:otel/tracing@0.2.0-rc.2",
        "wasi:otel/metrics@0.2.0-rc.2",
        "wasi:otel/logs@0.2.0-rc.2",
    ];
    const NEEDS_GRANT: bool = false;
    type Settings = Settings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(settings: Settings, _backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { settings })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        for version in ["0.2.0-rc.1", "0.2.0-rc.2"] {
            tracing::link(&mut linker.instance(&format!("wasi:otel/tracing@{version}"))?)?;
            metrics::link(&mut linker.instance(&format!("wasi:otel/metrics@{version}"))?)?;
            logs::link(&mut linker.instance(&format!("wasi:otel/logs@{version}"))?)?;
        }
        Ok(())
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, _grant: &Grant) -> anyhow::Result<Prepared> {
        let Settings { spans_per_second, burst } = self.settings;
        let label = plugin.name.to_string();
        Ok(Prepared {
            plugin: plugin.name.clone(),
            spans: Meter::new(spans_per_second, burst, Instant::now()),
            dropped: ::metrics::counter!("trellis_spans_dropped_total", "plugin" => label),
        })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone(), above: Vec::new(), totals: Totals::default() }
    }

    fn end_call(instance: &mut Instance) {
        instance.above.clear();
    }
}
