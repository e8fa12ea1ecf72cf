//! What the operator decides: where things live and what plugins may use.
//!
//! `settings.toml` beside the sources lists every setting with its default and its meaning; a
//! test holds the defaults of all rooms to it. Each room owns the type of its table. This room
//! joins them and lays flags over environment variables over the file over the defaults.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};

use crate::{
    admin, backends, capabilities, nodes, observe,
    plugins::{grants::Grants, versions},
    quantity::Millis,
    runtime,
    triggers::{connection, http, socket},
};

mod check;
mod conceal;
mod layers;
#[cfg(test)]
mod tests;

pub use layers::{Flag, Loaded, load};

/// The file that lists every setting with its default.
pub const DEFAULTS: &str = include_str!("../../settings.toml");

/// All settings.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// `[host]`
    pub host: Host,
    /// `[http]`
    pub http: http::Settings,
    /// `[admin]`
    pub admin: admin::Settings,
    /// `[nodes]`
    pub nodes: nodes::Settings,
    /// `[runtime]`
    pub runtime: runtime::Settings,
    /// `[versions]`
    pub versions: versions::Settings,
    /// `[connections]`
    pub connections: connection::Settings,
    /// `[sockets]`
    pub sockets: socket::Settings,
    /// `[log]`, `[sql]`, `[keyvalue]`, `[cache]`, `[blobs]`, `[channels]` and `[postgres]`
    #[serde(flatten)]
    pub backends: backends::Settings,
    /// `[observe]`
    pub observe: observe::Settings,
    /// `[grants]`
    pub grants: Grants,
    /// One table for each capability that has settings.
    #[serde(flatten)]
    pub capabilities: capabilities::Settings,
}

/// The tables that are not a capability's.
const TABLES: &[&str] = &[
    "host",
    "http",
    "connections",
    "sockets",
    "admin",
    "nodes",
    "runtime",
    "versions",
    "log",
    "sql",
    "keyvalue",
    "cache",
    "blobs",
    "channels",
    "postgres",
    "observe",
    "grants",
];

/// `[host]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// The directory with the plugins.
    pub plugins: PathBuf,
    /// The directory of the embedded backends.
    pub data: PathBuf,
    /// Written once the host is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports_file: Option<PathBuf>,
    /// How long requests are still taken after the order to stop.
    pub leave_delay: Millis,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            plugins: "plugins".into(),
            data: "data".into(),
            ports_file: None,
            leave_delay: Millis(0),
        }
    }
}

impl Host {
    /// The directory in the data directory for what a running host tells its own tools: the
    /// addresses it listens on and the admin token.
    pub fn run_dir(&self) -> PathBuf {
        self.data.join("run")
    }
}

/// Reads tables by name. Written out because the capabilities' tables stand beside the host's,
/// and errors are to point at the key and to name what is known.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Tables)
    }
}

struct Tables;

impl<'de> Visitor<'de> for Tables {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tables of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
        let mut settings = Settings::default();
        while let Some(table) = map.next_key_seed(TableName)? {
            match table.as_str() {
                "host" => settings.host = map.next_value()?,
                "http" => settings.http = map.next_value()?,
                "connections" => settings.connections = map.next_value()?,
                "sockets" => settings.sockets = map.next_value()?,
                "channels" => settings.backends.channels = map.next_value()?,
                "log" => settings.backends.log = map.next_value()?,
                "sql" => settings.backends.sql = map.next_value()?,
                "keyvalue" => settings.backends.keyvalue = map.next_value()?,
                "postgres" => settings.backends.postgres = map.next_value()?,
                "cache" => settings.backends.cache = map.next_value()?,
                "blobs" => settings.backends.blobs = map.next_value()?,
                "admin" => settings.admin = map.next_value()?,
                "nodes" => settings.nodes = map.next_value()?,
                "runtime" => settings.runtime = map.next_value()?,
                "versions" => settings.versions = map.next_value()?,
                "observe" => settings.observe = map.next_value()?,
                "grants" => settings.grants = map.next_value()?,
                capability => settings.capabilities.read(capability, &mut map)?,
            }
        }
        Ok(settings)
    }
}

/// The name of a table, refused where it stands if there is no such table.
struct TableName;

impl<'de> DeserializeSeed<'de> for TableName {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = || TABLES.iter().chain(capabilities::Settings::TABLES);
        if known().any(|table| *table == name) {
            return Ok(name);
        }
        let known: Vec<_> = known().map(|table| format!("`{table}`")).collect();
        let known = known.join(", ");
        Err(de::Error::custom(format!("unknown field `{name}`, expected one of {known}")))
    }
}
