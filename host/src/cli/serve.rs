//! `trellis serve`: run the plugins of a directory until told to stop.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    serve,
    settings::{self, Flag, Loaded},
};

/// Run the plugins of a directory, and follow it as files come and go
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis serve --plugins /srv/plugins --data /var/lib/trellis
  trellis serve --listen 0.0.0.0:8080 --settings /etc/trellis.toml
  TRELLIS_GEOIP_DATABASE=city.mmdb trellis serve

A flag wins over a variable TRELLIS_TABLE_KEY, which wins over the settings file,
which wins over the defaults. SIGTERM and SIGINT let requests in flight end.")]
pub(super) struct Arguments {
    /// The directory of the components [default: plugins]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// The directory of the embedded backends [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to answer HTTP, once or more often; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:9080]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// A file of settings
    #[arg(long, env = "TRELLIS_SETTINGS", hide_env_values = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// A file to write the addresses to, once ready
    #[arg(long, value_name = "FILE")]
    ports_file: Option<PathBuf>,
    /// Grant every plugin what its manifest needs, for directories whose plugins are one's own
    #[arg(long)]
    grant_needs: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let loaded = arguments.load()?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        stop_on_signals(shutdown.clone())?;
        serve::run(loaded, |_, _| {}, shutdown).await
    })
}

/// The threads that serve.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// The first signal asks to stop, the second ends the process at once.
pub(super) fn stop_on_signals(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: requests in flight may end, a second signal ends them");
        shutdown.cancel();
        next().await;
        std::process::exit(130);
    });
    Ok(())
}

impl Arguments {
    fn load(&self) -> anyhow::Result<Loaded> {
        let listen: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let values = [
            ("--plugins", "host.plugins", path(&self.plugins)),
            ("--data", "host.data", path(&self.data)),
            ("--listen", "http.listen", (!listen.is_empty()).then(|| listen.join(","))),
            ("--admin", "admin.listen", self.admin.map(|admin| admin.to_string())),
            ("--ports-file", "host.ports-file", path(&self.ports_file)),
            ("--grant-needs", "grants.default", self.grant_needs.then(|| "needs".to_owned())),
        ];
        let flags: Vec<Flag> = values
            .into_iter()
            .filter_map(|(name, key, value)| Some(Flag { name, key, value: value? }))
            .collect();
        Ok(settings::load(self.settings.as_deref(), std::env::vars(), &flags)?)
    }
}
