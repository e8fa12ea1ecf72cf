//! The PostgreSQL server that several backends stand on: how to reach it, and the host's own
//! connections. What plugins run has connections of its own, see `sql/postgres`.
//!
//! The host's own role owns the schema `trellis`, which no plugin's role may enter: the names of
//! the plugins, the key that their passwords are made of, and the key-value stores. Names in the
//! host's statements are written with their schema and found in no other, so that nothing that
//! lies elsewhere in the database can take their place.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::future::FutureExt;
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};
use tokio::sync::{Semaphore, SemaphorePermit};

mod failure;
mod settings;
#[cfg(test)]
pub mod testing;

pub use failure::Failure;
pub use settings::Settings;

/// Servers older than this lack what the host relies on.
const OLDEST: u32 = 140_000;
/// How often a server that is away is tried at the start.
const AGAIN: Duration = Duration::from_millis(500);
/// How often the log says that the host still waits.
const REMIND: Duration = Duration::from_secs(10);
/// Connections with which the host makes roles and ends statements.
const OWN: u32 = 2;
/// A connection that was idle for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);

/// The server.
pub struct Server {
    settings: Settings,
    options: PgConnectOptions,
    own: PgPool,
    places: Semaphore,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
}

/// A connection of the host's own role, for a while. It is closed unless it is kept.
pub struct Lent<'a> {
    server: &'a Server,
    /// To run statements on.
    pub connection: PgConnection,
    _place: SemaphorePermit<'a>,
}

impl Lent<'_> {
    /// The statement has ended well: somebody else may have the connection.
    pub fn keep(self) {
        let Self { server, connection, .. } = self;
        server.idle().push((connection, Instant::now()));
    }
}

impl Server {
    /// Wait until the server is there and lay out the host's own schema. What waits is told in the
    /// log.
    ///
    /// # Errors
    /// When the server is there and refuses the host, is too old, or when the password or the
    /// certificates cannot be read.
    pub async fn open(settings: Settings) -> anyhow::Result<Arc<Self>> {
        let options = options(&settings).await?;
        wait(&options, &settings).await?;
        let own = PgPoolOptions::new()
            .max_connections(OWN)
            .acquire_timeout(settings.connect_timeout.into())
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                async move {
                    if state.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .connect_lazy_with(options.clone());
        let places = Semaphore::new(settings.own_connections as usize);
        let server = Arc::new(Self { settings, options, own, places, idle: Mutex::default() });
        server.lay_out().await.context("cannot make the schema `trellis`")?;
        Ok(server)
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Wait for a connection of the host's own role. While the server is away this fails at once.
    pub async fn lend(&self) -> sqlx::Result<Lent<'_>> {
        let place = self.places.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let idle = self.idle().pop();
            let Some((mut connection, since)) = idle else { break };
            if since.elapsed() < IDLE || connection.ping().await.is_ok() {
                return Ok(Lent { server: self, connection, _place: place });
            }
        }
        let connection = connect(&self.options, &self.settings).await?;
        Ok(Lent { server: self, connection, _place: place })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(PgConnection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections with which the host makes roles and ends what nobody waits for.
    pub fn own(&self) -> &PgPool {
        &self.own
    }

    /// How another role connects. `schema` is the only one its names are looked for in.
    pub fn options_for(&self, role: &str, password: &str, schema: &str) -> PgConnectOptions {
        let timeout = self.settings.statement_timeout.0;
        self.options
            .clone()
            .username(role)
            .password(password)
            .options([("search_path", quoted(schema)), ("statement_timeout", timeout.to_string())])
    }

    /// The schema `trellis` and what every backend finds there.
    async fn lay_out(&self) -> sqlx::Result<()> {
        let mut again = 0;
        loop {
            let made = sqlx::raw_sql(
                "CREATE SCHEMA IF NOT EXISTS trellis;
                 CREATE TABLE IF NOT EXISTS trellis.installation (
                     id INTEGER PRIMARY KEY CHECK (id = 1), secret BYTEA NOT NULL);
                 CREATE TABLE IF NOT EXISTS trellis.plugins (name TEXT PRIMARY KEY)",
            )
            .execute(&self.own)
            .await;
            match made {
                // Another host that starts makes them at the same time.
                Err(error) if again < 10 && is_double(&error) => again += 1,
                made => return made.map(drop),
            }
        }
    }
}

/// Whether something was made twice at a time, which `IF NOT EXISTS` does not prevent.
pub fn is_double(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["23505", "42P06", "42P07", "42710"].contains(&&*code))
}

/// A name as it is written in a statement, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn options(settings: &Settings) -> anyhow::Result<PgConnectOptions> {
    let host = settings.host.as_deref().context("`host` names no server")?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(settings.port)
        .username(&settings.user)
        .database(&settings.database)
        .ssl_mode(if settings.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable })
        .application_name("trellis")
        .statement_cache_capacity(128)
        .options([
            // Nothing but the catalog.
            ("search_path", "\"\""),
            // A host that has gone without a word holds no lock for long.
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("client_connection_check_interval", "1s"),
            // How values are written that have no type of their own for a plugin.
            ("DateStyle", "ISO"),
            ("IntervalStyle", "iso_8601"),
            ("standard_conforming_strings", "on"),
        ])
        .disable_statement_logging();
    if let Some(source) = &settings.password {
        options = options.password(&source.read().await.context("`password`")?.reveal());
    }
    if let Some(ca) = &settings.ca {
        options = options.ssl_root_cert(ca);
    }
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

/// Wait until the server answers.
async fn wait(options: &PgConnectOptions, settings: &Settings) -> anyhow::Result<()> {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let mut told: Option<Instant> = None;
    loop {
        let reason = match connect(options, settings).await {
            Ok(connection) => {
                let version = connection.server_version_num().unwrap_or_default();
                connection.close().await?;
                anyhow::ensure!(
                    version >= OLDEST,
                    "the server at `{place}` is older than PostgreSQL 14; use a newer one"
                );
                return Ok(());
            }
            Err(error) => match permanent(&error) {
                Some(why) => anyhow::bail!("the server at `{place}` refuses the host: {why}"),
                None => error.to_string(),
            },
        };
        if told.is_none_or(|told| told.elapsed() >= REMIND) {
            tracing::warn!(
                server = place,
                reason,
                "PostgreSQL is not there yet; the host starts once it is"
            );
            told = Some(Instant::now());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Connect within the time that the operator gave.
pub async fn connect(
    options: &PgConnectOptions,
    settings: &Settings,
) -> sqlx::Result<PgConnection> {
    let connecting = options.connect();
    match tokio::time::timeout(settings.connect_timeout.into(), connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Why waiting will not help, if it will not.
fn permanent(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Configuration(reason) => Some(reason.to_string()),
        sqlx::Error::Tls(reason) => Some(reason.to_string()),
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // Who it is, and a database that does not exist.
            (code.starts_with("28") || code == "3D000").then(|| error.message().to_owned())
        }
        _ => None,
    }
}
