//! Where the log lines and the numbers of all rooms end up.
//!
//! Every room writes through `tracing` and `metrics`, and begins spans in [`traces`]. Others that
//! enter here want to read or to set up: `serve` calls [`init`] once, and the admin API serves what
//! [`Observe`] holds.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt,
};

pub mod logs;
pub mod metrics;
mod process;
mod text;
pub mod traces;

pub use logs::Logs;
pub use metrics::Metrics;
use text::Indented;

/// `[observe]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What is written: a level, or `target=level` pairs as in `info,plugin=debug`.
    pub log: String,
    /// How it is written.
    pub format: Format,
    /// Lines kept in memory for `trellis logs`.
    pub recent_lines: usize,
    /// `[observe.traces]`
    pub traces: traces::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log: "info".into(),
            format: Format::Text,
            recent_lines: 10_000,
            traces: traces::Settings::default(),
        }
    }
}

impl Settings {
    /// Whether [`init`] would take them.
    pub fn check(&self) -> Result<(), Error> {
        filter(&self.log)?;
        Ok(self.traces.check()?)
    }
}

/// How log lines are written to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Why nothing can be seen of the host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not in the language of filters.
    #[error("`{filter}` is no log filter")]
    Filter {
        /// What was given.
        filter: String,
    },
    /// Somebody else has taken the log or the metrics of this process.
    #[error("the log and the metrics of this process are in use already")]
    Taken,
    /// Nothing can be traced.
    #[error(transparent)]
    Traces(#[from] traces::Fault),
}

/// What was written lately, and all numbers.
#[derive(Clone)]
pub struct Observe {
    /// The recent log lines.
    pub logs: Logs,
    /// The numbers.
    pub metrics: Metrics,
}

/// Direct the log lines and numbers of this process to here; once a process.
pub fn init(settings: &Settings) -> Result<Observe, Error> {
    let filter = filter(&settings.log)?;
    let logs = Logs::new(settings.recent_lines);
    let lines = writer(settings.format, colour());
    let subscriber = tracing_subscriber::registry().with(lines).with(logs.layer()).with(filter);
    let metrics = Metrics::install().ok_or(Error::Taken)?;
    subscriber.try_init().map_err(|_| Error::Taken)?;
    Ok(Observe { logs, metrics })
}

/// What the libraries below say of their own housekeeping; whoever wants it names the target.
const QUIET: &str = "fjall=warn,lsm_tree=warn,sqlx=warn";

fn filter(text: &str) -> Result<EnvFilter, Error> {
    let wanted = format!("{QUIET},{text}");
    EnvFilter::builder().parse(wanted).map_err(|_| Error::Filter { filter: text.to_owned() })
}

/// Colour on a terminal, unless the user's environment asks for none.
fn colour() -> bool {
    let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !asked_for_none
}

fn writer(format: Format, colour: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour);
    match format {
        Format::Text => lines.with_writer(|| Indented(io::stderr())).boxed(),
        Format::Json => lines.with_writer(io::stderr).json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_of_targets() {
        for good in ["info", "warn,plugin=debug", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let error = filter("plugin=loud").unwrap_err().to_string();
        assert!(error.starts_with("`plugin=loud` is no log filter"), "{error}");
    }
}
