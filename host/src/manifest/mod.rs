//! `plugin.toml`: what a plugin is called, what starts it, what it needs and what it may take.
//!
//! A sidecar `<name>.toml` beside `<name>.wasm` wins over the manifest embedded in the
//! component; with neither, a component that exports an HTTP handler is mounted at `/<name>/`
//! and gets no grants.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    backends::log::TopicSettings,
    capabilities::Needs,
    quantity::{Bytes, Millis},
};

mod check;
pub mod problem;
mod read;
pub mod route;
pub mod section;
#[cfg(test)]
mod tests;

pub use check::{check, check_rate_limit, is_name};
pub use problem::Problem;
pub use read::{read, read_embedded, read_file, read_sidecar, read_text};

/// A plugin as its manifest describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// `[a-z0-9-]`, 1 to 63 characters, starting with a letter.
    pub name: String,
    /// Shown to people; free text, `0.1.0`.
    #[serde(default)]
    pub version: Option<String>,
    /// One line about the plugin.
    #[serde(default)]
    pub description: Option<String>,
    /// Its HTTP routes.
    #[serde(default)]
    pub http: Option<Http>,
    /// Where it takes connections.
    #[serde(default)]
    pub connect: Option<Connect>,
    /// The ports where it speaks a protocol of its own.
    #[serde(default)]
    pub listen: Vec<Listen>,
    /// What it does by the clock.
    #[serde(default)]
    pub schedule: Vec<Schedule>,
    /// The topics that run it.
    #[serde(default)]
    pub consume: Vec<Consume>,
    /// What it asks for.
    #[serde(default)]
    pub needs: Needs,
    /// Its own defaults for the keys it may read; the operator's values win.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// What it may take.
    #[serde(default)]
    pub limits: Limits,
    /// Topics to create when they are missing.
    #[serde(default)]
    pub topics: BTreeMap<String, TopicSettings>,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// `[host]/path` with `{name}` for one segment and a last `{*name}` for the rest.
    pub routes: Vec<String>,
    /// The largest request body; a larger one is answered with 413.
    pub max_body: Bytes,
    /// The largest response body of `trellis:http` handlers.
    pub max_response: Bytes,
    /// How much one client may ask of this plugin, whatever it asks of others; more is answered
    /// with 429. `None`: as much as it likes, and nobody counts.
    pub rate_limit: Option<RateLimit>,
}

/// `rate-limit = { per-second = 100, burst = 200 }`, for each client address. To count takes 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RateLimit {
    /// Requests a second that a client address may send for long, 1 to 1,000,000; an IPv6 client
    /// counts with its whole /64.
    pub per_second: u32,
    /// Requests it may send at once before that, 1 to 1,000,000.
    pub burst: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            max_body: Bytes(1 << 20),
            max_response: Bytes(16 << 20),
            rate_limit: None,
        }
    }
}

/// `[connect]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Connect {
    /// As those of `[http]`; a request at one of them is one for a connection.
    pub routes: Vec<String>,
    /// The largest message of a client; a larger one ends its connection.
    pub max_message: Bytes,
    /// What may wait for one connection, besides what channels keep; more ends it.
    pub max_waiting: Bytes,
    /// Calls for events at a time, each for some of the connections. With 1, all that is said on
    /// any of them is handled in one order.
    pub lanes: u32,
}

impl Manifest {
    /// All its routes, those of requests and those of connections.
    pub fn routes(&self) -> Vec<String> {
        let http = self.http.iter().flat_map(|http| &http.routes);
        let connect = self.connect.iter().flat_map(|connect| &connect.routes);
        http.chain(connect).cloned().collect()
    }
}

impl Default for Connect {
    fn default() -> Self {
        let (max_message, max_waiting) = (Bytes(64 << 10), Bytes(256 << 10));
        Self { routes: Vec::new(), max_message, max_waiting, lanes: 8 }
    }
}

