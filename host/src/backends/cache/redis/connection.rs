//! The connection to Redis: one for all plugins, on which commands do not wait for each other.
//!
//! A task keeps it: it connects, looks every second whether the server still answers, and connects
//! again when it does not. Meanwhile commands fail at once, and without a word to the server once
//! it is known to be away.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value as Reply,
    aio::MultiplexedConnection, cmd, io::tcp::TcpSettings,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use super::{
    super::{Error, Result},
    Settings,
};
use crate::secret;

/// How often a quiet connection is tried.
const TRIED: Duration = Duration::from_secs(1);
/// The pause before another attempt to connect: first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why the host cannot go on with these settings.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address cannot be one.
    #[error("`{0}` is no address; write it as `host:port`")]
    Address(String),
    /// The password cannot be read.
    #[error("the password cannot be read: {0}")]
    Password(#[from] secret::Error),
    /// The file with certificates cannot be read.
    #[error("the certificates in `{}` cannot be read: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The settings contradict each other, or the file holds no certificates.
    #[error("no connection can be made with these settings: {0}")]
    Settings(String),
    /// The server answers, and refuses.
    #[error("Redis at `{address}` does not let the host in: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// What it says.
        reason: String,
    },
}

/// The connection.
pub struct Connection {
    current: watch::Receiver<Option<MultiplexedConnection>>,
    doubt: Arc<Notify>,
    keeper: JoinHandle<()>,
}

impl Connection {
    /// Connect, or begin to try.
    pub async fn open(settings: &Settings) -> std::result::Result<Self, OpenError> {
        let address = settings.address.clone().unwrap_or_default();
        let client = client(settings, &address).await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout.into()))
            .set_response_timeout(Some(settings.timeout.into()));
        let (current, receiver) = watch::channel(None);
        let doubt = Arc::new(Notify::new());
        let keeper = Keeper { client, config, address, current, doubt: doubt.clone() };
        let first = match keeper.connect().await {
            Ok(connection) => {
                keeper.publish(&connection);
                Some(connection)
            }
            Err(error) if refuses(&error) => {
                return Err(OpenError::Refused {
                    address: keeper.address,
                    reason: error.to_string(),
                });
            }
            Err(error) => {
                keeper.trouble(&error);
                None
            }
        };
        Ok(Self { current: receiver, doubt, keeper: tokio::spawn(keeper.keep(first)) })
    }

    /// Run a command. An error comes within the time that the settings allow.
    pub async fn ask(&self, command: &Cmd) -> Result<Reply> {
        let connection = self.current.borrow().clone();
        let Some(mut connection) = connection else {
            return Err(Error::Unavailable("it cannot be reached".into()));
        };
        connection.send_packed_command(command).await.and_then(Reply::extract_error).map_err(
            |error| {
                if error.code().is_none() {
                    self.doubt.notify_one();
                }
                told(&error)
            },
        )
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Whether the server answers, but not to this user.
fn refuses(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "NOPERM"))
}

/// What a plugin may know of an error: nothing of the server but the name of its answer.
fn told(error: &RedisError) -> Error {
    tracing::debug!(%error, "Redis did not do what it was asked");
    Error::Unavailable(match error.code() {
        Some(code) => format!("it answers `{code}`"),
        None if error.is_timeout() => "it did not answer in time".into(),
        None => "the connection broke".into(),
    })
}

async fn client(settings: &Settings, address: &str) -> std::result::Result<Client, OpenError> {
    let unusable = |error: RedisError| OpenError::Settings(error.to_string());
    let (host, port) = split(address).ok_or_else(|| OpenError::Address(address.to_owned()))?;
    let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = &settings.user {
        login = login.set_username(user);
    }
    if let Some(password) = &settings.password {
        login = login.set_password(password.read().await?.reveal());
    }
    let info = |address: ConnectionAddr| -> std::result::Result<ConnectionInfo, OpenError> {
        let info = address.into_connection_info().map_err(unusable)?;
        // A command is whole when it is written: nothing is to wait for more.
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(info.set_tcp_settings(tcp).set_redis_settings(login))
    };
    if !settings.tls {
        return Client::open(info(ConnectionAddr::Tcp(host, port))?).map_err(unusable);
    }
    let root_cert = match &settings.ca {
        None => None,
        Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
            OpenError::Certificates { path: path.clone(), reason: error.to_string() }
        })?),
    };
    let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(info(address)?, certificates).map_err(unusable)
}

/// `host:port`, where the host may be an IPv6 address in brackets.
pub fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let sound = !bare.is_empty() && (bare != host || !bare.contains(':'));
    Some((bare.to_owned(), port.parse().ok()?)).filter(|_| sound)
}

/// What keeps the connection.
struct Keeper {
    client: Client,
    config: AsyncConnectionConfig,
    address: String,
    current: watch::Sender<Option<MultiplexedConnection>>,
    /// A command failed in a way that makes the connection doubtful.
    doubt: Arc<Notify>,
}

impl Keeper {
    async fn keep(self, first: Option<MultiplexedConnection>) {
        let mut connected = first;
        loop {
            let connection = match connected.take() {
                Some(connection) => connection,
                None => self.until_connected().await,
            };
            let error = self.until_lost(connection).await;
            self.trouble(&error);
        }
    }

    /// A connection on which the server does what it is asked.
    async fn connect(&self) -> std::result::Result<MultiplexedConnection, RedisError> {
        let connecting = self.client.get_multiplexed_async_connection_with_config(&self.config);
        let mut connection = connecting.await?;
        cmd("PING").exec_async(&mut connection).await?;
        Ok(connection)
    }

    async fn until_connected(&self) -> MultiplexedConnection {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    self.publish(&connection);
                    tracing::info!(address = self.address, "Redis answers again");
                    return connection;
                }
                Err(error) => tracing::debug!(%error, "Redis still cannot be reached"),
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn until_lost(&self, mut connection: MultiplexedConnection) -> RedisError {
        loop {
            // Whichever comes first: both are a reason to look.
            let _ = tokio::time::timeout(TRIED, self.doubt.notified()).await;
            if let Err(error) = cmd("PING").exec_async(&mut connection).await {
                return error;
            }
        }
    }

    /// Let commands use it.
    fn publish(&self, connection: &MultiplexedConnection) {
        self.current.send_replace(Some(connection.clone()));
        self.up(true);
    }

    /// Let commands fail at once until there is another.
    fn trouble(&self, error: &RedisError) {
        self.current.send_replace(None);
        self.up(false);
        tracing::warn!(
            address = self.address,
            %error,
            "Redis cannot be reached; what plugins ask of the cache fails until it can"
        );
    }

    fn up(&self, up: bool) {
        metrics::gauge!("trellis_cache_up").set(f64::from(u8::from(up)));
    }
}
