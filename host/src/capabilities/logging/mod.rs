//! `logging`: a plugin's own lines in the log of the host, through `wasi:logging` and its
//! standard output and error.
//!
//! Every line becomes an event with the target `plugin` and the fields `plugin`, `context`, `cause`
//! (of the call: a request's id, or a topic, a partition and an offset) and `trace`.
//! A plugin has a rate; what is beyond it is dropped and counted, and the count is reported
//! once a second.

use std::{borrow::Cow, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use tracing::field::display;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, WasmStr},
};

use super::{Call, Capability, Dialect, Plugin, State};
use crate::{backends::Backends, world::World};

mod meter;
mod stream;
#[cfg(test)]
mod tests;

pub use meter::Meter;
pub use stream::Stream;

/// The longest message, in bytes; the rest is cut off.
const MAX_LINE: usize = 8 << 10;
/// The longest context.
const MAX_CONTEXT: usize = 128;

/// `[logging]`: how much each plugin may write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Lines a second, over time.
    pub lines_per_second: u32,
    /// Lines at once after a quiet time.
    pub burst: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lines_per_second: 1000, burst: 5000 }
    }
}

/// `[needs.logging]`: nothing to ask for, writing lines is free.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {}

/// The capability.
pub struct Logging {
    settings: Settings,
    world: World,
}

/// The voice of one generation.
pub struct Prepared {
    plugin: Arc<str>,
    meter: Meter,
    world: World,
    dropped: metrics::Counter,
}

/// One store's voice.
pub struct Instance {
    prepared: Arc<Prepared>,
}

/// `wasi:logging/logging.level`.
#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Step by step.
    #[component(name = "trace")]
    Trace,
    /// For whoever looks for a fault.
    #[component(name = "debug")]
    Debug,
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// Not as it should be.
    #[component(name = "warn")]
    Warn,
    /// Failed.
    #[component(name = "error")]
    Error,
    /// Cannot go on; written as an error with `critical=true`.
    #[component(name = "critical")]
    Critical,
}

impl Level {
    /// As `wasi:logging` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl Prepared {
    /// Write a line for the plugin, if its rate allows. `call` tells of the request
    /// or the messages that the plugin was called for, as far as that is known.
    pub fn write(&self, level: Level, call: Option<&Call>, context: &str, message: &str) {
        let verdict = self.meter.admit(Instant::now());
        if let Some(dropped) = verdict.report {
            self.report(dropped);
        }
        if !verdict.admitted {
            self.dropped.increment(1);
            return;
        }
        let (context, message) =
            (tame(context, MAX_CONTEXT, &[]), tame(message, MAX_LINE, &['\n']));
        if let Some(world) = self.world.as_fixed() {
            world.hear(level.name(), &message);
        }
        let context = (!context.is_empty()).then_some(&*context);
        let cause = call.map(|call| call.cause.as_str()).filter(|cause| !cause.is_empty());
        let trace = call.and_then(|call| call.trace.as_ref()).map(|trace| display(trace.id()));
        let plugin = &*self.plugin;
        match level {
            Level::Trace => {
                tracing::trace!(target: "plugin", plugin, cause, trace, context, "{message}")
            }
            Level::Debug => {
                tracing::debug!(target: "plugin", plugin, cause, trace, context, "{message}")
            }
            Level::Info => {
                tracing::info!(target: "plugin", plugin, cause, trace, context, "{message}")
            }
            Level::Warn => {
                tracing::warn!(target: "plugin", plugin, cause, trace, context, "{message}")
            }
            Level::Error => {
                tracing::error!(target: "plugin", plugin, cause, trace, context, "{message}")
            }
            Level::Critical => {
                tracing::error!(target: "plugin", plugin, cause, trace, context, critical = true, "{message}");
            }
        }
    }

    fn report(&self, dropped: u64) {
        tracing::warn!(
            plugin = &*self.plugin,
            dropped,
            "log lines were dropped: the plugin writes more than `[logging] lines-per-second`"
        );
    }
}

impl Instance {
    /// Write a line of the call in progress, if the plugin's rate allows.
    pub fn write(&self, level: Level, call: &Call, context: &str, message: &str) {
        self.prepared.write(level, Some(call), context, message);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let dropped = self.meter.unreported();
        if dropped > 0 {
            self.report(dropped);
        }
    }
}

/// At most `most` bytes, with everything escaped that would steer a terminal, but for what is
/// `kept`: the line breaks of a traceback, behind which whoever shows a line moves the rest in, so
/// that it is no line of its own.
fn tame<'a>(text: &'a str, most: usize, kept: &[char]) -> Cow<'a, str> {
    let cut = text.floor_char_boundary(most);
    let (text, rest) = text.split_at(cut);
    let plain = |letter: char| !letter.is_control() || letter == '\t' || kept.contains(&letter);
    if rest.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match plain(letter) {
            true => line.push(letter),
            false => line.extend(letter.escape_default()),
        }
    }
    if !rest.is_empty() {
        line.push_str(" …");
    }
    Cow::Owned(line)
}

impl Capability for Logging {
    const NAME: &'static str = "logging";
    const INTERFACES: &'static [&'static str] =
        &["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft"];
    const NEEDS_GRANT: bool = false;
    type Settings = Settings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(settings: Settings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { settings, world: backends.world.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        for interface in Self::INTERFACES {
            linker.instance(interface)?.func_wrap("log", log)?;
        }
        Ok(())
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, _grant: &Grant) -> anyhow::Result<Prepared> {
        let Settings { lines_per_second, burst } = self.settings;
        let label = plugin.name.to_string();
        Ok(Prepared {
            plugin: plugin.name.clone(),
            meter: Meter::new(lines_per_second, burst, Instant::now()),
            world: self.world.clone(),
            dropped: metrics::counter!("trellis_log_lines_dropped_total", "plugin" => label),
        })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone() }
    }
}

/// `log`. The strings stay in the guest's memory until their length is known.
fn log(
    store: StoreContextMut<'_, State>,
    (level, context, message): (Level, WasmStr, WasmStr),
) -> wasmtime::Result<()> {
    let (context, message) = (context.to_str(&store)?, message.to_str(&store)?);
    if let Some(own) = &store.data().own.logging {
        own.write(level, &store.data().call, &context, &message);
    }
    Ok(())
}