/// One `[[listen]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Listen {
    /// Tells the plugin's listeners apart; written like a plugin's name.
    pub name: String,
    /// The TCP port, of the address in `[sockets]` of the settings.
    pub port: u16,
    /// Connections at a time; more are refused.
    #[serde(default = "Listen::default_max_connections")]
    pub max_connections: u32,
    /// Connections at a time of one client address, an IPv6 client counting with its whole /64; more
    /// are refused. `None`: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_address: Option<u32>,
    /// A client that sends nothing for so long is closed.
    #[serde(default = "Listen::default_idle")]
    pub idle: Millis,
    /// What may wait for a client to take it; beyond it nothing more of it is read.
    #[serde(default = "Listen::default_max_waiting")]
    pub max_waiting: Bytes,
    /// Whether clients speak TLS, with the certificate in `[sockets]` of the settings.
    #[serde(default)]
    pub tls: bool,
}

impl Listen {
    fn default_max_connections() -> u32 {
        64
    }

    fn default_idle() -> Millis {
        Millis(60_000)
    }

    fn default_max_waiting() -> Bytes {
        Bytes(1 << 20)
    }
}

/// One `[[schedule]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// Tells the plugin's schedules apart; written like a plugin's name.
    pub name: String,
    /// The time from one run to the next.
    pub every: Millis,
}

/// One `[[consume]]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Consume {
    /// The topics to read.
    pub topics: Vec<String>,
    /// The group; the plugin's name when not given.
    #[serde(default)]
    pub group: Option<String>,
    /// How records are bundled.
    #[serde(default)]
    pub batch: BatchLimits,
    /// When a batch counts as done.
    #[serde(default)]
    pub delivery: Delivery,
    /// Where a new group starts.
    #[serde(default)]
    pub start: StartAt,
    /// What happens to a message that fails.
    #[serde(default)]
    pub retry: Retry,
    /// The dead-letter topic; `<topic>.dead.<group>` when not given.
    #[serde(default)]
    pub dead_letter: Option<String>,
}

/// `batch = { max-messages = 1000, max-wait = "5ms" }`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BatchLimits {
    /// At most this many messages, 1 to 10,000.
    pub max_messages: u32,
    /// At most this many bytes.
    pub max_bytes: Bytes,
    /// How long to wait for more once there is one.
    pub max_wait: Millis,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { max_messages: 1000, max_bytes: Bytes(1 << 20), max_wait: Millis(5) }
    }
}

/// When a batch counts as done; see `[[consume]] delivery`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Committed after the call returned; a crash may repeat a batch.
    #[default]
    AtLeastOnce,
    /// What the call sends and the offsets commit together.
    ExactlyOnceTopics,
    /// What the call writes to the plugin's own database and the offsets commit together.
    ExactlyOnceSql,
}

/// Where a group without committed offsets starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartAt {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
}

/// `retry = { attempts = 5, backoff = "100ms", max-backoff = "10s" }`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// How often a message is handed over before it is a dead letter, at least 1.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles each time.
    pub backoff: Millis,
    /// The longest pause.
    pub max_backoff: Millis,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, backoff: Millis(100), max_backoff: Millis(10_000) }
    }
}

/// `[limits]`: what all instances of the plugin together may take, and each call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Linear memory, the sum over all instances.
    pub memory: Bytes,
    /// The time a call may take, waiting included.
    pub timeout: Millis,
    /// The time `start`, `save` and `stop` may take.
    pub start_timeout: Millis,
    /// Calls at a time, so also the most instances.
    pub concurrency: u32,
    /// Calls that may wait for an instance; further HTTP requests are answered with 503.
    pub queue: u32,
    /// Whether an instance serves more than one call. `None`: yes for `trellis:*` triggers, no
    /// for `wasi:http` 0.2, where some engines fail on a second request.
    pub reuse: Option<bool>,
    /// Calls after which an instance is replaced; `None`: never.
    pub max_calls: Option<u64>,
    /// Age at which an instance is replaced; `None`: never.
    pub max_age: Option<Millis>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Bytes(256 << 20),
            timeout: Millis(30_000),
            start_timeout: Millis(10_000),
            concurrency: 64,
            queue: 1024,
            reuse: None,
            max_calls: None,
            max_age: None,
        }
    }
}

impl Limits {
    /// The time a call may take.
    pub fn deadline(&self) -> Duration {
        self.timeout.into()
    }
}
