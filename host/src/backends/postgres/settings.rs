//! `[postgres]`: where the server is, how to get in, and how many connections a host may open.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{quantity::Millis, secret::Source};

/// `[postgres]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The server's name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port there.
    pub port: u16,
    /// The database, which all plugins share, each in a schema of its own.
    pub database: String,
    /// The host's own role; it makes those of the plugins.
    pub user: String,
    /// Where the user's password is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Source>,
    /// Whether connections are encrypted, and the server's certificate checked.
    pub tls: bool,
    /// A file with the certificates that the server's is checked against, PEM; without it, those
    /// of well-known authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// A file with the host's own certificate, PEM, for a server that asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The file with its key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// `host:port` of a server that follows the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// Connections for the statements of all plugins together.
    pub connections: u32,
    /// How many of them one plugin may have.
    pub plugin_connections: u32,
    /// Connections for the key-value stores and the host's own work.
    pub own_connections: u32,
    /// The longest wait for a connection to be made.
    pub connect_timeout: Millis,
    /// After this time a statement is cut off.
    pub statement_timeout: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            port: 5432,
            database: "trellis".into(),
            user: "trellis".into(),
            password: None,
            tls: false,
            ca: None,
            certificate: None,
            key: None,
            replica: None,
            connections: 24,
            plugin_connections: 8,
            own_connections: 8,
            connect_timeout: Millis(5_000),
            statement_timeout: Millis(30_000),
        }
    }
}
